"""The stream of tasks: which one comes next is a function of the seed and the number of draws so far."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np

from rlvr import keyed
from rlvr.errors import DataError
from rlvr.types import IntArray, Task


@dataclass(frozen=True, slots=True)
class Draw:
    """One prompt drawn: `draw_index` counts the stream's draws from 0 and keys every random number of the prompt."""

    draw_index: int
    task: Task


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is remembered of a task: how many of its last pass rates in a row were 0 or 1, which teach nothing, and
    where the stream was then."""

    silent: int
    cursor: int


class TaskStream:
    """Draws tasks of several domains by weight, each domain in a new keyed order every epoch.

    The domain of a draw is keyed by (seed, draw index); the order in a domain by (seed, domain, epoch), so every task
    of a domain comes exactly once before any comes again. With `rest_draws`, a task that was solved always or never is
    passed over until the stream has made so many draws, times how often in a row that happened; it is then tried again.
    Where that leaves none in a whole pass over the domain, the next one is taken all the same.

    Raises: DataError where a domain is empty, a weight is missing or not positive, or two tasks share an id.
    """

    def __init__(
        self,
        domains: Mapping[str, Sequence[Task]],
        weights: Mapping[str, float],
        seed: int,
        *,
        rest_draws: int = 0,
    ) -> None:
        _check_domains(domains, weights)
        self._names = sorted(domains)
        self._tasks: dict[str, tuple[Task, ...]] = {name: tuple(domains[name]) for name in self._names}
        self._ids = _unique_ids(self._tasks)
        self._weights = [float(weights[name]) for name in self._names]
        self._bounds = np.cumsum(self._weights) / math.fsum(self._weights)
        self._seed = seed
        self._rest_draws = rest_draws
        self._dataset = _dataset_hash(self._tasks, self._weights, seed)
        self._cursor = 0
        self._positions = dict.fromkeys(self._names, 0)
        self._memory: dict[str, _Seen] = {}
        self._orders: dict[str, tuple[int, IntArray]] = {}

    @property
    def cursor(self) -> int:
        """The draw index of the next draw."""
        return self._cursor

    def draw(self, n: int) -> list[Draw]:
        """Gives the next `n` draws."""
        picks = keyed.uniform(self._seed, "stream/domain", np.arange(self._cursor, self._cursor + n))
        # The last bound can round to just below 1.
        chosen = np.minimum(np.searchsorted(self._bounds, picks, side="right"), len(self._names) - 1)
        draws = []
        for index in chosen:
            draws.append(Draw(self._cursor, self._next_task(self._names[index])))
            self._cursor += 1
        return draws

    def record(self, task_id: str, solved_rate: float) -> None:
        """Remembers that this share of a group's completions, in [0, 1], solved the task."""
        assert task_id in self._ids, f"no task {task_id!r} in this stream"
        assert 0.0 <= solved_rate <= 1.0, f"a rate lies in [0, 1], not {solved_rate}"
        before = self._memory[task_id].silent if task_id in self._memory else 0
        self._memory[task_id] = _Seen(0 if 0.0 < solved_rate < 1.0 else before + 1, self._cursor)

    def state(self) -> dict[str, Any]:
        """Gives all that the next draws depend on, as JSON values."""
        return {
            "dataset": self._dataset,
            "cursor": self._cursor,
            "positions": dict(self._positions),
            "memory": {id_: list(astuple(known)) for id_, known in self._memory.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues where `state()` was taken.

        Raises: DataError where that was another dataset, or other weights or another seed.
        """
        if state["dataset"] != self._dataset:
            raise DataError(
                f"the saved position belongs to the task stream {state['dataset']}, not to this one ({self._dataset})",
                hint="resume with the data, weights and seed that the run began with, or start a new run",
            )
        if any(len(known) != len(fields(_Seen)) for known in state["memory"].values()):
            raise DataError(
                "the memory of the task stream was written by another version of rlvr",
                hint="go on with that version (provenance.json names it), or start a new run from the checkpoint",
            )
        self._cursor = int(state["cursor"])
        self._positions = {name: int(state["positions"][name]) for name in self._names}
        self._memory = {id_: _Seen(int(silent), int(cursor)) for id_, (silent, cursor) in state["memory"].items()}

    def _next_task(self, name: str) -> Task:
        size = len(self._tasks[name])
        start = self._positions[name]
        for position in range(start, start + 2 * size):  # So many hold a whole epoch, wherever they begin.
            task = self._task_at(name, position)
            if not self._rests(task):
                break
        else:
            position, task = start, self._task_at(name, start)
        self._positions[name] = position + 1
        return task

    def _task_at(self, name: str, position: int) -> Task:
        tasks = self._tasks[name]
        epoch, index = divmod(position, len(tasks))
        known = self._orders.get(name)
        if known is None or known[0] != epoch:
            known = (epoch, keyed.permutation(self._seed, f"stream/order/{name}", epoch, len(tasks)))
            self._orders[name] = known
        return tasks[int(known[1][index])]

    def _rests(self, task: Task) -> bool:
        known = self._memory.get(task.id)
        return known is not None and self._cursor - known.cursor < self._rest_draws * known.silent


def _check_domains(domains: Mapping[str, Sequence[Task]], weights: Mapping[str, float]) -> None:
    if not domains:
        raise DataError("a task stream needs at least one domain", hint="name a data source in the recipe")
    for name, tasks in domains.items():
        if not tasks:
            raise DataError(f"the domain {name!r} has no task", hint="check its data source, or leave it out")
    if set(domains) != set(weights):
        raise DataError(
            f"the domains are {sorted(domains)} but the weights are for {sorted(weights)}",
            hint="give exactly one weight for each domain",
        )
    for name, weight in weights.items():
        if not (math.isfinite(weight) and weight > 0):
            raise DataError(
                f"the weight of {name!r} is {weight}", hint="give a positive number, or leave the domain out"
            )


def _unique_ids(domains: Mapping[str, Sequence[Task]]) -> frozenset[str]:
    seen: dict[str, str] = {}
    for name, tasks in domains.items():
        for task in tasks:
            if task.id in seen:
                raise DataError(
                    f"the task id {task.id!r} occurs twice, in {seen[task.id]!r} and {name!r}",
                    hint="give every task its own id; the same data cannot be two domains",
                )
            seen[task.id] = name
    return frozenset(seen)


def _dataset_hash(domains: Mapping[str, Sequence[Task]], weights: Sequence[float], seed: int) -> str:
    digest = hashlib.blake2b(json.dumps([list(domains), list(weights), seed]).encode(), digest_size=16)
    for tasks in domains.values():
        for task in tasks:
            fields = [task.id, [dict(m) for m in task.messages], task.reference, task.verifier, task.threshold]
            digest.update(json.dumps(fields, sort_keys=True, default=str).encode())
        digest.update(b"\n")
    return digest.hexdigest()
