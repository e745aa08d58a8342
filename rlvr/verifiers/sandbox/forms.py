"""From a reference to a form of test: what is sent into a sandbox, and what stays here to compare with.

    {"calls": [{"args": […], "kwargs": {…}, "expected": …}, …], "entry": "solve", "tolerance": 1e-9}
    {"stdin": [{"input": "…", "output": "…"}, …], "tolerance": 1e-9}
    {"asserts": "…code…", "entry": "solve", "preamble": "…code that the tests rely on…"}

Each may have "limits" (as `rlvr.verifiers.sandbox.limits` says), "packages" (names beyond the standard library that the
program may import, such as numpy), "given" (code that the prompt gives and that stands before the program) and "score":
"all" (right only where every case is) or "mean" (the share that is).

Asserts that call one function with literals become calls. Others run in a sandbox of their own, the preamble with
them. Those that cannot, such as tests that hand the program a function, are refused; with "in_process": true they run
beside the program, which can then cheat them.
"""

import ast
import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from rlvr.errors import UsageError
from rlvr.verifiers.sandbox import assertions, codec
from rlvr.verifiers.sandbox.codec import CodecError
from rlvr.verifiers.sandbox.compare import Test
from rlvr.verifiers.sandbox.job import Job
from rlvr.verifiers.sandbox.limits import Limits, read_limits
from rlvr.verifiers.sandbox.literals import Call, NotLiteralError, convert
from rlvr.verifiers.sandbox.names import evaluation, obstacle, reach

MAX_CODE_CHARACTERS = 1_000_000
MAX_CASES = 10_000

_COMMON = {"limits": dict, "packages": list, "given": str, "score": str}
_KEYS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "calls": {"calls": list, "entry": str, "tolerance": (int, float), **_COMMON},
    "stdin": {"stdin": list, "tolerance": (int, float), **_COMMON},
    "asserts": {"asserts": (str, list), "entry": str, "preamble": str, "in_process": bool, **_COMMON},
}


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one function; `frames` are their arguments as they are sent."""

    entry: str
    calls: tuple[Call, ...]
    frames: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Stdin:
    """Runs of the whole program: (standard input, expected standard output) each."""

    cases: tuple[tuple[bytes, str], ...]
    tolerance: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Test code that runs in a sandbox of its own; `wanted` are the names that reach the program from there."""

    tests: str
    preamble: str
    wanted: tuple[str, ...]
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InProcess:
    """Test code that runs beside the program, which can therefore cheat it."""

    tests: str
    preamble: str


Form = Calls | Stdin | Judged | InProcess


@dataclass(frozen=True, slots=True)
class Question:
    """A reference as read. `mean`: the outcome is the share of cases that pass, not all or nothing."""

    form: Form
    limits: Limits
    given: str = ""
    mean: bool = False
    packages: tuple[str, ...] = ()


def read_question(reference: Any) -> Question | str:
    """Gives the question of a reference, or in words what is wrong with it."""
    kinds = [kind for kind in _KEYS if isinstance(reference, Mapping) and kind in reference]
    if len(kinds) != 1:
        return f'expected an object with one of "calls", "stdin" and "asserts", found {str(reference)[:80]!r}'
    if fault := _key_fault(reference, _KEYS[kinds[0]]):
        return fault
    if reference.get("score", "all") not in ("all", "mean"):
        return f'score is {reference["score"]!r}; expected "all" or "mean"'
    form = _READ[kinds[0]](reference)
    if isinstance(form, str):
        return form
    try:
        limits = read_limits(reference.get("limits", {}), default=_roomy(form))
    except UsageError as error:
        return error.message
    packages = tuple(sorted(set(reference.get("packages", []))))
    return Question(form, limits, reference.get("given", ""), reference.get("score") == "mean", packages)


def _roomy(form: Form) -> Limits:
    """Gives the usual limits, with room for twice the longest answer that is expected."""
    usual = Limits()
    match form:
        case Stdin(cases=cases):
            longest = max(len(output.encode("utf-8", "replace")) for _, output in cases)
            return replace(usual, output_bytes=max(usual.output_bytes, 2 * longest))
        case Calls(calls=calls):
            longest = max(len(codec.encode(call.test.expected)) for call in calls)
            return replace(usual, result_bytes=max(usual.result_bytes, 2 * longest))
    return usual


def _key_fault(reference: Mapping[str, Any], keys: Mapping[str, Any]) -> str | None:
    for key, value in reference.items():
        if key not in keys:
            return f"unknown key {str(key)[:80]!r} in the reference; known: {', '.join(keys)}"
        if not isinstance(value, keys[key]) or (isinstance(value, bool) and keys[key] is not bool):
            return f"{key} is {str(value)[:80]!r}, a {type(value).__name__}"
    if not all(isinstance(name, str) and name.isidentifier() for name in reference.get("packages", [])):
        return f"packages is {str(reference['packages'])[:80]!r}; expected a list of names"
    if not 0.0 <= reference.get("tolerance", 0.0) <= sys.float_info.max:
        return f"tolerance is {reference['tolerance']!r}; expected a number from 0 on"
    return _entry_fault(reference) or _given_fault(reference.get("given", ""))


def _given_fault(given: str) -> str | None:
    if len(given) > MAX_CODE_CHARACTERS:
        return f"given has {len(given)} characters; at most {MAX_CODE_CHARACTERS} are read"
    try:
        given.encode("utf-8")
    except UnicodeEncodeError:
        return "given has a lone surrogate"
    return None


def _entry_fault(reference: Mapping[str, Any]) -> str | None:
    if "entry" not in reference:
        return 'the reference has no "entry"' if "calls" in reference else None
    parts = _entry(reference).split(".")
    if len(parts) > 2 or not all(part.isidentifier() and not part.startswith("__") for part in parts):
        return f'entry is {reference["entry"][:80]!r}; expected the name of a function, or "Class.method"'
    return None


def _entry(reference: Mapping[str, Any]) -> str:
    """Gives the entry; "Solution().solve", as some sets write it, is "Solution.solve"."""
    return str(reference.get("entry", "")).replace("().", ".", 1)


def _read_calls(reference: Mapping[str, Any]) -> Calls | str:
    tolerance = float(reference.get("tolerance", 0.0))
    calls = []
    for number, case in enumerate(reference["calls"], start=1):
        if not isinstance(case, Mapping) or "expected" not in case or case.keys() - {"args", "kwargs", "expected"}:
            return f'case {number} is {str(case)[:80]!r}; expected {{"args": […], "kwargs": {{…}}, "expected": …}}'
        args, kwargs = case.get("args", []), case.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, Mapping):
            return f"case {number}: args has to be a list and kwargs an object"
        calls.append(Call(tuple(args), dict(kwargs), Test("same", case["expected"], tolerance)))
    return _framed(_entry(reference), tuple(calls))


def _framed(entry: str, calls: tuple[Call, ...]) -> Calls | str:
    if not 0 < len(calls) <= MAX_CASES:
        return f"{len(calls)} cases; expected 1 to {MAX_CASES}"
    frames = []
    for number, call in enumerate(calls, start=1):
        try:
            frames.append(codec.encode([list(call.args), dict(call.kwargs)]))
            codec.encode(call.test.expected)
        except CodecError as error:
            return f"case {number} cannot be sent: {error}"
    return Job("calls", b"", Limits(), calls=frames).refusal() or Calls(entry, calls, tuple(frames))


def _read_stdin(reference: Mapping[str, Any]) -> Stdin | str:
    cases = []
    for number, case in enumerate(reference["stdin"], start=1):
        if not isinstance(case, Mapping) or case.keys() != {"input", "output"}:
            return f'case {number} is {str(case)[:80]!r}; expected {{"input": "…", "output": "…"}}'
        if not isinstance(case["input"], str) or not isinstance(case["output"], str):
            return f"case {number}: input and output have to be texts"
        try:
            cases.append((case["input"].encode("utf-8"), case["output"]))
        except UnicodeEncodeError:
            return f"case {number}: the input has a lone surrogate"
        if refusal := Job("stdin", b"", Limits(), stdin=cases[-1][0]).refusal():
            return f"case {number}: {refusal}"
    if not 0 < len(cases) <= MAX_CASES:
        return f"{len(cases)} cases; expected 1 to {MAX_CASES}"
    return Stdin(tuple(cases), float(reference.get("tolerance", 0.0)))


def _read_asserts(reference: Mapping[str, Any]) -> Form | str:
    tests = reference["asserts"]
    if isinstance(tests, list):
        if not all(isinstance(line, str) for line in tests):
            return "asserts has to be a text or a list of texts"
        tests = "\n".join(tests)
    preamble = reference.get("preamble", "")
    return _asserts(tests, preamble, _entry(reference), reference.get("in_process", False))


@functools.lru_cache(maxsize=512)
def _asserts(tests: str, preamble: str, entry: str, in_process: bool) -> Form | str:
    """Gives the form of assert code: calls where it can be, then a sandbox of its own, then beside the program."""
    try:
        return _form_of(tests, preamble, entry, in_process)
    except (RecursionError, MemoryError):
        return "the tests are nested too deeply"


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SystemError:
        # CPython before 3.11.9 miscounts its depth where another thread parses at that moment (gh-106905).
        return ast.parse(text)


def _form_of(tests: str, preamble: str, entry: str, in_process: bool) -> Form | str:
    if len(tests) + len(preamble) > MAX_CODE_CHARACTERS:
        return f"the tests have {len(tests) + len(preamble)} characters; at most {MAX_CODE_CHARACTERS} are read"
    try:
        module, before = _parsed(tests), _parsed(preamble)
        found = reach(f"{preamble}\n{tests}", entry)
        own = reach(preamble, "").bound
        redefined = entry.partition(".")[0] in reach(tests, "").bound
    except (SyntaxError, ValueError) as error:
        return f"the tests do not parse: {type(error).__name__}: {str(error)[:120]}"
    tests = assertions.with_calls(tests, module, entry)
    module = _parsed(tests)
    if redefined:
        return f"the tests define {entry!r} themselves, so that no program would be tested"
    if fault := assertions.fault(module, before, is_called=bool(found.wanted), entry=entry):
        return fault
    try:
        converted = convert(module, entry=entry, bound=own)
        return _framed(converted.entry, converted.calls)
    except NotLiteralError:
        reason = evaluation((before, module), found.wanted | {entry}) or obstacle(module, found.wanted)
    if in_process:
        return InProcess(tests, preamble)
    if reason is not None:
        return f'the tests cannot run apart from the program: {reason}; "in_process": true runs them beside it'
    wanted = found.wanted | {entry.partition(".")[0]} - {""}
    return Judged(tests, preamble, tuple(sorted(wanted)), tuple(sorted(found.modules)))


_READ: Mapping[str, Any] = {"calls": _read_calls, "stdin": _read_stdin, "asserts": _read_asserts}
