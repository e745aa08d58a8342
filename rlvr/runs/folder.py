"""A run: a folder of plain files, and what a stage writes into it step by step.

    NAME/  config.json  provenance.json  metrics.jsonl  events.jsonl
           rollouts/train-000012.parquet  checkpoints/step-000100/  set-aside/001/  1-sft/ (a run of the same shape)

A step's rollouts are written first, then its line of metrics.jsonl: a step counts once that line stands. Killed at any
instant, the folder holds whole steps; `rewind` sets aside those after the checkpoint that a resumed run starts from.
In metrics and events JSON's null stands for NaN and infinities.
"""

import json
import math
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlvr.errors import RunError
from rlvr.runs.atomic import TEMPORARY, encode, remove_temporaries, replace_file, strict_json, sync, writing
from rlvr.runs.lines import append_line, read_lines
from rlvr.runs.lock import locked
from rlvr.runs.rollouts import write_rollouts
from rlvr.types import Group

CONFIG = "config.json"
PROVENANCE = "provenance.json"
METRICS = "metrics.jsonl"
EVENTS = "events.jsonl"
ROLLOUTS = "rollouts"
CHECKPOINTS = "checkpoints"
SET_ASIDE = "set-aside"
FAILED = "failed"

Listener = Callable[[int, Mapping[str, float]], None]


def is_run(path: Path) -> bool:
    """Whether `path` is a run folder."""
    return (path / CONFIG).is_file() and (path / PROVENANCE).is_file()


@dataclass(slots=True)
class Record:
    """What one step leaves behind; it is written when the step ends well."""

    step: int
    _run: "Run"
    _metrics: dict[str, float] = field(default_factory=dict)
    _groups: dict[str, list[Group]] = field(default_factory=dict)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Adds numbers to the step's line; each key ("room/what_unit") once."""
        taken = {"step", *self._metrics} & values.keys()
        assert not taken, f"metrics written twice in step {self.step}: {sorted(taken)}"
        self._metrics.update({key: _plain(key, value) for key, value in values.items()})

    def rollouts(self, groups: Sequence[Group], split: str = "train") -> None:
        """Adds groups to the step's rollout file of that split."""
        self._groups.setdefault(split, []).extend(groups)

    def event(self, kind: str, **fields: Any) -> None:
        """Writes an event of this step at once: it stays even when the step fails."""
        self._run.event(kind, step=self.step, **fields)


class Run:
    """A run folder; made by `Run.create`, `Run.open` or `run.child`.

    `listeners` are called as `listener(step, metrics)` after each step. With `fsync`, each step waits until it is on
    the disk itself; without, it survives a killed process but not a power cut.
    """

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        self.path = path
        self.fsync = fsync
        self.listeners: list[Listener] = []
        self._last_step: int | None = None

    @classmethod
    def create(
        cls, path: Path, *, config: Mapping[str, Any], provenance: Mapping[str, Any], replace: bool = False
    ) -> "Run":
        """Gives a new run folder at `path`; with `replace`, an old run there is removed first.

        Raises RunError when something is there already (`replace` removes nothing but a run that no process works in),
        or when the folder cannot be written.
        """
        with writing(path):
            if _doomed(path).exists():
                shutil.rmtree(_doomed(path))
        if replace and is_run(path):
            _remove_run(path)
        elif not is_vacant(path):
            _refuse(path)
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            remove_temporaries(path)
        run = cls(path)
        run.write_json(PROVENANCE, provenance)
        run.write_json(CONFIG, config)
        return run

    @classmethod
    def open(cls, path: Path) -> "Run":
        """Gives the run at `path`. Raises RunError when there is none."""
        if not is_run(path):
            what = f"holds no {CONFIG} and {PROVENANCE}" if path.is_dir() else "does not exist"
            raise RunError(f"{path} is no run folder: it {what}", hint="name a folder that `rlvr train RECIPE` made")
        return cls(path)

    @property
    def checkpoints(self) -> Path:
        """The folder that this run's checkpoints are published in."""
        return self.path / CHECKPOINTS

    @property
    def children(self) -> list["Run"]:
        """The runs inside this one, in name order, in which 2 comes before 10."""
        found = [path for path in self.path.iterdir() if is_run(path)]
        return [Run(path, fsync=self.fsync) for path in sorted(found, key=_in_order)]

    @property
    def stages(self) -> list["Run"]:
        """Of the runs inside this one the base and a recipe's stages, whose names begin with their places, in order."""
        return [child for child in self.children if child.path.name[0].isdecimal()]

    def child(self, name: str, *, config: Mapping[str, Any] | None = None) -> "Run":
        """Gives the run inside this one of that name, made with `config` when it is not there yet."""
        path = self.path / name
        if is_run(path):
            return Run(path, fsync=self.fsync)
        made = Run.create(path, config=config or {}, provenance={"parent": self.path.name})
        made.fsync = self.fsync
        return made

    def config(self) -> dict[str, Any]:
        """Gives config.json."""
        return self.read_json(CONFIG)

    def read_json(self, name: str) -> dict[str, Any]:
        """Gives the JSON object in the file `name`. Raises RunError when it is missing or damaged."""
        path = self.path / name
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{path} cannot be read: {error}", hint="restore it from a copy") from error
        if not isinstance(data, dict):
            raise RunError(f"{path} holds {type(data).__name__}, expected an object", hint="restore it from a copy")
        return data

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        """Writes the file `name`, whole or not at all."""
        replace_file(self.path / name, encode(strict_json(data, indent=1)) + b"\n")

    def event(self, kind: str, **fields: Any) -> None:
        """Appends something that happened, with the time of day, to events.jsonl."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        append_line(self.path / EVENTS, {"time": stamp, "kind": kind, **fields}, fsync=False)

    def events(self) -> list[dict[str, Any]]:
        """Gives what happened, oldest first."""
        return read_lines(self.path / EVENTS)

    def metrics(self) -> list[dict[str, float]]:
        """Gives one dict a step, oldest first, "step" among its keys; a number that was not finite comes back as NaN.

        A last line torn by a power cut or a full disk is passed over. Raises RunError for a damaged line before it.
        """
        lines = read_lines(self.path / METRICS)
        return [{key: math.nan if value is None else value for key, value in line.items()} for line in lines]

    @contextmanager
    def step(self, step: int) -> Iterator[Record]:
        """Gives the record of one step and writes it when the block ends well; after an exception only its
        rollouts are, to failed/.

        Adds `time/step_seconds`, and of this process `time/cpu_seconds` and `memory/peak_bytes` (the most that it has
        held since it began).
        Raises RunError when that step is written already.
        """
        self._refuse_twice(step)
        record = Record(step, self)
        started, cpu_started = time.perf_counter(), time.process_time()
        try:
            yield record
        except Exception:
            self._keep_failed(record)
            raise
        for split, groups in record._groups.items():
            path = self.path / ROLLOUTS / rollout_name(split, step)
            write_rollouts(path, groups, step=step, split=split)
        record.metrics(
            {
                "time/step_seconds": time.perf_counter() - started,
                "time/cpu_seconds": time.process_time() - cpu_started,
                "memory/peak_bytes": peak_bytes(),
            }
        )
        self.add_step(step, record._metrics)

    def add_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes the metrics of a whole step and tells the listeners; for one that was taken in a run inside this one.

        Raises RunError when that step is written already.
        """
        self._refuse_twice(step)
        append_line(self.path / METRICS, {"step": step, **metrics}, fsync=self.fsync)
        self._last_step = step
        for listener in self.listeners:
            listener(step, metrics)

    def _refuse_twice(self, step: int) -> None:
        last = self._written()
        if step <= last:
            raise RunError(f"{self.path} holds steps up to {last}; step {step} would be written twice", hint=_RESUME)

    def _keep_failed(self, record: Record) -> None:
        """Writes the rollouts of a step that failed to failed/, where nobody counts them but a person can look."""
        for split, groups in record._groups.items():
            write_rollouts(self.path / FAILED / rollout_name(split, record.step), groups, step=record.step, split=split)

    def sync(self) -> None:
        """Waits until the metrics written so far are on the disk; called before a checkpoint that counts on them."""
        if (self.path / METRICS).exists():
            with writing(self.path), (self.path / METRICS).open("rb") as file:
                os.fsync(file.fileno())

    def rewind(self, step: int) -> int:
        """Sets aside what was written for `step` and later, and gives how many steps that were.

        Their metrics lines and rollout files move to set-aside/NNN/. To be called when a run is resumed, with the first
        step that will be made again.
        """
        lines = self.metrics()
        late = [line for line in lines if line["step"] >= step]
        with writing(self.path):
            for folder in (self.path, self.path / ROLLOUTS, *(self.path / SET_ASIDE).glob("*")):
                remove_temporaries(folder)
            files = [path for path in sorted((self.path / ROLLOUTS).glob("*.parquet")) if _step_of(path) >= step]
            if late or files:
                aside = self._next_aside()
                if late:
                    replace_file(aside / METRICS, _lines(late))
                    replace_file(self.path / METRICS, _lines([line for line in lines if line["step"] < step]))
                for path in files:
                    (aside / ROLLOUTS).mkdir(exist_ok=True)
                    os.replace(path, aside / ROLLOUTS / path.name)
                self.event("rewind", step=step, steps_set_aside=len(late), files_set_aside=len(files), to=aside.name)
        self._last_step = None
        return len(late)

    def _written(self) -> int:
        if self._last_step is None:
            self._last_step = max((int(line["step"]) for line in self.metrics()), default=-1)
        return self._last_step

    def _next_aside(self) -> Path:
        root = self.path / SET_ASIDE
        root.mkdir(exist_ok=True)
        number = 1 + max((int(path.name) for path in root.iterdir() if path.name.isdigit()), default=0)
        aside = root / f"{number:03d}"
        aside.mkdir()
        return aside


_RESUME = "continue it with `rlvr resume RUN`, which first sets aside the steps after the checkpoint"


def rollout_name(split: str, step: int) -> str:
    """Gives the file name of one split's rollouts in one step."""
    return f"{split}-{step:06d}.parquet"


def _in_order(path: Path) -> str:
    """The key by which folders are sorted: their numbers are compared as such."""
    return re.sub("[0-9]+", lambda number: number[0].zfill(12), path.name)


def _step_of(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def _lines(lines: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(encode(strict_json(line)) + b"\n" for line in lines)


def _plain(key: str, value: Any) -> float:
    number = value.item() if hasattr(value, "item") else value
    assert isinstance(number, (int, float)), f"metric {key} is a {type(number).__name__}, expected a number"
    return number


def peak_bytes() -> int:
    """Gives the most that this process has held since it began."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # in kB everywhere else


def is_vacant(path: Path) -> bool:
    """Whether a run may be made there: nothing is, or only what a kill left of one that never started."""
    if not path.exists():
        return True
    if not path.is_dir():
        return False
    return all(entry.name == PROVENANCE or entry.name.startswith(TEMPORARY) for entry in path.iterdir())


def _refuse(path: Path) -> None:
    if is_run(path):
        raise RunError(f"{path} is a run already", hint=f"rlvr resume {path}, or replace=true to start it anew")
    raise RunError(
        f"{path} exists and is no run folder, so it is left alone", hint="choose another place with name=NAME"
    )


def _remove_run(path: Path) -> None:
    with locked(path), writing(path):
        os.rename(path, _doomed(path))
        sync(path.parent)
        shutil.rmtree(_doomed(path))


def _doomed(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY}replaced-{path.name}")
