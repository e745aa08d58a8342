"""What an audit found: rates with intervals, a table by class, what was worst, slowest and unsteady."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rlvr.statistics.intervals import Interval, proportion_interval
from rlvr.verifiers.audit.cases import Case
from rlvr.verifiers.audit.judging import Judgment

Told = Literal["right", "wrong", "not told"]

THRESHOLD = 1.0
"""An outcome counts as right from here on."""

MAX_NAMED = 100
MAX_SLOWEST = 10
EXCERPT_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest observed rates with which an audit passes."""

    false_accept: float = 0.0
    false_reject: float = 0.01
    not_told: float = 0.01


@dataclass(frozen=True, slots=True)
class Finding:
    """A case with its judgment, and the one of the second round, None where there was none."""

    case: Case
    judgment: Judgment
    again: Judgment | None

    @property
    def told(self) -> Told:
        """What the verifier said."""
        outcome = self.judgment.verdict.outcome
        return "not told" if outcome is None else "right" if outcome >= THRESHOLD else "wrong"

    @property
    def unsteady(self) -> bool:
        """Whether the second round gave another outcome or status."""
        first, second = self.judgment.verdict, self.again.verdict if self.again else self.judgment.verdict
        return (first.outcome, first.status) != (second.outcome, second.status)

    @property
    def seconds(self) -> float:
        """The longer of both rounds."""
        return max(self.judgment.verdict.seconds, self.again.verdict.seconds if self.again else 0.0)

    def as_json(self) -> dict[str, Any]:
        """Gives the case in brief, and what was said of it."""
        verdict = self.judgment.verdict
        found = {
            "name": self.case.name,
            "class": self.case.group,
            "expected": self.case.expected,
            "reference": excerpt(str(self.case.reference)),
            "completion": excerpt(self.case.completion),
            "outcome": verdict.outcome,
            "status": verdict.status,
            "extracted": excerpt(verdict.extracted),
            "seconds": round(self.seconds, 6),
        }
        if self.unsteady and self.again:
            found |= {"second_outcome": self.again.verdict.outcome, "second_status": self.again.verdict.status}
        reason = self.judgment.reason or (self.again.reason if self.again else "")
        return found | ({"reason": excerpt(reason)} if reason else {})


def excerpt(text: str, *, limit: int = EXCERPT_CHARACTERS) -> str:
    """Gives a text on one line, without the middle of a long one, what does not show written as an escape."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]} … {len(text) - 2 * half:,} more … {text[-half:]}"
    return "".join(character if _shows(character) else _escaped(character) for character in text)


def _shows(character: str) -> bool:
    return character.isprintable() and not unicodedata.combining(character)


def _escaped(character: str) -> str:
    return {"\n": r"\n", "\t": r"\t", "\r": r"\r"}.get(character, f"\\u{{{ord(character):x}}}")


@dataclass(slots=True)
class Audit:
    """All findings of an audit. `skipped` counts cases that were not judged after too many ran into the deadline.

    `escaped` names the files that a completion made; there must be none.
    """

    verifier: str
    version: str
    seed: int
    findings: list[Finding] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    escaped: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def false_accept_rate(self) -> Interval | None:
        """The share of wrong cases that were judged right, of those with a verdict; None where there are none."""
        return self.error_rate(False)

    @property
    def false_reject_rate(self) -> Interval | None:
        """The share of right cases that were judged wrong, of those with a verdict; None where there are none."""
        return self.error_rate(True)

    @property
    def not_told_rate(self) -> float:
        """The share of all cases on which there was no verdict, those not judged among them."""
        total = len(self.findings) + self.skipped
        return (sum(one.told == "not told" for one in self.findings) + self.skipped) / total if total else 0.0

    @property
    def false_accepts(self) -> list[Finding]:
        """Wrong cases that were judged right, classes in turn."""
        return _in_turn(one for one in self.findings if one.case.expected is False and one.told == "right")

    @property
    def false_rejects(self) -> list[Finding]:
        """Right cases that were judged wrong, classes in turn."""
        return _in_turn(one for one in self.findings if one.case.expected is True and one.told == "wrong")

    @property
    def not_told(self) -> list[Finding]:
        """Cases without a verdict, classes in turn."""
        return _in_turn(one for one in self.findings if one.told == "not told")

    @property
    def unsteady(self) -> list[Finding]:
        """Cases that got another verdict in the second round."""
        return [one for one in self.findings if one.unsteady]

    @property
    def slowest(self) -> list[Finding]:
        """The cases that took longest, the slowest first; of those with one reference and completion only one."""
        ordered = sorted(self.findings, key=lambda one: one.seconds)
        distinct = {(str(one.case.reference), one.case.completion): one for one in ordered}
        return sorted(distinct.values(), key=lambda one: -one.seconds)[:MAX_SLOWEST]

    def groups(self) -> dict[tuple[str, bool | None], list[Finding]]:
        """Gives the findings by class and by what was expected, in order."""
        found: dict[tuple[str, bool | None], list[Finding]] = {}
        for one in self.findings:
            found.setdefault((one.case.group, one.case.expected), []).append(one)
        return found

    def complaints(self, limits: Limits) -> list[str]:
        """Gives in words why the audit fails; [] where it passes. The observed rates count, not their intervals."""
        found = []
        for what, rate, limit in (
            ("wrong answers were accepted", self.false_accept_rate, limits.false_accept),
            ("right answers were refused", self.false_reject_rate, limits.false_reject),
        ):
            if rate is not None and rate.mean > limit:
                found.append(f"{rate.mean:.2%} of {what}; at most {limit:.2%} may be")
        if self.not_told_rate > limits.not_told:
            found.append(f"no verdict on {self.not_told_rate:.2%} of the cases; at most {limits.not_told:.2%} may be")
        if self.skipped:
            found.append(f"{self.skipped:,} cases were not judged, because too many before ran into the deadline")
        if unsteady := self.unsteady:
            found.append(f"{len(unsteady):,} cases got another verdict the second time")
        if self.escaped:
            found.append(f"completions were executed: they made {', '.join(self.escaped)}")
        return found

    def as_json(self, limits: Limits | None = None) -> dict[str, Any]:
        """Gives all of it as JSON; cases are named in excerpts, at most MAX_NAMED of a kind."""
        complaints = self.complaints(limits or Limits())
        return {
            "verifier": self.verifier,
            "version": self.version,
            "cases": len(self.findings),
            "false_accept_rate": _plain(self.false_accept_rate),
            "false_reject_rate": _plain(self.false_reject_rate),
            "not_told_rate": self.not_told_rate,
            "passed": not complaints,
            "complaints": complaints,
            "limits": asdict(limits or Limits()),
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "not_judged": self.skipped,
            "classes": [_row(*key, found) for key, found in self.groups().items()],
            "statuses": dict(Counter(one.judgment.verdict.status for one in self.findings)),
            "files_made": self.escaped,
            "left_out": dict(self.left_out),
            "false_accepts": [one.as_json() for one in self.false_accepts[:MAX_NAMED]],
            "false_rejects": [one.as_json() for one in self.false_rejects[:MAX_NAMED]],
            "not_told": [one.as_json() for one in self.not_told[:MAX_NAMED]],
            "unsteady": [one.as_json() for one in self.unsteady[:MAX_NAMED]],
            "slowest": [one.as_json() for one in self.slowest],
        }

    def error_rate(self, expected: bool) -> Interval | None:
        """Gives the share of the cases so expected that were judged the other way."""
        return error_rate(expected, [one for one in self.findings if one.case.expected is expected])


def error_rate(expected: bool | None, findings: Sequence[Finding]) -> Interval | None:
    """Gives the share of cases that were judged the other way, of those with a verdict; None where there are none."""
    told = Counter(one.told for one in findings)
    wrongly = told["wrong" if expected else "right"]
    trials = told["right"] + told["wrong"]
    return proportion_interval(wrongly, trials) if trials and expected is not None else None


def _row(group: str, expected: bool | None, findings: Sequence[Finding]) -> dict[str, Any]:
    told = Counter(one.told for one in findings)
    return {
        "class": group,
        "expected": {True: "right", False: "wrong", None: None}[expected],
        "cases": len(findings),
        "judged_right": told["right"],
        "judged_wrong": told["wrong"],
        "not_told": told["not told"],
        "error_rate": _plain(error_rate(expected, findings)),
    }


def _plain(rate: Interval | None) -> dict[str, float] | None:
    return None if rate is None else asdict(rate)


def _in_turn(findings: Iterable[Finding]) -> list[Finding]:
    """Gives the first of each class, then the second of each, so that the head of the list shows every class."""
    seen: Counter[str] = Counter()
    placed = []
    for one in findings:
        placed.append((seen[one.case.group], one))
        seen[one.case.group] += 1
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]
