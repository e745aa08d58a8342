"""Every completion of a step, as one Parquet file: a row per completion, in group and sample order."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.errors import RunError
from rlvr.runs.atomic import TEMPORARY, encode, strict_json, sync, writing
from rlvr.types import Completion, Group, Verdict

SCHEMA = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("draw_index", pa.int64(), nullable=False),
        pa.field("sample_index", pa.int32(), nullable=False),
        pa.field("messages", pa.string(), nullable=False),  # JSON
        pa.field("prompt_ids", pa.list_(pa.int64()), nullable=False),
        pa.field("token_ids", pa.list_(pa.int64()), nullable=False),
        pa.field("logprobs", pa.list_(pa.float32()), nullable=False),
        pa.field("trainable", pa.list_(pa.bool_()), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("finish", pa.string(), nullable=False),
        pa.field("policy_version", pa.int64(), nullable=False),
        pa.field("outcome", pa.float64()),  # null: the verifier could not tell
        pa.field("threshold", pa.float64(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("extracted", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("reward", pa.float64()),  # null: no outcome, so no reward
        pa.field("parts", pa.string(), nullable=False),  # JSON
        pa.field("verify_seconds", pa.float64(), nullable=False),
        pa.field("verifier", pa.string(), nullable=False),
        pa.field("verifier_version", pa.string(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),  # JSON
    ]
)


def write_rollouts(path: Path, groups: Sequence[Group], *, step: int, split: str) -> None:
    """Writes one row per completion to `path`, whole or not at all.

    Equal groups give equal bytes, `verify_seconds` aside. Raises RunError when the disk is full or read-only.
    """
    rows = [row for group in groups for row in _rows(group, step, split)]
    table = pa.table({name: [row[name] for row in rows] for name in SCHEMA.names}, schema=SCHEMA)
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            pq.write_table(table, temporary, compression="zstd")
            sync(temporary)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


def read_rollouts(path: Path, *, columns: Sequence[str] = ()) -> pa.Table:
    """Gives the rows of one rollout file, or of all files in a folder in name order; all columns where none is named.

    Raises RunError when a file is missing or is no rollout file.
    """
    files = sorted(path.glob("[!.]*.parquet")) if path.is_dir() else [path]
    tables = []
    for file in files:
        try:
            tables.append(pq.read_table(file, schema=SCHEMA, partitioning=None, columns=list(columns) or None))
        except (OSError, pa.ArrowInvalid) as error:
            raise RunError(
                f"{file} cannot be read as rollouts: {error}",
                hint="restore it from a copy, or continue the run from its checkpoint with `rlvr resume RUN`",
            ) from error
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def num_tokens(path: Path) -> int:
    """Gives how many tokens the completions of a file, or of all files in a folder, have."""
    column = read_rollouts(path, columns=("token_ids",))["token_ids"]
    return sum(len(chunk.flatten()) for chunk in column.chunks)


def _rows(group: Group, step: int, split: str) -> Iterator[dict[str, Any]]:
    task = group.task
    shared = {
        "step": step,
        "split": split,
        "domain": _utf8(task.domain),
        "source": _utf8(task.source),
        "task_id": _utf8(task.id),
        "draw_index": group.draw_index,
        "messages": _utf8(strict_json(task.messages)),
        "prompt_ids": group.prompt_ids,
        "threshold": task.threshold,
        "verifier": task.verifier,
        "reference": _utf8(strict_json(task.reference)),
    }
    scored = zip(group.completions, group.verdicts, group.rewards, strict=True)
    for index, (completion, verdict, reward) in enumerate(scored):
        yield {**shared, "sample_index": index, **_made(completion), **_judged(verdict), "reward": _number(reward)}


def _made(completion: Completion) -> dict[str, Any]:
    return {
        "token_ids": completion.token_ids,
        "logprobs": completion.logprobs,
        "trainable": completion.trainable,
        "text": _utf8(completion.text),
        "finish": completion.finish,
        "policy_version": completion.policy_version,
    }


def _judged(verdict: Verdict) -> dict[str, Any]:
    return {
        "outcome": _number(verdict.outcome),
        "score": _number(verdict.score),
        "status": verdict.status,
        "extracted": _utf8(verdict.extracted),
        "path": verdict.path,
        "parts": _utf8(strict_json(verdict.parts)),
        "verify_seconds": verdict.seconds,
        "verifier_version": verdict.version,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _utf8(text: str) -> str:
    return encode(text).decode()
