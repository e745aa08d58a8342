"""Published evaluation suites: a frozen row for each, and any data file as a suite of one's own.

To add one, write a row in SUITES; its source is one of `rlvr.data.sources`.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rlvr.data import humaneval, mbpp
from rlvr.data.files import stem_of
from rlvr.data.formats import INSTRUCTION
from rlvr.data.rows import is_data_file
from rlvr.data.sources import Skipped, load
from rlvr.errors import DataError, UsageError
from rlvr.types import Task

Metric = Literal["pass@1", "prompt strict", "win rate"]


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite: where its tasks come from and how they are asked unless the user says otherwise.

    Tasks are asked with no example, as one turn of the user in the model's own chat template, together with
    `instruction`, which says where the answer goes ("": the task says it itself). `num_samples` answers of at most
    `max_tokens` each; one is greedy, several are drawn at a temperature. `metric` is the figure that stands first:
    pass@1, IFEval's prompt-level strict accuracy, or the win rate against reference outputs. `num_tasks` is how many
    the published split has, 0 where none is published.
    """

    name: str
    source: str
    split: str
    instruction: str
    num_samples: int
    max_tokens: int
    metric: Metric
    num_tasks: int
    citation: str


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("gsm8k", "gsm8k", "test", INSTRUCTION, 1, 1024, "pass@1", 1319, "Cobbe et al. 2021, arXiv:2110.14168"),
        Suite(
            "math-500", "math500", "test", INSTRUCTION, 4, 4096, "pass@1", 500,
            "Hendrycks et al. 2021, arXiv:2103.03874; Lightman et al. 2023, arXiv:2305.20050",
        ),
        Suite(
            "humaneval", "humaneval", "test", humaneval.INSTRUCTION, 1, 1024, "pass@1", 164,
            "Chen et al. 2021, arXiv:2107.03374",
        ),
        Suite("mbpp", "mbpp", "test", mbpp.INSTRUCTION, 1, 1024, "pass@1", 500, "Austin et al. 2021, arXiv:2108.07732"),
        Suite(
            "mbpp-sanitized", "mbpp_sanitized", "test", mbpp.INSTRUCTION, 1, 1024, "pass@1", 257,
            "Austin et al. 2021, arXiv:2108.07732",
        ),
        Suite("ifeval", "ifeval", "test", "", 1, 2048, "prompt strict", 541, "Zhou et al. 2023, arXiv:2311.07911"),
        Suite("ifbench", "ifbench", "test", "", 1, 2048, "prompt strict", 300, "Pyatkin et al. 2025, arXiv:2507.02833"),
        Suite(
            "alpaca-eval", "pairs", "test", "", 1, 2048, "win rate", 805,
            "Li et al. 2023, github.com/tatsu-lab/alpaca_eval; Dubois et al. 2024, arXiv:2404.04475",
        ),
    )
}  # fmt: skip
"""By the word after --suite."""


@dataclass(frozen=True, slots=True)
class LoadedSuite:
    """A suite's tasks as they are asked. `rivals` are the reference outputs to be compared with, by task id.

    `is_limited` says that there are more tasks than these.
    """

    suite: Suite
    path: Path
    tasks: tuple[Task, ...]
    rivals: dict[str, str]
    skipped: Skipped
    is_limited: bool = False


def suite_named(name: str, path: str = "") -> tuple[Suite, Path]:
    """Gives the suite of that name, or a suite for a data file, and where its data lie.

    Raises UsageError for an unknown name without a file, for a published one without the place of its data, and for a
    file of one's own that would pass for a published suite.
    """
    if name in SUITES:
        if not path:
            raise UsageError(
                f"the suite {name} needs its published file",
                hint=f"--suite-path {name}=FILE_OR_FOLDER (docs/suites.md says where the files are published)",
            )
        return SUITES[name], Path(path)
    if not path and not is_data_file(name):
        near = difflib.get_close_matches(name, SUITES, n=1)
        known = f"known are {', '.join(SUITES)}, or a file of your own: --suite mine.jsonl"
        raise UsageError(f"there is no suite {name!r}", hint=f"did you mean {near[0]!r}? {known}" if near else known)
    own = stem_of(name) if is_data_file(name) else name
    if own in SUITES:
        raise UsageError(
            f"{name} is a file of your own, and its results would be called {own} like the published suite's",
            hint=f"--suite {own} --suite-path {own}={name} where it is the published file; else give it another name",
        )
    return Suite(own, "file", "all", "", 1, 1024, "pass@1", 0, "a file of your own"), Path(path or name)


def load_suite(suite: Suite, path: Path, *, limit: int | None = None) -> LoadedSuite:
    """Gives the first `limit` tasks of a suite, all where None. Raises DataError where the file gives none.

    A suite of one's own whose tasks are all for the verifier "instructions" has IFEval's figures.
    """
    wanted = None if limit is None else limit + 1  # one more says whether there are more
    if suite.source == "pairs":
        pairs = load("solution", suite.source, suite.split, path=path, limit=wanted)
        kept = pairs.items[:limit]
        rivals = {pair.id: pair.text for pair in kept}
        tasks = tuple(pair.task for pair in kept)
        return LoadedSuite(suite, path, tasks, rivals, pairs.skipped, len(kept) < len(pairs.items))
    options: dict[str, Any] = {"instruction": suite.instruction} if suite.instruction else {}
    loaded = load("task", suite.source, suite.split, path=path, limit=wanted, **options)
    constrained = all(task.verifier == "instructions" for task in loaded.items)
    if constrained and suite.metric == "pass@1":
        suite = replace(suite, metric="prompt strict")
    if suite.metric == "prompt strict" and not constrained:
        raise DataError(f"{path} is no file of {suite.name}: not all its tasks have constraints")
    tasks = loaded.items[:limit]
    return LoadedSuite(suite, path, tasks, {}, loaded.skipped, len(tasks) < len(loaded.items))


def problems_of(loaded: LoadedSuite) -> Sequence[str]:
    """Gives the tasks' problems without the instruction that the suite adds to each."""
    texts = ("\n".join(m["content"] for m in task.messages if m["role"] == "user") for task in loaded.tasks)
    added = loaded.suite.instruction
    return [text.replace(added, "").strip() if added else text for text in texts]
