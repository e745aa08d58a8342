"""Whether two runs are the same run, bit for bit: what a killed and resumed run must be to an undisturbed one."""

import struct
from pathlib import Path
from typing import Any

import pyarrow as pa

from rlvr.errors import RunError
from rlvr.runs.folder import CHECKPOINTS, ROLLOUTS, Run
from rlvr.runs.publish import latest_whole, manifest
from rlvr.runs.rollouts import read_rollouts

_COST = ("_seconds", "peak_bytes")
"""How the names end of what differs between two runs that are equal."""


def differences(run_a: Path, run_b: Path) -> list[str]:
    """Gives one sentence per difference between two run folders and the runs inside them; none when they are equal.

    Compared are the metrics, the rollouts and all files of the last whole checkpoint; what a step cost
    (`_COST`), events, provenance, configuration and what was set aside are not. Floats are compared by their bits.
    """
    a, b = Run.open(run_a), Run.open(run_b)
    found = [*_metrics(a, b), *_rollouts(a, b), *_checkpoints(a, b)]
    children_a, children_b = ({child.path.name for child in run.children} for run in (a, b))
    found += _only(children_a, children_b, "the run")
    for name in sorted(children_a & children_b):
        found += [f"{name}: {sentence}" for sentence in differences(run_a / name, run_b / name)]
    return found


def _only(names_a: set[str], names_b: set[str], what: str) -> list[str]:
    return [
        *(f"{what} {name} is only in the first" for name in sorted(names_a - names_b)),
        *(f"{what} {name} is only in the second" for name in sorted(names_b - names_a)),
    ]


def _metrics(a: Run, b: Run) -> list[str]:
    lines_a, lines_b = a.metrics(), b.metrics()
    found = []
    if len(lines_a) != len(lines_b):
        found.append(f"metrics have {len(lines_a)} steps in the first, {len(lines_b)} in the second")
    for line_a, line_b in zip(lines_a, lines_b, strict=False):
        kept_a, kept_b = (
            {key: value for key, value in line.items() if not key.endswith(_COST)} for line in (line_a, line_b)
        )
        found += _only(set(kept_a), set(kept_b), f"step {line_a['step']}: the metric")
        found += [
            f"step {line_a['step']}: {key} is {kept_a[key]!r} in the first, {kept_b[key]!r} in the second"
            for key in kept_a
            if key in kept_b and _bits(kept_a[key]) != _bits(kept_b[key])
        ]
    return found


def _rollouts(a: Run, b: Run) -> list[str]:
    files_a, files_b = ({path.name: path for path in (run.path / ROLLOUTS).glob("[!.]*.parquet")} for run in (a, b))
    found = _only(set(files_a), set(files_b), "the rollout file")
    for name in sorted(files_a.keys() & files_b.keys()):
        found += [
            f"{name}: {sentence}" for sentence in _tables(read_rollouts(files_a[name]), read_rollouts(files_b[name]))
        ]
    return found


def _tables(a: pa.Table, b: pa.Table) -> list[str]:
    if a.num_rows != b.num_rows:
        return [f"{a.num_rows} completions in the first, {b.num_rows} in the second"]
    found = []
    for name in a.column_names:
        if name.endswith(_COST):
            continue
        rows = zip(a.column(name).to_pylist(), b.column(name).to_pylist(), strict=True)
        differing = [index for index, (row_a, row_b) in enumerate(rows) if _bits(row_a) != _bits(row_b)]
        if differing:
            found.append(f"{name} differs in {len(differing)} of {a.num_rows} rows, first in row {differing[0]}")
    return found


def _checkpoints(a: Run, b: Run) -> list[str]:
    last_a, last_b = _last(a), _last(b)
    if last_a is None or last_b is None:
        return [] if last_a is last_b else ["a checkpoint is only in the " + ("second" if last_a is None else "first")]
    if last_a.name != last_b.name:
        return [f"the last checkpoint is {last_a.name} in the first, {last_b.name} in the second"]
    files_a, files_b = manifest(last_a), manifest(last_b)
    found = _only(set(files_a), set(files_b), f"{last_a.name}: the file")
    common = sorted(files_a.keys() & files_b.keys())
    return found + [f"{last_a.name}: {name} differs" for name in common if files_a[name] != files_b[name]]


def _last(run: Run) -> Path | None:
    try:
        found = latest_whole(run.path / CHECKPOINTS)
    except RunError:
        return None
    return found[0] if found else None


def _bits(value: Any) -> Any:
    """Gives something that is equal only for equal bits: NaN equals NaN and 0.0 is not -0.0."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    return [_bits(entry) for entry in value] if isinstance(value, list) else value
