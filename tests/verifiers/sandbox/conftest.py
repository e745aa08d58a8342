"""What the tests of programs that really run need first."""

import pytest

from rlvr.errors import VerifierError
from rlvr.verifiers import code


@pytest.fixture(scope="module")
def sandboxes() -> None:
    """Skips, with the reason, where this machine has no sandbox that is strong enough."""
    try:
        code.sandboxes()
    except VerifierError as error:
        pytest.skip(error.message)
