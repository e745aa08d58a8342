"""Fixtures for all tests; standing here puts `tests/` on the path, so that `import tiny` works."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("rlvr", deadline=None)  # a test asserts no time: the machine may be busy
settings.load_profile("rlvr")

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many of these as cores; read when torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """The tokenizer of tests/tiny.py."""
    from tiny import make_tokenizer

    return make_tokenizer()


@pytest.fixture(scope="module")
def few_shipped_exercises() -> Iterator[None]:
    """1000 different exercises of reasoning-gym, made in this process: each of its own takes seconds to start.

    What the fixed hash seed of those is for, sets that are walked over, the generators of our domains do not have.
    """
    from rlvr.data import gym
    from rlvr.data.synthetic import shipped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gym, "_in_child", lambda order, deadline_seconds: gym.answer_order(order)["entries"])
        patch.setattr(shipped, "NUM_DIFFERENT", dict.fromkeys(shipped.NUM_DIFFERENT, 1000))
        shipped._shipped.cache_clear()
        yield
    shipped._shipped.cache_clear()
