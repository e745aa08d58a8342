"""Limits: read from a row, checked, and kept."""

import pytest

from rlvr.errors import UsageError
from rlvr.verifiers.sandbox.limits import Limits, read_limits


def test_the_wall_limit_is_three_times_the_cpu_limit_unless_said() -> None:
    assert Limits().deadline_seconds == 15.0
    assert Limits(cpu_seconds=2.0, wall_seconds=2.5).deadline_seconds == 2.5


def test_a_row_overrides_what_it_names() -> None:
    read = read_limits({"cpu_seconds": 2, "output_bytes": 10}, default=Limits(memory_bytes=1 << 28))
    assert read == Limits(cpu_seconds=2.0, output_bytes=10, memory_bytes=1 << 28)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cpu": 1}, "'cpu' is no limit of a run"),
        ({"cpu_seconds": "1"}, "expected a number"),
        ({"cpu_seconds": True}, "expected a number"),
        ({"memory_bytes": 1e9}, "expected a whole number"),
        ({"cpu_seconds": float("nan")}, "expected 0.1 to 3600"),
        ({"cpu_seconds": 1e9}, "expected 0.1 to 3600"),
        ({"memory_bytes": 1}, "the limit memory_bytes is 1"),
        ({"output_bytes": 1 << 50}, "the limit output_bytes"),
    ],
)
def test_what_is_no_limit_is_refused_by_name(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_limits(given)
