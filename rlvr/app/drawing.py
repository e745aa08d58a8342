"""What a verb says that draws a page where the package that draws is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from rlvr.errors import UsageError


@contextmanager
def drawing(page: str) -> Iterator[None]:
    """Stands around the imports that draw `page`. Raises UsageError where one of their packages is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{page} needs {error.name}, which is not installed", hint='pip install "rlvr[train]"'
        ) from error
