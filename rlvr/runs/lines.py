"""JSON Lines files that are only ever appended to, and may end in a torn line."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlvr.errors import RunError
from rlvr.runs.atomic import encode, strict_json, writing


def append_line(path: Path, data: Mapping[str, Any], *, fsync: bool) -> None:
    """Appends one line. A torn last line is cut off first; when the disk fills, the new line is cut off again.

    Raises RunError when the file cannot be written; the lines before are then untouched.
    """
    content = encode(strict_json(data)) + b"\n"
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            end = _whole_bytes(descriptor)
            os.ftruncate(descriptor, end)
            try:
                _write_at(descriptor, content, end)
            except OSError:
                os.ftruncate(descriptor, end)
                raise
            if fsync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Gives the objects in the file, none when it does not exist; a torn last line is passed over.

    Raises RunError with the line number for any other line that is no JSON object.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}", hint="check the rights on that file") from error
    lines = content[: content.rfind(b"\n") + 1].splitlines()
    return [_parse(path, number, line) for number, line in enumerate(lines, start=1)]


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise RunError(
            f"{path}:{number} is not JSON: {line[:60]!r}", hint="restore the file from a copy, or delete that line"
        ) from error
    if not isinstance(data, dict):
        raise RunError(f"{path}:{number} is no JSON object: {line[:60]!r}", hint="delete that line")
    return data


def _whole_bytes(descriptor: int) -> int:
    """Gives the length of the file up to and with its last newline."""
    size = os.fstat(descriptor).st_size
    end = size
    while end > 0:
        start = max(0, end - 4096)
        cut = os.pread(descriptor, end - start, start).rfind(b"\n")
        if cut >= 0:
            return start + cut + 1
        end = start
    return 0


def _write_at(descriptor: int, content: bytes, position: int) -> None:
    while content:
        written = os.pwrite(descriptor, content, position)
        content, position = content[written:], position + written
