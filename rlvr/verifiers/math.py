"""Equality of a mathematical answer with its reference: exact arithmetic here, computer algebra in a worker.

The answer is the last balanced box after the thinking part. Numbers, and lists, tuples, sets and intervals of them, are
compared with rational arithmetic; no tolerance, except that a decimal of at least six significant digits may stand for
a number that it rounds. What is left goes to math_verify in the worker pool, with a limit of CPU seconds. A percent
sign counts: 50 % equals 0.5, and equals 50 because a question may ask for a percentage; 0.5 % does not equal 50 %.
A unit may be left out or added; a different one is wrong. A reference may ask for more or less:

    {"answer": "3.14", "rounded": true}              every number that rounds to 3.14 is right
    {"answer": "5 cm", "units": "required"}          5 alone is wrong
    {"answer": "50 %", "percent": "exact"}           50 alone is wrong, 0.5 is right
    {"answer": "B", "choices": ["3", "\\frac{1}{2}"]}  B, or what equals the second choice and no other
    {"answer": "18", "slot": "marked"}               where the answer stands, a name in SLOTS; for RL keep "boxed"
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from string import ascii_uppercase
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.equality import LENIENT, Leaf, Policy, number, same, same_leaf
from rlvr.verifiers.extract import Answer, balanced, box, extract, holds_box, marked
from rlvr.verifiers.forms import Form, parse, parse_normalised
from rlvr.verifiers.guard import looks_like_code
from rlvr.verifiers.latex import depth, normalise, squeezed
from rlvr.verifiers.pool import shared
from rlvr.verifiers.pooled import judged_in_pool
from rlvr.verifiers.rational import MAX_DEPTH
from rlvr.verifiers.reference import slot_fault
from rlvr.verifiers.worker_handle import Reply

VERSION = "math-5"
CPU_SECONDS = 1.5
MAX_REFERENCE_CHARACTERS = 10_000
WAIT_SECONDS = 600.0

_COMPARE = "rlvr.verifiers.math_worker:compare"
_EQUALS_ITSELF = "rlvr.verifiers.math_worker:equals_itself"
_POWER = re.compile(r"([)\]}]|\w)\s*\^\s*(?:\{\s*-?\s*(\d+)\s*\}|(\d+))")
_BIG_RANGE = re.compile(r"\\(?:sum|prod|binom|int)(?![a-zA-Z]).*?\d{5,}", re.DOTALL)
_BIG_FACTORIAL = re.compile(r"(?:[)}\]]|\d{4,})\s*!")
_CODE = re.compile(r"\\(?:input|include|write|def|catcode)(?![a-zA-Z])")


def too_heavy(text: str) -> bool:
    """Gives whether a normalised expression looks as if its evaluation would not end (towers, factorials)."""
    if depth(text) > MAX_DEPTH or text.count(r"\sqrt") > 10 or text.count("^") > 60:
        return True
    if re.search(r"\^\s*\{[^{}]*\^\s*\{[^{}]*\^", text) or _BIG_RANGE.search(text) or _BIG_FACTORIAL.search(text):
        return True
    for base, braced, bare in _POWER.findall(text):
        exponent = braced or bare
        if len(exponent) > 5 or int(exponent) > (60 if base in ")]}" else 10_000):
            return True
    return re.search(r"\^\s*\{?\s*[({]?[^{}]*\^\s*\{?\s*\d{2,}", text) is not None


@dataclass(frozen=True, slots=True)
class Question:
    """What a reference asks for: the answer, where it stands, what counts as equal, and the choices where there are."""

    answer: str
    slot: str = "boxed"
    policy: Policy = LENIENT
    choices: tuple[str, ...] = ()


_SIMPLE = {"answer", "slot"}
_KEYS = {"answer", "slot", "choices", "units", "percent", "rounded"}
_POLICIES = {"units": ("optional", "required"), "percent": ("either", "exact"), "rounded": (False, True)}


def read_question(reference: Any) -> Question | str:
    """Gives the question of a reference, or what is wrong with it."""
    if isinstance(reference, str):
        return _simple_question(reference, "boxed")
    if isinstance(reference, dict) and reference.keys() == _SIMPLE and all(map(_is_text, reference.values())):
        return slot_fault(reference) or _simple_question(reference["answer"], reference["slot"])
    if not isinstance(reference, dict) or not isinstance(reference.get("answer"), str):
        return f'expected a string or {{"answer": string}}, found {repr(reference)[:80]}'
    if unknown := reference.keys() - _KEYS:
        return f"unknown key {min(map(str, unknown))!r} in the reference; known: {', '.join(sorted(_KEYS))}"
    if fault := slot_fault(reference):
        return fault
    for key, known in _POLICIES.items():
        if key in reference and reference[key] not in known:
            return f"{key} is {reference[key]!r}; known: {', '.join(map(repr, known))}"
    choices = reference.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(choice, str) and choice for choice in choices):
        return f"choices has to be a list of strings, found {str(choices)[:80]!r}"
    answer = _stated(reference["answer"])
    if fault := _answer_fault(answer):
        return fault
    if len(choices) > len(ascii_uppercase) or (choices and _letter(answer, len(choices)) is None):
        return f"the answer has to be the letter of one of the {len(choices)} choices, A the first, found {answer!r}"
    policy = Policy(**{key: reference[key] for key in _POLICIES if key in reference})
    return Question(answer, reference.get("slot", "boxed"), policy, tuple(choices))


@functools.lru_cache(maxsize=4096)
def _simple_question(reference: str, slot: str) -> Question | str:
    answer = _stated(reference)
    return _answer_fault(answer) or Question(answer, slot)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _answer_fault(answer: str) -> str | None:
    if len(answer) > MAX_REFERENCE_CHARACTERS:
        return f"the reference answer has {len(answer):,} characters; at most {MAX_REFERENCE_CHARACTERS:,}"
    return None if normalise(answer) else "the reference answer is empty"


def _stated(reference: str) -> str:
    """Gives the answer of a reference; of a whole solution, as MATH and GSM8K publish them, its box or "####" line."""
    if "\\boxed" in reference or "\\fbox" in reference:
        found = box(reference)
        return found.text if found.status == "ok" else ""
    return marked(reference).text if "####" in reference else reference


def _letter(text: str, num_choices: int) -> int | None:
    """Gives the place of the choice that a letter such as B, (b) or \\text{B.} names."""
    form = parse(text)
    name = form.text.strip("(). ").upper()
    place = ascii_uppercase.find(name) if len(name) == 1 else -1
    return place if 0 <= place < num_choices else None


@functools.lru_cache(maxsize=10_000)
def _parsed_reference(reference: str) -> Form:
    return parse(reference)


@functools.lru_cache(maxsize=16)
def _leaf(policy: Policy) -> Leaf:
    return functools.partial(same_leaf, rounded=policy.rounded)


def _decide(reference: str, answer: str, policy: Policy = LENIENT) -> tuple[bool | None, Form, Form]:
    """Gives whether they are equal where exact arithmetic can tell, and both forms; the answer is normalised."""
    wanted, found = _parsed_reference(reference), parse_normalised(answer)
    result = same(wanted, found, _leaf(policy), policy)
    if result is False and {wanted.kind, found.kind} == {"value", "list"}:
        # 100,200 is a number beside a number, and a list beside a list.
        split_wanted = parse(reference, thousands=False)
        split_found = parse_normalised(answer, thousands=False)
        if split_wanted.kind == split_found.kind == "list" and wanted.kind == "value" and "," in reference:
            result = same(split_wanted, split_found, _leaf(policy), policy)
    return result, wanted, found


def _judged(answer: Answer, question: Question) -> Answer:
    """Settles differing boxes in one breath: the parts of a list reference together are one answer."""
    if answer.status == "hedged" and answer.alternatives:
        wanted = _parsed_reference(question.answer)
        if wanted.kind == "list" and len(wanted.items) == len(answer.alternatives):
            return Answer(",".join(answer.alternatives), "ok")
        boxes = answer.alternatives
        if len(boxes) <= 10 and all(_decide(question.answer, text, question.policy)[0] for text in boxes):
            return Answer(answer.text, "ok")
    return answer


async def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the answer equals the reference, 0 where it does not or cannot be decided in time.

    The reference is a string, or an object as in the head of this file. The verdict's path is "fast" (exact
    arithmetic), "screened" (code, or too heavy to evaluate) or "algebra". The outcome is None only for a broken
    reference or trouble of the machine.
    """
    found = _first_look(task.reference, completion.text)
    if isinstance(found, Verdict):
        return found
    verdicts = [
        verdict or await _by_algebra(reference, found.text, found.question.policy, found.extracted)
        for reference, verdict in found.verdicts
    ]
    return _settled(found.question, verdicts)


def at_once(task: Task, completion: Completion) -> Verdict | None:
    """Gives the verdict of `verify` where exact arithmetic can tell, without waiting; None where it cannot."""
    found = _first_look(task.reference, completion.text)
    if isinstance(found, Verdict):
        return found
    verdicts = [verdict for _, verdict in found.verdicts if verdict is not None]
    return _settled(found.question, verdicts) if len(verdicts) == len(found.verdicts) else None


@dataclass(frozen=True, slots=True)
class _Found:
    """An answer in its slot, with its verdict against each reference (one, or the choices); None: not decided yet."""

    question: Question
    text: str
    extracted: str
    verdicts: tuple[tuple[str, Verdict | None], ...]


_WHOLE = re.compile(r"-?(?:0|[1-9]\d{0,14})")
_FILLER = re.compile(r"\\(?:text|mathrm|mbox)|[{}\s?.]|\\ldots|\\dots")


def _first_look(reference: Any, text: str) -> _Found | Verdict:
    question = read_question(reference)
    if isinstance(question, str):
        return Verdict(None, "bad_reference", version=VERSION)
    answer = _judged(extract(text, question.slot), question)
    extracted = answer.text[:200]
    if answer.status != "ok":
        return Verdict(0.0, answer.status, extracted, version=VERSION)
    if _WHOLE.fullmatch(answer.text) and _WHOLE.fullmatch(question.answer) and not question.choices:
        right = int(answer.text) == int(question.answer)
        return Verdict(float(right), "ok", extracted, path="fast", version=VERSION)
    if holds_box(answer.text):
        return Verdict(0.0, "hedged", extracted, version=VERSION)
    text = normalise(answer.text)
    if not _FILLER.sub("", text):
        return Verdict(0.0, "no_answer", extracted, version=VERSION)
    if question.choices and (letter := _named_choice(text, question.choices)) is not None:
        right = letter == _letter(question.answer, len(question.choices))
        return Verdict(float(right), "ok", extracted, path="fast", version=VERSION)
    references = question.choices or (question.answer,)
    verdicts = tuple((wanted, _exactly(wanted, text, question.policy, extracted)) for wanted in references)
    return _Found(question, text, extracted, verdicts)


def _named_choice(text: str, choices: Sequence[str]) -> int | None:
    """Gives the choice that `text` names by its letter; a text that is itself one of the choices names none."""
    spelled_out = any(squeezed(choice) == squeezed(text) for choice in choices)
    return None if spelled_out else _letter(text, len(choices))


def _exactly(reference: str, text: str, policy: Policy, extracted: str) -> Verdict | None:
    result, wanted, found = _decide(reference, text, policy)
    is_code = result is not True and (_CODE.search(text) is not None or looks_like_code(text))
    if result is not None and not is_code:
        hedged = not result and wanted.kind == "value" and found.kind in ("list", "set", "plus_minus")
        return Verdict(float(result), "hedged" if hedged else "ok", extracted, path="fast", version=VERSION)
    if is_code:
        return Verdict(0.0, "wrong_format", extracted, path="screened", version=VERSION)
    if too_heavy(text):
        return Verdict(0.0, "timeout", extracted, path="screened", version=VERSION)
    return None


def _settled(question: Question, verdicts: Sequence[Verdict]) -> Verdict:
    """Gives the one verdict; of several choices exactly the right one has to be met."""
    if not question.choices:
        return verdicts[0]
    wanted = _letter(question.answer, len(question.choices))
    assert wanted is not None, "read_question has seen to it"
    if any(verdict.outcome is None for verdict in verdicts):
        return next(verdict for verdict in verdicts if verdict.outcome is None)
    met = [place for place, verdict in enumerate(verdicts) if verdict.outcome == 1.0]
    return replace(verdicts[wanted], outcome=float(met == [wanted]))


async def _by_algebra(reference: str, answer: str, policy: Policy, extracted: str) -> Verdict:
    def read(reply: Reply) -> Verdict:
        return Verdict(float(reply.value), "ok", extracted, path="algebra", seconds=reply.seconds, version=VERSION)

    return await judged_in_pool(
        _COMPARE,
        {"reference": reference, "answer": answer, "policy": asdict(policy)},
        cpu_seconds=CPU_SECONDS,
        extracted=extracted,
        version=VERSION,
        read=read,
        path="algebra",
    )


def _exact_leaf(reference: str, answer: str) -> bool | None:
    return True if number(reference) is not None else None


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None: it must be readable and equal to itself when computed."""
    question = read_question(reference)
    if isinstance(question, str):
        return question
    return next(filter(None, map(_fault, question.choices or (question.answer,))), None)


def _fault(answer: str) -> str | None:
    text = normalise(answer)
    if not balanced(text):
        return f"the reference {answer[:80]!r} has unbalanced braces"
    wanted = parse(text)
    if same(wanted, wanted) is False:
        return f"the reference {answer[:80]!r} does not equal itself"
    if same(wanted, wanted, _exact_leaf):
        return None
    if too_heavy(text):
        return f"the reference {answer[:80]!r} is too heavy to evaluate"
    reply = shared().submit(_EQUALS_ITSELF, {"reference": text}, cpu_seconds=CPU_SECONDS).result(WAIT_SECONDS)
    if reply.kind == "value":
        return None if reply.value else f"the reference {answer[:80]!r} does not equal itself"
    return f"the reference {answer[:80]!r} cannot be read: {reply.kind} {reply.error}".rstrip()
