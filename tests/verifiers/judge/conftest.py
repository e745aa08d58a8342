"""A judge that does not wait long before it tries again."""

import pytest

from rlvr.verifiers.judge import limits


@pytest.fixture
def short_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_BACKOFF_SECONDS", 0.01)
