"""Fixtures for all tests; standing here puts `tests/` on the path, so that `import tiny` works."""

import os
from typing import Any

import pytest

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """The tokenizer of tests/tiny.py."""
    from tiny import make_tokenizer

    return make_tokenizer()
