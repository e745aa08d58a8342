"""Tests of programs as other data sets write them, to references of the verifier "code".

    asserts        AceCode `test_cases`, Tulu `ground_truth` of "code": ["assert f(1) == 2", …]
    cases          Tulu `ground_truth` of "code_stdio": [{"input": "…", "output": "…"}, …]
    input_output   APPS: {"inputs": […], "outputs": […], "fn_name": "…"?}; with fn_name an input is a list of arguments
    test cases     LiveCodeBench: [{"input", "output", "testtype": "stdin" | "functional"}, …]; an argument per line

Sources: Hendrycks et al., "Measuring Coding Challenge Competence With APPS", 2021; Jain et al., "LiveCodeBench", 2024;
Zeng et al., "AceCoder", 2025; Lambert et al., "Tulu 3", 2024. Each function raises DataError for what it cannot use.
"""

import ast
import base64
import binascii
import io
import json
import pickle
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from rlvr.errors import DataError

MAX_PACKED_BYTES = 256 << 20

Reference = dict[str, Any]


def from_label(value: Any) -> Any:
    """Gives the reference of a Tulu row's ground truth, JSON text or what it holds; one of ours stays as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        value = read_json(value, "ground_truth")
    if isinstance(value, Mapping) and value.keys() & {"calls", "stdin", "asserts"}:
        return dict(value)
    if isinstance(value, Mapping) and {"inputs", "outputs"} <= value.keys():
        return from_input_output(value)
    if isinstance(value, list) and value and all(isinstance(case, Mapping) for case in value):
        return from_cases(value)
    return from_asserts([value] if isinstance(value, str) else value)


def from_asserts(lines: Any) -> Reference:
    """Gives the reference of assert statements, each a text."""
    if not isinstance(lines, list) or not lines or not all(isinstance(line, str) and line.strip() for line in lines):
        raise DataError("no tests: expected a list of assert statements")
    return {"asserts": "\n".join(lines)}


def from_cases(cases: Sequence[Any]) -> Reference:
    """Gives the reference of (input, output) pairs on standard input and output."""
    found = [{"input": _lines(case.get("input")), "output": _lines(case.get("output"))} for case in cases]
    if not found:
        raise DataError("no tests: the list of cases is empty")
    return {"stdin": found}


def from_input_output(value: Mapping[str, Any]) -> Reference:
    """Gives the reference of APPS' `input_output`.

    With `fn_name`, APPS wraps each output in a list of one; where every output is such a list it is taken out.
    """
    inputs, outputs, name = value.get("inputs"), value.get("outputs"), value.get("fn_name")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or not inputs or len(inputs) != len(outputs):
        raise DataError("no tests: inputs and outputs have to be lists of the same length, not empty")
    if not name:
        return from_cases([{"input": one, "output": other} for one, other in zip(inputs, outputs, strict=True)])
    if not isinstance(name, str) or not all(isinstance(args, list) for args in inputs):
        raise DataError("the arguments of each case have to be a list")
    if all(isinstance(output, list) and len(output) == 1 for output in outputs):
        outputs = [output[0] for output in outputs]
    calls = [{"args": args, "expected": output} for args, output in zip(inputs, outputs, strict=True)]
    return {"calls": calls, "entry": name}


def from_test_cases(cases: Any, name: str, starter: str) -> Reference:
    """Gives the reference of LiveCodeBench's test cases; `name` is the function, a method where the starter says so."""
    if not isinstance(cases, list) or not cases or not all(isinstance(case, Mapping) for case in cases):
        raise DataError("no tests")
    kinds = {case.get("testtype") for case in cases}
    if kinds == {"stdin"}:
        return from_cases(cases)
    if kinds != {"functional"} or not name:
        raise DataError(f"test cases of the kinds {sorted(map(str, kinds))}, function {name!r}; expected one kind")
    calls = [
        {
            "args": [read_json(line, "an argument") for line in str(case["input"]).splitlines() if line.strip()],
            "expected": read_json(str(case["output"]), "an output"),
        }
        for case in cases
    ]
    return {"calls": calls, "entry": entry_of(name, starter)}


def entry_of(name: str, starter: str) -> str:
    """Gives "Class.name" where the starter code defines the function as a method, else the name."""
    try:
        body = parsed(f"{starter.rstrip()}\n        pass\n", "the starter code").body if starter.strip() else []
    except DataError:
        body = []
    for node in body:
        if isinstance(node, ast.ClassDef) and any(isinstance(i, ast.FunctionDef) and i.name == name for i in node.body):
            return f"{node.name}.{name}"
    return f"Solution.{name}" if "class Solution" in starter else name


def unpacked(text: str) -> Any:
    """Gives LiveCodeBench's private test cases: JSON, or JSON pickled, compressed and in base64.

    The pickle may hold plain data only; one that names anything to import is refused.
    """
    if text.lstrip()[:1] in ("[", "{"):
        return read_json(text, "private_test_cases")
    try:
        stream = zlib.decompressobj()
        data = stream.decompress(base64.b64decode(text, validate=True), MAX_PACKED_BYTES)
        if stream.unconsumed_tail:
            raise DataError(f"private_test_cases unpack to more than {MAX_PACKED_BYTES} bytes")
        found = _PlainUnpickler(io.BytesIO(data)).load()
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError) as error:
        raise DataError(f"private_test_cases cannot be unpacked: {type(error).__name__}: {error}") from None
    return read_json(found, "private_test_cases") if isinstance(found, str) else found


class _PlainUnpickler(pickle.Unpickler):
    """Reads plain data and imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuses."""
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def parsed(text: str, what: str) -> ast.Module:
    """Gives the syntax tree of Python code, without a word on its style."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise DataError(f"{what} is no Python: {error}") from None


def read_json(text: str, what: str) -> Any:
    """Gives what JSON text holds."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{what} is no JSON: {error}") from None


def _lines(value: Any) -> str:
    """Gives a text; APPS writes some inputs and outputs as lists of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise DataError(f"an input or output is {str(value)[:60]!r}, expected text")
    return value
