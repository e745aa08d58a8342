import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rlvr.data.rows import BadRow
from rlvr.data.sources import TABLES, TYPES, Kind, load
from rlvr.errors import DataError
from rlvr.types import Completion, Document, read_only

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_verifier"


def three_documents(split: str, *, words: int = 1) -> Iterator[Document | BadRow]:
    yield Document("1", "word " * words, split)
    yield BadRow("here:2", "made to be bad")
    yield Document("3", "word", split)


def numbers(split: str) -> Iterator[int]:
    yield 1


NOT_A_FUNCTION = 3
HERE = __name__


@pytest.mark.usefixtures("few_shipped_exercises")
@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("task", "arithmetic"),
        ("demonstration", "arithmetic"),
        ("preference", "arithmetic"),
        ("task", "instructions"),
        ("demonstration", "gym/chain_sum"),
        ("preference", "gym/spell_backward"),
        ("document", "corpus"),
        ("document", "stories"),
    ],
)
def test_our_own_generators_give_as_many_items_as_the_limit_says(kind: Kind, source: str) -> None:
    for split in ("train", "evaluation"):
        loaded = load(kind, source, split, limit=25)
        assert len(loaded.items) == 25
        assert {type(item) for item in loaded.items} == {TYPES[kind]}
    assert load(kind, source, "train", limit=25) == load(kind, source, "train", limit=25)
    with pytest.raises(DataError, match=f"'{source}' has no end"):
        load(kind, source, "train")


@pytest.mark.usefixtures("few_shipped_exercises")
def test_the_tasks_of_a_generator_with_our_working_come_from_reasoning_gym() -> None:
    found = load("task", "gym/spell_backward", "train", limit=5, instruction="").items
    assert [task.verifier for task in found] == ["gym"] * 5
    assert all(task.id.startswith("gym/spell_backward/") for task in found)


def test_every_name_of_every_table_is_a_function() -> None:
    assert [name for table in TABLES.values() for name, f in table.items() if not callable(f)] == []
    assert sorted(TABLES) == sorted(TYPES) == ["demonstration", "document", "preference", "solution", "task"]


def test_a_function_by_import_path_is_a_source_and_may_report_bad_rows() -> None:
    loaded = load("document", f"{HERE}:three_documents", "train", words=2)
    assert [(d.id, d.text, d.domain) for d in loaded.items] == [("1", "word word ", "train"), ("3", "word", "train")]
    assert (loaded.skipped.count, loaded.skipped.first) == (1, "here:2: made to be bad")


def test_a_limit_stops_reading_so_later_bad_rows_are_not_counted() -> None:
    loaded = load("document", f"{HERE}:three_documents", "train", limit=1)
    assert (len(loaded.items), loaded.skipped.count) == (1, 0)


@pytest.mark.parametrize(
    ("kind", "source", "options", "message", "hint"),
    [
        ("task", "gsm", {}, "no task source 'gsm'", "did you mean 'gsm8k'"),
        ("preference", "zzzz", {}, "no preference source 'zzzz'", "known are arithmetic, instructions"),
        ("demonstration", "math500", {}, "no demonstration source 'math500'", "did you mean 'math'"),
        ("task", "gsm8k", {}, "needs the option 'path'", "set path"),
        ("task", "gsm8k", {"pth": "x"}, "no option 'pth'", "did you mean 'path'"),
        ("task", "gsm8k", {"path": "/nowhere"}, "no data file at /nowhere", "path"),
        ("document", f"{HERE}:three_documents", {"limit": 0}, "limit is 0", ""),
        ("document", f"{HERE}:nothing_here", {}, "cannot be imported", "package.module:function"),
        ("document", "no_such_module:f", {}, "No module named 'no_such_module'", "package.module:function"),
        ("document", f"{HERE}:NOT_A_FUNCTION", {}, "is int, expected a function", ""),
        ("document", f"{HERE}:numbers", {}, "gives int, expected Document", ""),
        ("document", f"{HERE}:three_documents", {"wrods": 1}, "no option 'wrods'", "did you mean 'words'"),
    ],
)
def test_what_cannot_be_loaded_is_one_clear_error(
    kind: Kind, source: str, options: dict[str, object], message: str, hint: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load(kind, source, "train", **options)  # type: ignore[call-overload]
    assert hint in caught.value.hint


def test_loading_files_imports_no_heavy_library() -> None:
    script = (
        "import sys; import rlvr.data.sources, rlvr.data.chat, rlvr.data.stream\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'reasoning_gym', 'pyarrow') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, check=True, timeout=60)
    assert done.stdout.strip() == b"[]"


def test_the_example_of_an_own_verifier_counts_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    count = importlib.import_module("letters").count
    tasks = load("task", str(EXAMPLE / "tasks.jsonl"), "all").items
    task = next(task for task in tasks if task.id == "letters/e3")
    assert (len(tasks), task.verifier, task.domain) == (28, "letters:count", "tasks")
    # "eee" holds e three times; "Ee" twice, one off: 0.5 / 2; "" none, three off: 0.5 / 4.
    for text, outcome in (("xEee", 1.0), ("Ee", 0.25), ("", 0.125)):
        ids = read_only([], "int64")
        said = Completion(ids, np.zeros(0, "float32"), np.zeros(0, "bool"), text, "stop", 0)
        assert count(task, said).outcome == outcome


def test_documents_of_a_domain_may_all_be_of_one_form() -> None:
    found = load("document", "instructions", "train", limit=30, form="bare_chat").items
    assert all(d.prompt.startswith("<|user|>") and d.prompt.endswith("<|assistant|>") for d in found)
    assert not any("<think>" in d.text for d in found)
    mixed = load("document", "instructions", "train", limit=30).items
    assert {d.prompt.split(" ", 1)[0] for d in mixed} > {"Q:"}
    with pytest.raises(DataError, match="no form 'verse'"):
        load("document", "instructions", "train", limit=1, form="verse")
    with pytest.raises(DataError, match="needs a limit"):
        load("document", "facts", "train")
