"""Files that are either the old ones or the new ones, never something between.

A name that starts with `TEMPORARY` is unfinished work: nobody reads it and the next writer of that folder removes it.
"""

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlvr.errors import RunError

TEMPORARY = ".tmp-"

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


def write_error(path: Path, reason: OSError) -> RunError:
    """Gives the error that says what stopped the writing of `path` and what to do about it."""
    if reason.errno in _FULL:
        hint = "nothing written before is lost: make room on that disk, then continue with `rlvr resume RUN`"
    elif reason.errno in _FORBIDDEN:
        hint = "choose a folder that you may write to, or give yourself the right with `chmod u+w`"
    else:
        hint = "nothing written before is lost: see to that folder, then continue with `rlvr resume RUN`"
    return RunError(f"{path} cannot be written: {reason.strerror or reason}", hint=hint)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an error of the operating system inside the block into a RunError that names `path`."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def sync(path: Path) -> None:
    """Returns once the file or folder is on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replaceable(path: Path) -> Path | None:
    """Gives the file that `path` leads to, links followed; None for a device or a pipe: they are written to."""
    return None if path.exists() and not path.is_file() else path.resolve()


def write_output(path: Path, content: bytes) -> None:
    """Writes what a user asked for: a file is whole or as it was, a device or a pipe is written to at once.

    Raises RunError where it cannot be written.
    """
    if file := replaceable(path):
        replace_file(file, content)
    else:
        with writing(path):
            path.write_bytes(content)


def replace_file(path: Path, content: bytes) -> None:
    """Makes `path` hold `content`, durably: a reader finds the old bytes or the new, whatever happens.

    Raises RunError when the disk is full or the folder read-only; `path` is then as it was.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    with writing(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


def remove_temporaries(folder: Path) -> None:
    """Removes the unfinished work that a killed writer left in `folder`."""
    for path in sorted(folder.glob(f"{TEMPORARY}*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def strict_json(data: Any, *, indent: int | None = None) -> str:
    """Gives `data` as strict JSON: NaN and infinities become null, numpy numbers plain ones, paths strings.

    Raises TypeError for what JSON cannot say.
    """
    return json.dumps(_plain(data), indent=indent, ensure_ascii=False, allow_nan=False)


def encode(text: str) -> bytes:
    """Gives UTF-8 bytes; lone surrogates, which UTF-8 cannot say, are written as escapes."""
    return text.encode("utf-8", "backslashreplace")


def _plain(data: Any) -> Any:
    if data is None or isinstance(data, (bool, int, str)):
        return data
    if isinstance(data, float):
        return float(data) if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key if isinstance(key, str) else str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (Sequence, set, frozenset)) and not isinstance(data, bytes):
        return [_plain(value) for value in (sorted(data) if isinstance(data, (set, frozenset)) else data)]
    if isinstance(data, os.PathLike):
        return os.fspath(data)
    if hasattr(data, "tolist"):
        return _plain(data.tolist())
    raise TypeError(f"{type(data).__name__} cannot be written as JSON: {data!r}")
