"""Folders that appear whole or not at all.

    write a temporary sibling ─▶ hash, fsync ─▶ rename to its name ─▶ move the `latest` pointer ─▶ prune

A published folder holds `manifest.json` with the size and SHA-256 of each of its files. Killed at any instant, the
pointer names a whole folder; disks and people may still damage one later, which the hashes tell.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from rlvr.errors import CheckpointError
from rlvr.runs.atomic import TEMPORARY, remove_temporaries, replace_file, strict_json, sync, writing

MANIFEST = "manifest.json"
LATEST = "latest"

_DISPLACED = ".old-"


def publish(root: Path, name: str, write: Callable[[Path], None], *, keep: int = 2) -> Path:
    """Gives `root/name`, filled by `write(folder)` and whole, and makes it the latest; older ones beyond `keep` go.

    A folder of that name with the same bytes is left as it is; one with other bytes is replaced. Names are ordered by
    length, then letters; those later than `name` (left by a time line that was given up) stay until replaced.
    Raises RunError when the disk is full or the folder read-only; what was published before is then untouched.
    """
    assert keep >= 1, f"keep is {keep}; the folder just published always stays"
    assert not name.startswith("."), f"{name}: names with a leading dot are for unfinished work"
    target = root / name
    with writing(target):
        root.mkdir(parents=True, exist_ok=True)
        remove_temporaries(root)
        _recover(root)
        temporary = root / f"{TEMPORARY}{name}"
        temporary.mkdir()
        try:
            write(temporary)
            _seal(temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _install(temporary, target)
        replace_file(root / LATEST, f"{name}\n".encode())
        older = [path for path in _published(root) if _order(path) < _order(target)]
        for path in older[keep - 1 :]:
            _remove(path)
    return target


def latest_whole(root: Path) -> tuple[Path, list[str]] | None:
    """Gives the latest published folder whose hashes hold, with a sentence about each one passed over.

    None when nothing was ever published under `root`. The pointer goes first, then the newest before it, then the rest.
    Raises CheckpointError when there are folders and none is whole.
    """
    if not root.is_dir():
        return None
    with writing(root):
        _recover(root)
    published = _published(root)
    if not published:
        return None
    pointed = _pointed(root)
    messages = []
    if pointed is None:
        messages.append(f"{root / LATEST} is missing or unreadable; looking for the newest whole folder")
        candidates = published
    else:
        before = [path for path in published if _order(path) < _order(pointed)]
        after = [path for path in published if _order(path) > _order(pointed)]
        candidates = [pointed, *before, *after]
    for path in candidates:
        damage = damages(path)
        if not damage:
            if messages:
                messages.append(f"using {path}")
            return path, messages
        messages.append(f"{path} is not whole: {damage[0]}")
    raise CheckpointError(
        f"none of the {len(published)} checkpoints under {root} is whole: {'; '.join(messages)}",
        hint="restore one from a copy, or start the stage again",
    )


def damages(path: Path) -> list[str]:
    """Gives what is wrong with a published folder, one sentence each; nothing when it is whole."""
    if not path.is_dir():
        return ["the folder is missing"]
    try:
        files = dict(manifest(path))
    except FileNotFoundError:
        return [f"{MANIFEST} is missing"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{MANIFEST} cannot be read ({error})"]
    return [sentence for name in sorted(files) if (sentence := _damage(path / name, *files[name]))]


def manifest(path: Path) -> dict[str, tuple[int, str]]:
    """Gives (bytes, SHA-256) for each file of a published folder, by its relative name."""
    data = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    return {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in data["files"].items()}


def _damage(path: Path, size: int, digest: str) -> str:
    try:
        if path.stat().st_size != size:
            return f"{path.name} has {path.stat().st_size} bytes, {size} were written"
        return "" if _digest(path) == digest else f"{path.name} does not have the hash that was written"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror or error})"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    entries = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _digest(path)} for path in files
    }
    (folder / MANIFEST).write_text(strict_json({"files": entries}, indent=1) + "\n", encoding="utf-8")
    for path in (*folder.rglob("*"), folder):
        sync(path)


def _install(temporary: Path, target: Path) -> None:
    if target.exists():
        same = (target / MANIFEST).is_file() and (target / MANIFEST).read_bytes() == (temporary / MANIFEST).read_bytes()
        if same and not damages(target):
            shutil.rmtree(temporary)
            return
        displaced = target.with_name(f"{_DISPLACED}{target.name}")
        os.rename(target, displaced)
        os.rename(temporary, target)
        sync(target.parent)
        _remove(displaced)
    else:
        os.rename(temporary, target)
        sync(target.parent)


def _recover(root: Path) -> None:
    """Finishes or undoes a replacement that was cut short between its two renames."""
    for displaced in sorted(root.glob(f"{_DISPLACED}*")):
        target = displaced.with_name(displaced.name.removeprefix(_DISPLACED))
        if target.exists():
            _remove(displaced)
        else:
            os.rename(displaced, target)


def mark_of(checkpoint: str) -> str:
    """Gives a text that changes whenever the files of a checkpoint do; a name on the Hub stands for itself."""
    path = Path(checkpoint)
    if not path.is_dir():
        return checkpoint
    if (path / MANIFEST).is_file():
        return hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()
    files = [file for file in (*path.iterdir(), *path.glob("*_templates/*")) if file.is_file()]
    return strict_json(sorted((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files))


def _remove(path: Path) -> None:
    """Removes a folder in such a way that a kill leaves no half of it under its own name."""
    doomed = path.with_name(f"{TEMPORARY}removed-{path.name}")
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def _order(path: Path) -> tuple[int, str]:
    return len(path.name), path.name


def _published(root: Path) -> list[Path]:
    """Gives the published folders, newest first."""
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(folders, key=_order, reverse=True)


def _pointed(root: Path) -> Path | None:
    try:
        name = (root / LATEST).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return root / name if name and "/" not in name and not name.startswith(".") else None
