"""The audit: cases are made of targets and a corpus, judged twice, and what the verifier said is held against them."""

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlvr.errors import DataError, UsageError
from rlvr.keyed import permutation
from rlvr.verifiers.audit.attacks import ATTACKS, Attack
from rlvr.verifiers.audit.cases import CANARY, Case, Target
from rlvr.verifiers.audit.judging import Judge, Judgment, collected, judging
from rlvr.verifiers.audit.renderings import RENDERINGS
from rlvr.verifiers.audit.result import Audit, Finding
from rlvr.verifiers.scorer import make_scorer
from rlvr.verifiers.table import VERSIONS

MAX_TARGETS = 50
MAX_HEAVY_TARGETS = 1
DEADLINE_SECONDS = 30.0


def audit(
    verifier: str,
    *,
    targets: Sequence[Target] = (),
    cases: Sequence[Case] = (),
    skip: Collection[str] = (),
    max_targets: int = MAX_TARGETS,
    deadline_seconds: float = DEADLINE_SECONDS,
    workers: int = 0,
    seed: int = 0,
    judge: Mapping[str, Any] | None = None,
    started: Callable[[int], None] = lambda total: None,
    told: Callable[[], None] = lambda: None,
) -> Audit:
    """Attacks a verifier and gives what it got wrong.

    `cases` are judged as they are; renderings and attacks are made for `max_targets` of the `targets`, drawn by
    `seed`, except the classes in `skip`. `judge` are the settings of the verifier "judge". Every case is judged twice,
    the second time in another order. `started` is told the number of judgments to come, `told` is called after each.
    Raises UsageError for an unknown verifier or class, DataError where there is no case.
    """
    scorer = make_scorer(judge or {})
    scorer.resolve(verifier)
    if unknown := set(skip) - {*RENDERINGS, *ATTACKS}:
        known = ", ".join([*RENDERINGS, *ATTACKS])
        raise UsageError(f"there is no class {min(unknown)!r} to skip", hint=f"known: {known}")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rlvr-audit-") as folder:
        drawn = [targets[index] for index in sorted(permutation(seed, "audit/targets", 0, len(targets))[:max_targets])]
        made = [*cases, *_made(drawn, skip)]
        if not made:
            raise DataError(
                "there is nothing to audit with", hint="give rows with a completion and a label, or an answer"
            )
        started(2 * len(made))
        armed = [replace(case, completion=case.completion.replace(CANARY, folder)) for case in made]
        with judging(verifier, scorer=scorer, deadline_seconds=deadline_seconds, workers=workers) as ask:
            first, second = _rounds(armed, ask, seed, told)
        escaped = sorted(path.name for path in Path(folder).iterdir())
    findings = [Finding(case, *pair) for case, pair in zip(made, zip(first, second, strict=True), strict=False)]
    version = VERSIONS.get(verifier) or next((one.verdict.version for one in first if one.verdict.version), "")
    skipped = len(made) - len(first)
    found = Audit(verifier, version, seed, findings, skipped=skipped, escaped=escaped)
    found.seconds = time.monotonic() - start
    return found


def _rounds(
    cases: Sequence[Case], judge: Judge, seed: int, told: Callable[[], None]
) -> tuple[list[Judgment], list[Judgment | None]]:
    """Gives the judgments of both rounds, those of the second put back in order.

    A case that ran into a limit of time is not tried again, nor is any after too many did.
    """
    first = collected(judge(cases), told)
    order = [int(index) for index in permutation(seed, "audit/second round", 0, len(first))]
    slow = [one.given_up or one.verdict.status == "timeout" for one in first]
    order = [index for index in order if not slow[index]] if len(first) == len(cases) else []
    again = collected(judge([cases[index] for index in order]), told)
    second: list[Judgment | None] = [None] * len(first)
    for index, judgment in zip(order, again, strict=False):
        second[index] = judgment
    return first, second


def _made(targets: Sequence[Target], skip: Collection[str]) -> Iterator[Case]:
    """Gives the cases of all targets, each completion once for a target and class."""
    for name in (*RENDERINGS, *ATTACKS):
        if name in skip:
            continue
        for number, target in enumerate(targets):
            yield from _cases_of(name, target, heavy_too=number < MAX_HEAVY_TARGETS)


def _cases_of(name: str, target: Target, *, heavy_too: bool) -> Iterator[Case]:
    kind = RENDERINGS.get(name) or ATTACKS[name]
    if (kind.slots and target.slot not in kind.slots) or (kind.heavy and not heavy_too):
        return
    expected: bool | None = True
    if isinstance(kind, Attack):
        certain = kind.wrong_for == "all" or target.single
        if not (certain or kind.survive) or not (target.rights or kind.blind):
            return
        expected = False if certain else None
    elif not target.rights:
        return
    seen = set()
    for variant, completion in kind.make(target):
        if completion not in seen:
            seen.add(completion)
            yield Case(f"{name}: {variant} ({target.name})", name, target.reference, completion, expected)
