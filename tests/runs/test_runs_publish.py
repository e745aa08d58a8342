import errno
import json
import os
from pathlib import Path

import pytest

from rlvr.errors import CheckpointError, RunError
from rlvr.runs.publish import LATEST, MANIFEST, damages, latest_whole, manifest, publish


def writer(text: str):
    def write(folder: Path) -> None:
        (folder / "weights.bin").write_text(text)
        (folder / "inner").mkdir()
        (folder / "inner" / "state.txt").write_text(text * 2)

    return write


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def text_of_latest(root: Path) -> str:
    found = latest_whole(root)
    assert found is not None
    return (found[0] / "weights.bin").read_text()


def test_a_published_folder_holds_size_and_hash_of_each_file(tmp_path):
    path = publish(tmp_path / "c", "step-000001", writer("abc"))
    # The SHA-256 of "abc" is the example of FIPS 180-4.
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert manifest(path)["weights.bin"] == (3, abc)
    assert manifest(path)["inner/state.txt"][0] == 6
    assert latest_whole(tmp_path / "c") == (path, [])


def test_nothing_published_is_no_error(tmp_path):
    assert latest_whole(tmp_path / "missing") is None
    assert latest_whole(tmp_path) is None


def test_the_newest_two_are_kept_and_a_million_comes_after_a_hundred_thousand(tmp_path):
    for name in ("step-000009", "step-000010", "step-999999", "step-1000000"):
        publish(tmp_path, name, writer(name))
    assert names(tmp_path) == [LATEST, "step-1000000", "step-999999"]
    assert text_of_latest(tmp_path) == "step-1000000"


def test_the_folder_just_written_stays_even_when_later_names_are_there(tmp_path):
    for name in ("step-000010", "step-000020"):
        publish(tmp_path, name, writer(name))
    publish(tmp_path, "step-000015", writer("again"), keep=1)
    assert names(tmp_path) == [LATEST, "step-000015", "step-000020"]
    assert text_of_latest(tmp_path) == "again"


def test_the_same_bytes_again_change_nothing_and_other_bytes_replace(tmp_path):
    path = publish(tmp_path, "step-000001", writer("a"))
    inode = path.stat().st_ino
    publish(tmp_path, "step-000001", writer("a"))
    assert path.stat().st_ino == inode
    publish(tmp_path, "step-000001", writer("b"))
    assert path.stat().st_ino != inode
    assert text_of_latest(tmp_path) == "b"
    assert names(tmp_path) == [LATEST, "step-000001"]


def test_the_same_bytes_again_repair_a_damaged_folder(tmp_path):
    path = publish(tmp_path, "step-000001", writer("a"))
    (path / "weights.bin").write_text("x")
    publish(tmp_path, "step-000001", writer("a"))
    assert damages(path) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: (path / "weights.bin").write_text("twp"), "hash"),
        (lambda path: (path / "weights.bin").write_text("tw"), "has 2 bytes, 3 were written"),
        (lambda path: (path / "weights.bin").unlink(), "cannot be read"),
        (lambda path: (path / MANIFEST).unlink(), "manifest.json is missing"),
        (lambda path: (path / MANIFEST).write_text('{"files": {"weights'), "manifest.json cannot be read"),
        (lambda path: (path / MANIFEST).write_text("[1]"), "manifest.json cannot be read"),
    ],
)
def test_a_damaged_folder_is_passed_over_with_a_sentence(tmp_path, damage, sentence):
    first = publish(tmp_path, "step-000001", writer("one"))
    second = publish(tmp_path, "step-000002", writer("two"))
    damage(second)
    found, messages = latest_whole(tmp_path)
    assert found == first
    assert str(second) in messages[0]
    assert sentence in messages[0]
    assert messages[-1] == f"using {first}"
    damage(first) if sentence != "hash" else (first / "weights.bin").write_text("onf")
    with pytest.raises(CheckpointError, match="none of the 2 checkpoints"):
        latest_whole(tmp_path)


def test_a_lost_pointer_or_a_deleted_latest_falls_back_and_says_so(tmp_path):
    first = publish(tmp_path, "step-000001", writer("one"))
    second = publish(tmp_path, "step-000002", writer("two"))
    (tmp_path / LATEST).unlink()
    found, messages = latest_whole(tmp_path)
    assert found == second
    assert "latest is missing" in messages[0]
    (tmp_path / LATEST).write_text("step-000002\n")
    for path in sorted(second.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    second.rmdir()
    found, messages = latest_whole(tmp_path)
    assert found == first
    assert "the folder is missing" in messages[0]


def test_killed_at_any_instant_the_latest_is_the_old_or_the_new_one(die_everywhere):
    def check(folder: Path) -> None:
        found = latest_whole(folder)
        assert found is not None
        path, messages = found
        assert messages == []
        assert [damages(folder / name) for name in names(folder) if name.startswith("step-")] in ([[]], [[], []])
        assert (path / "weights.bin").read_text() == {"step-000001": "one", "step-000002": "two"}[path.name]
        publish(folder, "step-000002", writer("two"), keep=1)
        assert names(folder) == [LATEST, "step-000002"]
        assert text_of_latest(folder) == "two"

    tried = die_everywhere(
        lambda folder: publish(folder, "step-000001", writer("one")),
        lambda folder: publish(folder, "step-000002", writer("two"), keep=1),
        check,
    )
    assert tried > 20


def test_killed_at_any_instant_of_a_replacement_one_of_the_two_is_there(die_everywhere):
    seen = set()

    def check(folder: Path) -> None:
        found = latest_whole(folder)
        assert found is not None
        assert found[1] == []
        seen.add((found[0] / "weights.bin").read_text())
        publish(folder, "step-000001", writer("new"))
        assert names(folder) == [LATEST, "step-000001"]
        assert text_of_latest(folder) == "new"

    die_everywhere(
        lambda folder: publish(folder, "step-000001", writer("old")),
        lambda folder: publish(folder, "step-000001", writer("new")),
        check,
    )
    assert seen == {"old", "new"}


def test_killed_at_any_instant_of_a_replacement_the_next_publication_tidies_up(die_everywhere):
    def check(folder: Path) -> None:
        publish(folder, "step-000002", writer("next"))
        assert names(folder) == [LATEST, "step-000001", "step-000002"]
        assert damages(folder / "step-000001") == []

    die_everywhere(
        lambda folder: publish(folder, "step-000001", writer("old")),
        lambda folder: publish(folder, "step-000001", writer("new")),
        check,
    )


@pytest.mark.parametrize(
    ("number", "sentence", "hint"),
    [(errno.ENOSPC, "No space left on device", "make room"), (errno.EROFS, "Read-only file system", "chmod u\\+w")],
)
def test_a_full_or_read_only_disk_loses_nothing_and_says_what_to_do(tmp_path, number, sentence, hint):
    publish(tmp_path, "step-000001", writer("one"))

    def write(folder: Path) -> None:
        (folder / "half").write_text("h")
        raise OSError(number, os.strerror(number))

    with pytest.raises(RunError, match=f"(?s)step-000002 cannot be written: {sentence}.*{hint}"):
        publish(tmp_path, "step-000002", write)
    assert names(tmp_path) == [LATEST, "step-000001"]
    assert text_of_latest(tmp_path) == "one"


def test_a_disk_that_fills_while_the_pointer_moves_leaves_the_old_pointer(tmp_path, monkeypatch):
    publish(tmp_path, "step-000001", writer("one"))
    replace = os.replace

    def full(source, target):
        if Path(target).name == LATEST:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match="latest cannot be written: No space left on device"):
        publish(tmp_path, "step-000002", writer("two"))
    monkeypatch.undo()
    assert text_of_latest(tmp_path) == "one"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_the_right_to_write_gives_one_clear_error(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(RunError, match="Permission denied"):
            publish(tmp_path / "c", "step-000001", writer("one"))
    finally:
        tmp_path.chmod(0o755)


def test_a_file_in_the_place_of_the_folder_gives_one_clear_error(tmp_path):
    (tmp_path / "c").write_text("")
    with pytest.raises(RunError, match="cannot be written: File exists"):
        publish(tmp_path / "c", "step-000001", writer("one"))


def test_the_manifest_is_strict_json(tmp_path):
    path = publish(tmp_path, "step-000001", writer("one"))
    assert set(json.loads((path / MANIFEST).read_text())) == {"files"}
