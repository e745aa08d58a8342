import collections
import contextlib
import enum
import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.verifiers.sandbox import codec
from rlvr.verifiers.sandbox.codec import CodecError, Handle, decode, encode

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(1 << 300), max_value=1 << 300)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=8)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(HASHABLE, inner, max_size=5)
        | st.sets(HASHABLE, max_size=5)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(collections.deque)
    ),
    max_leaves=20,
)


def same_types(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return all(same_types(a, b) for a, b in zip(left.items(), right.items(), strict=True))
    if isinstance(left, list | tuple | collections.deque):
        return all(map(same_types, left, right))
    return left == right and repr(left) == repr(right) if isinstance(left, float) else left == right


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_what_is_written_is_read_back_with_its_types(value: Any) -> None:
    assert same_types(decode(encode(value)), value)


@settings(max_examples=150, deadline=None)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_value_or_an_error_of_the_codec(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        decode(data)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(list("ltszdnqrifcbh")) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner, max_size=2),
)


@settings(max_examples=200, deadline=None)
@given(JSON_VALUES)
def test_any_json_is_a_value_or_an_error_of_the_codec(value: Any) -> None:
    with contextlib.suppress(CodecError):
        decode(json.dumps(value).encode())


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 1e308, 5e-324, 10**30, -(10**400), 1 << 53, True, 1, 1.0])
def test_numbers_keep_their_type_and_every_bit(value: Any) -> None:
    back = decode(encode(value))
    assert type(back) is type(value)
    assert repr(back) == repr(value) if isinstance(value, float) else back == value


def test_nan_is_read_back_as_nan() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert math.isnan(decode(encode(complex(0, math.nan))).imag)


class Always(list):  # type: ignore[type-arg]
    def __eq__(self, other: object) -> bool:
        return True

    def __len__(self) -> int:
        return 10**6

    def __iter__(self) -> Any:
        return iter([9])

    __hash__ = None  # type: ignore[assignment]


class Color(enum.IntEnum):
    RED = 1


class Text(str):
    def __str__(self) -> str:
        return "forged"

    def encode(self, *_: Any) -> bytes:  # type: ignore[override]
        return b"forged"


class Number(float):
    def __float__(self) -> float:
        return 9.0


class Mapping(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        return [("forged", 1)]


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "base"),
    [
        (Always([1, 2]), [1, 2]),
        (Color.RED, 1),
        (Text("true"), "true"),
        (Number(2.5), 2.5),
        (Mapping(a=1), {"a": 1}),
        (Point(1, 2), (1, 2)),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(int, a=1), {"a": 1}),
        (bytearray(b"x"), b"x"),
    ],
)
def test_a_subclass_is_written_as_its_base_and_its_overridden_methods_are_not_asked(value: Any, base: Any) -> None:
    back = decode(encode(value))
    assert back == base
    assert type(back) is type(base)


def test_a_number_of_numpy_is_written_as_the_number_and_an_array_is_refused() -> None:
    for value, plain in ((np.int64(3), 3), (np.bool_(True), True), (np.float64(0.5), 0.5), (np.float32(0.5), 0.5)):
        back = decode(encode([value]))[0]
        assert (type(back), back) == (type(plain), plain)
    with pytest.raises(CodecError, match="ndarray"):
        encode(np.zeros(2))


def test_a_counter_and_a_deque_stay_what_they_are() -> None:
    assert decode(encode(collections.Counter("aab"))) == collections.Counter("aab")
    assert type(decode(encode(collections.Counter("aab")))) is collections.Counter
    assert decode(encode(collections.deque([1]))) == collections.deque([1])
    assert decode(encode(collections.deque([1]))) != [1]


@pytest.mark.parametrize(
    ("value", "kind"),
    [(object(), "object"), (len, "builtin_function_or_method"), ([1, (x for x in "a")], "generator"), (int, "type")],
)
def test_what_is_no_plain_data_is_refused_with_the_name_of_its_type(value: Any, kind: str) -> None:
    with pytest.raises(CodecError) as error:
        encode(value)
    assert error.value.kind == kind


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_limited_on_both_sides() -> None:
    assert decode(encode(nested(codec.MAX_DEPTH))) == nested(codec.MAX_DEPTH)
    with pytest.raises(CodecError, match="deep"):
        encode(nested(codec.MAX_DEPTH + 1))
    raw = b'["l",' * 65 + b"0" + b"]" * 65
    with pytest.raises(CodecError, match="deep"):
        decode(raw)
    for hostile in (b"[" * 400_000 + b"]" * 400_000, b'["l",' * 200_000 + b"]" * 200_000, b"[" * 900_000):
        with pytest.raises(CodecError):
            decode(hostile)


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(CodecError, match="deep"):
        encode(loop)


def test_shared_parts_cannot_blow_up_a_frame() -> None:
    value: Any = [0] * 10
    for _ in range(10):
        value = [value] * 10
    with pytest.raises(CodecError, match="values"):
        encode(value)


def test_the_number_of_values_is_limited_on_both_sides() -> None:
    with pytest.raises(CodecError, match="more than 200000 values"):
        encode(list(range(10**6)))
    with pytest.raises(CodecError, match="more than 200000 values"):
        decode(b'["l"' + b",0" * 200_001 + b"]")


def test_huge_integers_are_refused_without_being_converted() -> None:
    assert decode(encode(2**100_000)) == 2**100_000
    with pytest.raises(CodecError, match="bits"):
        encode(1 << (codec.MAX_INT_BITS + 1))
    just_too_large = b'["i","0x1' + b"0" * (codec.MAX_INT_BITS // 4) + b'"]'
    for hostile in (
        just_too_large,
        b"9" * 900_000,
        b'["i","0x' + b"f" * 900_000 + b'"]',
        b"1e" + b"9" * 900_000,
        b"1" * 41,
    ):
        with pytest.raises(CodecError):
            decode(hostile)


def hash_flood(keys: Any) -> bytes:
    return ('["s",' + ",".join(json.dumps(["i", hex(key)]) for key in keys) + "]").encode()


def test_keys_made_to_collide_are_refused() -> None:
    with pytest.raises(CodecError, match="collide"):
        decode(hash_flood(k * ((1 << 61) - 1) for k in range(1, 3000)))
    collide = ",".join(f'["c",{float(-1000003 * k)},{float(k)}]' for k in range(3000))
    with pytest.raises(CodecError, match="collide"):
        decode(f'["s",{collide}]'.encode())


def test_sets_that_take_long_to_build_are_given_up() -> None:
    floods = ",".join(f'["l",{hash_flood(k << 40 for k in range(1, 1000)).decode()}]' for _ in range(100))
    start = time.thread_time()
    with contextlib.suppress(CodecError):
        decode(f'["l",{floods}]'.encode())
    assert time.thread_time() - start < 5 * codec.BUILD_SECONDS


@pytest.mark.parametrize(
    "frame",
    ['["d",1,2,1,3]', '["d",1,2,true,3]', '["d",1,2,1.0,3]', '["s",0,false]', '["z",0.0,-0.0]', '["n","a",1,"a",2]'],
)
def test_a_key_that_occurs_twice_is_refused(frame: str) -> None:
    with pytest.raises(CodecError, match="twice"):
        decode(frame.encode())


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{}",
        "[]",
        "[1]",
        '["x"]',
        '["lt"]',
        '[""]',
        '["d",1]',
        '["s",["l"]]',
        '["d",["l"],1]',
        '["f"]',
        '["f",1]',
        '["f","1.5"]',
        '["i"]',
        '["i","12"]',
        '["i","0x_1"]',
        '["i","0x0F"]',
        '["i","--0x1"]',
        '["i",5]',
        '["c",1,2]',
        '["c",1.0]',
        '["b","?"]',
        '["b",1]',
        '["r",1,2,0]',
        '["r",1,2]',
        '["r",1.0,2,3]',
        '["h",1]',
        '["o",0]',
        "NaN",
        "Infinity",
        "1e999",
        '{"done":"pass"}',
        '"\\ud800"',
        '["l"] ["l"]',
        "é",
        "\x00",
    ],
)
def test_a_frame_that_no_encoder_writes_is_refused(frame: str) -> None:
    with pytest.raises(CodecError):
        decode(frame.encode())


def test_a_lone_surrogate_is_refused_on_both_sides() -> None:
    assert decode(encode("😀\x00")) == "😀\x00"
    with pytest.raises(CodecError, match="surrogate"):
        encode("\ud800\x00" * 1000)
    with pytest.raises(CodecError, match="surrogate"):
        decode(b'["l","\\udfff"]')


def test_a_frame_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_BYTES", 10)
    with pytest.raises(CodecError, match="12 bytes"):
        decode(b" " * 12)


def test_a_handle_is_read_only_where_one_is_due() -> None:
    things = {}

    def refer(value: Any) -> Handle | None:
        if callable(value):
            return None
        things[len(things)] = value
        return Handle(len(things) - 1)

    thing = object()
    data = encode([1, thing], refer)
    assert decode(data, things.__getitem__) == [1, thing]
    with pytest.raises(CodecError, match="handle"):
        decode(data)
    with pytest.raises(CodecError, match="handle"):
        decode(b'["h",[1]]', things.__getitem__)
    with pytest.raises(CodecError, match="of type"):
        encode(len, refer)
    assert decode(encode(Handle("int")), {"int": int}.__getitem__) is int
