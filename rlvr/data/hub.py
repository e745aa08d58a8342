"""Data sets of the Hugging Face Hub, or local folders in its layout, through `datasets`.

Splits: "train" and "evaluation" part the data set's split `hub_split` by the hash of the problem, "all" takes it whole.
"""

from collections.abc import Callable, Iterator
from functools import partial

from rlvr.data import gsm8k, math
from rlvr.data.files import stem_of
from rlvr.data.formats import (
    Item,
    demonstration_from_row,
    document_from_row,
    preference_from_row,
    selected,
    task_from_row,
)
from rlvr.data.rows import BadRow, Row
from rlvr.errors import DataError, UsageError
from rlvr.types import Demonstration, Document, Preference, Task

TASK_LAYOUTS: dict[str, Callable[[Row], Task]] = {"gsm8k": gsm8k.task_from_row, "math": math.task_from_row}
DEMONSTRATION_LAYOUTS: dict[str, Callable[[Row], Demonstration]] = {
    "gsm8k": gsm8k.demonstration_from_row,
    "math": math.demonstration_from_row,
}


def tasks(
    split: str,
    *,
    path: str,
    config: str | None = None,
    hub_split: str = "train",
    evaluation_share: float = 0.05,
    layout: str = "columns",
    domain: str = "",
    verifier: str | None = None,
    instruction: str = "",
) -> Iterator[Task | BadRow]:
    """Yields the tasks of the data set `path` ("owner/name", or a folder) with its `config` and split `hub_split`.

    `layout` is "columns" (those that `rlvr.data.formats` knows), "gsm8k" or "math"; other options as
    `rlvr.data.files.tasks`.
    """
    columns: Callable[[Row], Task] = partial(task_from_row, domain=domain or stem_of(path), verifier=verifier)
    parse = _layout(layout, {"columns": columns, **TASK_LAYOUTS})
    rows = read_hub(path, config=config, hub_split=hub_split)
    return selected(rows, parse, split=split, evaluation_share=evaluation_share, instruction=instruction)


def demonstrations(
    split: str,
    *,
    path: str,
    config: str | None = None,
    hub_split: str = "train",
    evaluation_share: float = 0.05,
    layout: str = "columns",
    domain: str = "",
    instruction: str = "",
) -> Iterator[Demonstration | BadRow]:
    """Yields the demonstrations of a data set; options as `tasks`."""
    columns: Callable[[Row], Demonstration] = partial(demonstration_from_row, domain=domain or stem_of(path))
    parse = _layout(layout, {"columns": columns, **DEMONSTRATION_LAYOUTS})
    rows = read_hub(path, config=config, hub_split=hub_split)
    return selected(rows, parse, split=split, evaluation_share=evaluation_share, instruction=instruction)


def preferences(
    split: str,
    *,
    path: str,
    config: str | None = None,
    hub_split: str = "train",
    evaluation_share: float = 0.05,
    domain: str = "",
    instruction: str = "",
) -> Iterator[Preference | BadRow]:
    """Yields the preferences of a data set; options as `tasks`."""
    parse = partial(preference_from_row, domain=domain or stem_of(path))
    rows = read_hub(path, config=config, hub_split=hub_split)
    return selected(rows, parse, split=split, evaluation_share=evaluation_share, instruction=instruction)


def documents(
    split: str,
    *,
    path: str,
    config: str | None = None,
    hub_split: str = "train",
    evaluation_share: float = 0.05,
    domain: str = "",
) -> Iterator[Document | BadRow]:
    """Yields the documents of a data set; options as `tasks`."""
    parse = partial(document_from_row, domain=domain or stem_of(path))
    rows = read_hub(path, config=config, hub_split=hub_split)
    return selected(rows, parse, split=split, evaluation_share=evaluation_share)


def read_hub(path: str, *, config: str | None, hub_split: str) -> Iterator[Row]:
    """Yields the rows of a data set, named "path/hub_split:row" from 1.

    Raises: UsageError where `datasets` is not installed; DataError where it cannot load the data set.
    """
    try:
        import datasets
    except ImportError as error:
        raise UsageError(
            "the source hub needs the package datasets, which is not installed", hint="pip install 'rlvr[hub]'"
        ) from error
    try:
        loaded = datasets.load_dataset(path, config, split=hub_split)
    except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"cannot load the split {hub_split!r} of the data set {path!r}: {error}",
            hint="check path, config and hub_split, and that this machine reaches the Hub",
        ) from error
    return (Row(f"{path}/{hub_split}:{number}", values) for number, values in enumerate(loaded, start=1))


def _layout(name: str, layouts: dict[str, Callable[[Row], Item]]) -> Callable[[Row], Item]:
    if name not in layouts:
        raise DataError(f"there is no layout {name!r}", hint=f"use one of {', '.join(layouts)}")
    return layouts[name]
