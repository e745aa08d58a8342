"""Whether a judge prefers a checkpoint's answers to its parent's: both orders, and at matched length."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlvr.errors import RunError
from rlvr.runs.folder import ROLLOUTS, Run
from rlvr.runs.rollouts import read_rollouts
from rlvr.statistics.intervals import Interval
from rlvr.statistics.wins import matched_win_rate, win_rate
from rlvr.types import Completion, Task, read_only
from rlvr.verifiers.judge.judge import Judge
from rlvr.verifiers.judge.screening import check_reference
from rlvr.verifiers.judge.settings import JudgeSettings

log = logging.getLogger(__name__)

WINS = "wins.json"
SPLIT = "greedy"
FEWEST = 10
"""With fewer tasks with a rubric nothing is compared."""
MAX_UNANSWERED_RATE = 0.1
"""With more comparisons than this share unanswered, the win rate is not what it would be."""

Answers = Mapping[str, tuple[Task, Completion]]
"""By task id."""


def preferred_rate(
    judge: JudgeSettings, run: Run, before: Path, after: Path, *, confidence: float = 0.95
) -> Interval | None:
    """Gives the win rate at matched length of the greedy answers in the evaluation folder `after` over `before`.

    Judged once per stage's folder. Of tasks with a rubric; None where there are fewer than FEWEST of them, or where
    length cannot be held equal. Raises RunError where too many comparisons were not answered.
    """
    if not (run.path / WINS).is_file():
        old, new = greedy_answers(before), greedy_answers(after)
        common = [name for name in new if name in old]
        if len(common) < FEWEST:
            return None
        found = asyncio.run(_compared(judge, [(*new[name], old[name][1]) for name in common]))
        lengths = {name: [len(new[name][1].text), len(old[name][1].text)] for name in common}
        run.write_json(WINS, {"wins": dict(zip(common, found, strict=True)), "characters": lengths})
    stored = run.read_json(WINS)
    answered = {name: win for name, win in stored["wins"].items() if win is not None}
    missing = 1 - len(answered) / len(stored["wins"])
    if missing > MAX_UNANSWERED_RATE:
        (run.path / WINS).unlink()
        raise RunError(
            f"the judge left {missing:.0%} of {len(stored['wins'])} comparisons unanswered",
            hint="see that [judge] base_url answers, then rlvr resume RUN",
        )
    names, won = list(answered), list(answered.values())
    ours, theirs = zip(*(stored["characters"][name] for name in names), strict=True)
    matched = matched_win_rate(names, won, ours, theirs, confidence=confidence)
    log.info("win rate against the parent: %.3f over %d tasks", win_rate(names, won).mean, len(won))
    if matched is None:
        log.warning("no win rate at matched length: there are not longer and shorter answers of about the same length")
        return None
    return matched.rate


def greedy_answers(evaluation: Path) -> Answers:
    """Gives the greedy answers that an evaluation's folder holds to tasks with a rubric."""
    found: dict[str, tuple[Task, Completion]] = {}
    file = evaluation / ROLLOUTS / f"{SPLIT}-000000.parquet"
    if not file.is_file():
        return found
    columns = ("task_id", "messages", "reference", "verifier", "source", "domain", "text", "token_ids", "finish")
    for row in read_rollouts(file, columns=columns).to_pylist():
        reference = json.loads(row["reference"])
        if check_reference(reference) is not None:
            continue
        task = Task(
            row["task_id"],
            tuple(json.loads(row["messages"])),
            reference,
            row["verifier"],
            row["source"],
            row["domain"],
        )
        ids = read_only(row["token_ids"], "int64")
        blank = read_only([0.0] * len(ids), "float32"), read_only([True] * len(ids), "bool")
        found[task.id] = task, Completion(ids, *blank, row["text"], row["finish"], 0)
    return found


async def _compared(
    settings: JudgeSettings, pairs: Sequence[tuple[Task, Completion, Completion]]
) -> list[float | None]:
    """Gives for each task 1 where the first completion is preferred, 0 where the second is, 0.5 for a tie."""
    async with Judge(settings) as judge:
        found = list(await asyncio.gather(*(judge.prefer(task, new, old) for task, new, old in pairs)))
        judge.refuse_fooled()
    return found
