"""Machines of other strength for the tests of the doors."""

from collections.abc import Iterator

import pytest

from rlvr.errors import VerifierError
from rlvr.verifiers.sandbox import launch, levels


@pytest.fixture
def fresh() -> Iterator[None]:
    """A sandbox whose level nobody has assessed yet."""
    levels.assess.cache_clear()
    yield
    levels.assess.cache_clear()


@pytest.fixture
def weak(monkeypatch: pytest.MonkeyPatch, fresh: None) -> None:
    """A machine with nothing but resource limits."""
    real = levels._launch

    def only_the_lowest(level: int, interpreter: launch.Interpreter) -> launch.Launch:
        if level:
            raise VerifierError("this kernel has no such thing")
        return real(level, interpreter)

    monkeypatch.setattr(levels, "_launch", only_the_lowest)
