"""A guard for worker processes that evaluate model text: no writing, no processes, no network, no native code.

It is a second line behind reading answers as data, and no sandbox: what must run hostile programs needs a real one.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Named one by one: a wider ban also hits imports, and a scorer that swallows the error would give wrong verdicts.
_FORBIDDEN = frozenset(
    (
        *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill", "os.killpg"),
        *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
        *("os.chown", "os.utime", "os.chdir", "os.setxattr", "subprocess.Popen", "pty.spawn"),
        *("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"),
        *("shutil.rmtree", "shutil.move", "shutil.copyfile", "ctypes.dlopen", "ctypes.dlsym", "urllib.Request"),
    )
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CODE = re.compile(
    r"__|\b(?:import|lambda)\b"
    r"|\b(?:eval|exec|open|compile|[gs]etattr|delattr|globals|locals|vars|breakpoint|input|exit|quit|type|dir)\s*\("
)
_installed: list[bool] = []
_barred: list[bool] = []


def looks_like_code(text: str) -> bool:
    """Gives whether an answer reads like Python that reaches beyond arithmetic."""
    return _CODE.search(text) is not None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _barred:
        return
    if event == "open":
        flags = arguments[2] if len(arguments) > 2 else 0
        if isinstance(flags, int) and flags & _WRITING:
            raise PermissionError(f"a verifier may not write: {arguments[0]!r}")
    elif event in _FORBIDDEN:
        raise PermissionError(f"a verifier may not do {event}")


@contextmanager
def side_effects_barred() -> Iterator[None]:
    """Makes this process refuse to write, start processes, open sockets or load native code inside the block."""
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)
    _barred.append(True)
    try:
        yield
    finally:
        _barred.pop()
