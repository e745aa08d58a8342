"""Functions for the workers of the pool tests: good ones and bad ones."""

import os
import signal
import sys
import time
from pathlib import Path


def double(n: int) -> int:
    return 2 * n


def echo(value: object) -> object:
    return value


def length(text: str) -> int:
    return len(text)


def spin(_: object) -> None:
    while True:
        pass


def spin_once(mark: str) -> str:
    if Path(mark).exists():
        return "second attempt"
    Path(mark).touch()
    while True:
        pass


def spin_and_count(mark: str) -> None:
    with Path(mark).open("a") as tries:
        tries.write("x")
    while True:
        pass


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def allocate(size: int) -> int:
    return len(bytearray(size))


def die(number: int) -> None:
    signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
    os.kill(os.getpid(), number)
    time.sleep(60)


def fail(message: str) -> None:
    raise ValueError(message)


def leave(_: object) -> None:
    sys.exit(3)


def chatter(value: object) -> object:
    print("noise" * 1000, flush=True)
    os.write(1, b"raw noise")
    return value


def environment(_: object) -> list[str | None]:
    return [os.environ.get("OMP_NUM_THREADS"), os.environ.get("PYTHONHASHSEED")]


def processes(_: object) -> list[int]:
    return [os.getppid(), os.getpid()]
