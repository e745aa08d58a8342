"""IFEval and IFBench in their published layout: JSON lines with `key`, `prompt`, `instruction_id_list` and `kwargs`.

Sources: Zhou et al., "Instruction-Following Evaluation for Large Language Models", 2023,
https://github.com/google-research/google-research; Pyatkin et al., "Generalizing Verifiable Instruction Following",
2025, https://github.com/allenai/IFBench. Both are for evaluation only: their one split is "test".
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rlvr.data.constraints import reference_of
from rlvr.data.formats import selected
from rlvr.data.rows import BadRow, Row, first_match, read_rows
from rlvr.errors import DataError
from rlvr.types import Task

FILES = {
    "ifeval": ("ifeval_input_data.jsonl", "input_data.jsonl", "ifeval*.jsonl", "data/train-*.parquet"),
    "ifbench": ("ifbench_test.jsonl", "IFBench_test.jsonl", "data/IFBench_test.jsonl", "data/train-*.parquet"),
}
"""How the published files are called in a folder."""


def tasks(
    name: str, split: str, *, path: str | Path, mode: str = "strict", score: str = "all"
) -> Iterator[Task | BadRow]:
    """Yields the tasks of "ifeval" or "ifbench" for the verifier "instructions".

    `path` is a file, or the folder with the published one. `mode` is "strict" or "loose"; `score` is "all" (the outcome
    is 1 where every constraint is kept) or "mean" (the share that is). Raises: DataError for any split but "test".
    """
    if split != "test":
        raise DataError(f"{name} has no split {split!r}", hint=f"use {name}:test; it is meant for evaluation only")
    if mode not in ("strict", "loose") or score not in ("all", "mean"):
        raise DataError(f"mode is {mode!r}, score {score!r}; expected strict or loose, and all or mean")
    rows = read_rows(first_match(path, FILES[name], what=f"{name} file"))
    parse = partial(task_from_row, name=name, mode=mode, score=score)
    return selected(rows, parse, split="all", evaluation_share=0.0)


def task_from_row(row: Row, *, name: str, mode: str = "strict", score: str = "all") -> Task:
    """Gives the task of a row. Raises: DataError where it has no prompt, or its constraints do not fit together."""
    prompt = row.values.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError("no prompt")
    key = row.values.get("key")
    reference = reference_of(row.values.get("instruction_id_list"), row.values.get("kwargs"), mode=mode, score=score)
    messages = ({"role": "user", "content": prompt},)
    id_ = f"{name}/{row.where if key is None else key}"
    return Task(id_, messages, reference, "instructions", name, name, check="constrained")
