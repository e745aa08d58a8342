"""Plain values as bytes and back: tagged JSON, never pickle, safe to read from a hostile process.

This file imports nothing of the house, because it is also loaded by itself inside the sandbox. Scalars stand as JSON;
everything else is a JSON array that begins with its tag:

    ["i", "-0xff…"] large int   ["f", "nan"] not finite     ["c", re, im] complex    ["b", base64] bytes, bytearray
    ["l", …] list   ["t", …] tuple   ["s", …] set   ["z", …] frozenset   ["d", key, value, …] dict
    ["q", …] deque  ["n", key, count, …] Counter    ["r", start, stop, step] range   ["h", name] handle

A subclass is written as its base, read by the base's own methods (a namedtuple is a tuple, an IntEnum an int, a
defaultdict or OrderedDict a dict, a number of numpy the number), so what its class overrides is never asked. Sets and
dicts are built by the reader, who refuses keys that occur twice and keys made to collide. A float is never an int here,
nor a bool: types survive.
"""

import binascii
import collections
import json
import math
import time
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 64
MAX_NODES = 200_000
MAX_INT_BITS = 1 << 20
MAX_BYTES = 32 << 20
MAX_SAME_HASH = 64
BUILD_SECONDS = 2.0
"""CPU seconds that the sets and dicts of one frame may take to build; 200,000 ordinary keys take about 0.05."""

_SMALL_INT = 1 << 53
_MAX_DIGITS = 40
_CHECK_EVERY = 256


class CodecError(ValueError):
    """A value cannot be written, or bytes cannot be read; `kind` is the type's name where a type is at fault."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class Handle:
    """Stands for an object that stays on the other side: `name` is a number, or a builtin's name."""

    __slots__ = ("name",)

    def __init__(self, name: int | str) -> None:
        self.name = name


Refer = Callable[[Any], "Handle | None"]
"""Gives the handle to send in place of a value that is no plain data; None where there is none."""


def encode(value: Any, refer: Refer | None = None) -> bytes:
    """Gives the bytes of a plain value. Raises CodecError for any other, and past the limits at the head of this file.

    `refer` gives handles for what cannot be written otherwise.
    """
    writer = _Writer(refer)
    try:
        return json.dumps(writer.write(value, 0), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    except RecursionError:
        raise CodecError("nested too deeply") from None


def decode(data: bytes, resolve: Callable[[int | str], Any] | None = None) -> Any:
    """Gives the value of bytes that `encode` wrote. Raises CodecError for whatever else they are.

    `resolve` gives the object of a handle; without it a handle is refused.
    """
    if len(data) > MAX_BYTES:
        raise CodecError(f"a frame of {len(data)} bytes; at most {MAX_BYTES} are read")
    try:
        parsed = json.loads(
            bytes(data).decode("ascii"),
            object_pairs_hook=_no_object,
            parse_int=_small_int,
            parse_float=_finite_float,
            parse_constant=_no_constant,
        )
        return _Reader(resolve).read(parsed, 0)
    except CodecError:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise CodecError(f"no frame: {type(error).__name__}") from None


def _no_object(pairs: Any) -> Any:
    raise CodecError("a JSON object; dicts are tagged arrays here")


def _no_constant(name: str) -> Any:
    raise CodecError(f"the constant {name}")


def _small_int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise CodecError(f"an integer of {len(text)} digits that is not tagged")
    return int(text)


def _finite_float(text: str) -> float:
    number = float(text) if len(text) <= _MAX_DIGITS else math.inf
    if not math.isfinite(number):
        raise CodecError("a float that is not finite and not tagged")
    return number


def _checked_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise CodecError("a lone surrogate", "str") from None
    return text


class _Writer:
    """Turns values into JSON, counting nodes."""

    def __init__(self, refer: Refer | None) -> None:
        self._refer = refer
        self._nodes = 0

    def write(self, value: Any, depth: int) -> Any:
        """Gives the JSON of a value that stands `depth` containers deep."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise CodecError(f"more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise CodecError(f"nested more than {MAX_DEPTH} deep")
        kind = type(value)
        if value is None or value is True or value is False:
            return value
        write = _WRITERS.get(kind) or next((w for base, w in _WRITERS.items() if base in kind.__mro__), None)
        if write is not None:
            return write(self, value, depth)
        if any(base.__module__ == "numpy" and base.__name__ == "generic" for base in kind.__mro__):
            return self.write(value.item(), depth + 1)
        handle = value if kind is Handle else self._refer(value) if self._refer else None
        if handle is None:
            raise CodecError(f"a value of type {kind.__name__[:80]}", kind.__name__[:80])
        return ["h", handle.name]

    def items(self, tag: str, values: Any, depth: int) -> list[Any]:
        """Gives [tag, item, …]."""
        out: list[Any] = [tag]
        for value in values:
            out.append(self.write(value, depth + 1))
        return out

    def pairs(self, tag: str, values: Any, depth: int) -> list[Any]:
        """Gives [tag, key, value, key, value, …]."""
        out: list[Any] = [tag]
        for key, value in values:
            out += (self.write(key, depth + 1), self.write(value, depth + 1))
        return out


def _write_int(_: _Writer, value: Any, __: int) -> Any:
    number = int.__int__(value)
    if -_SMALL_INT < number < _SMALL_INT:
        return number
    if number.bit_length() > MAX_INT_BITS:
        raise CodecError(f"an integer of {number.bit_length()} bits", "int")
    return ["i", hex(number)]


def _write_float(_: _Writer, value: Any, __: int) -> Any:
    number = float.__float__(value)
    return number if math.isfinite(number) else ["f", repr(number)]


def _write_complex(writer: _Writer, value: Any, depth: int) -> Any:
    number = complex.__complex__(value)
    return ["c", _write_float(writer, number.real, depth), _write_float(writer, number.imag, depth)]


def _write_str(_: _Writer, value: Any, __: int) -> Any:
    return _checked_text(str.__str__(value))


def _write_bytes(_: _Writer, value: Any, __: int) -> Any:
    return ["b", binascii.b2a_base64(memoryview(value), newline=False).decode("ascii")]


def _write_range(writer: _Writer, value: Any, depth: int) -> Any:
    return writer.items("r", (value.start, value.stop, value.step), depth)


_WRITERS: dict[type, Callable[[_Writer, Any, int], Any]] = {
    int: _write_int,
    str: _write_str,
    float: _write_float,
    list: lambda w, v, d: w.items("l", list.__iter__(v), d),
    tuple: lambda w, v, d: w.items("t", tuple.__iter__(v), d),
    collections.Counter: lambda w, v, d: w.pairs("n", dict.items(v), d),
    dict: lambda w, v, d: w.pairs("d", dict.items(v), d),
    set: lambda w, v, d: w.items("s", set.__iter__(v), d),
    frozenset: lambda w, v, d: w.items("z", frozenset.__iter__(v), d),
    complex: _write_complex,
    bytes: _write_bytes,
    bytearray: _write_bytes,
    collections.deque: lambda w, v, d: w.items("q", collections.deque.__iter__(v), d),
    range: _write_range,
}


class _Reader:
    """Turns parsed JSON into values, counting nodes and the time that sets and dicts take."""

    def __init__(self, resolve: Callable[[int | str], Any] | None) -> None:
        self._resolve = resolve
        self._nodes = 0
        self._keys = 0
        self._deadline = 0.0

    def read(self, found: Any, depth: int) -> Any:
        """Gives the value of JSON that stands `depth` containers deep."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise CodecError(f"more than {MAX_NODES} values")
        if depth > MAX_DEPTH:
            raise CodecError(f"nested more than {MAX_DEPTH} deep")
        if not isinstance(found, list):
            return _checked_text(found) if isinstance(found, str) else found
        if not found or not isinstance(found[0], str):
            raise CodecError("an array without a tag")
        tag, rest = found[0], found[1:]
        if tag in _SCALARS:
            return _SCALARS[tag](rest)
        if tag == "h":
            return self._handle(rest)
        if tag not in "ltszdnqr" or len(tag) != 1:
            raise CodecError(f"an unknown tag {tag[:20]!r}")
        return self._container(tag, [self.read(item, depth + 1) for item in rest])

    def _container(self, tag: str, items: list[Any]) -> Any:
        if tag == "l":
            return items
        if tag == "t":
            return tuple(items)
        if tag == "q":
            return collections.deque(items)
        if tag == "r":
            return _range(items)
        if tag in "sz":
            members = set(self._unique(items))
            return members if tag == "s" else frozenset(members)
        if len(items) % 2:
            raise CodecError("a key without a value")
        mapping = self._unique(items[::2], items[1::2])
        return mapping if tag == "d" else collections.Counter(mapping)

    def _unique(self, keys: list[Any], values: list[Any] | None = None) -> dict[Any, Any]:
        """Gives a dict of the keys. Raises CodecError where two are equal, or they collide on purpose."""
        if not self._deadline:
            self._deadline = time.thread_time() + BUILD_SECONDS
        built: dict[Any, Any] = {}
        same_hash: dict[int, int] = {}
        for place, key in enumerate(keys):
            if len(keys) > MAX_SAME_HASH:
                same_hash[hash(key)] = count = same_hash.get(hash(key), 0) + 1
                if count > MAX_SAME_HASH:
                    raise CodecError("keys made to collide")
            built[key] = None if values is None else values[place]
            self._keys += 1
            if self._keys % _CHECK_EVERY == 0 and time.thread_time() > self._deadline:
                raise CodecError("sets and dicts that take too long to build")
        if len(built) != len(keys):
            raise CodecError("a key that occurs twice")
        return built

    def _handle(self, rest: list[Any]) -> Any:
        if self._resolve is None or len(rest) != 1 or type(rest[0]) not in (int, str):
            raise CodecError("a handle where none is due")
        return self._resolve(rest[0])


def _read_int(rest: list[Any]) -> int:
    (text,) = rest
    if not isinstance(text, str) or len(text) > MAX_INT_BITS // 4 + 4 or not text.lstrip("-").startswith("0x"):
        raise CodecError("no large integer")
    number = int(text, 16)
    if hex(number) != text or number.bit_length() > MAX_INT_BITS:
        raise CodecError("no large integer")
    return number


def _read_float(rest: list[Any]) -> float:
    (text,) = rest
    if text not in ("nan", "inf", "-inf"):
        raise CodecError("no float")
    return float(text)


def _read_complex(rest: list[Any]) -> complex:
    real, imag = (_read_float(part[1:]) if isinstance(part, list) else part for part in rest)
    if type(real) is not float or type(imag) is not float:
        raise CodecError("no complex number")
    return complex(real, imag)


def _read_bytes(rest: list[Any]) -> bytes:
    (text,) = rest
    return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)


def _range(items: list[Any]) -> range:
    if len(items) != 3 or any(type(item) is not int for item in items) or items[2] == 0:
        raise CodecError("no range")
    return range(*items)


_SCALARS: dict[str, Callable[[list[Any]], Any]] = {
    "i": _read_int,
    "f": _read_float,
    "c": _read_complex,
    "b": _read_bytes,
}
