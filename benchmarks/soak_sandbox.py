"""Runs the code sandbox for long, every tenth program hostile, every fifth judged, and says what was left or lost.

Exit code 1 where a verdict was wrong, or where descriptors, processes, files or memory were left. Memory is compared
between the end of the first tenth and the end.

    python benchmarks/soak_sandbox.py --runs 20000
"""

import argparse
import collections
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rlvr.verifiers.pool import usable_cores
from rlvr.verifiers.sandbox import codec
from rlvr.verifiers.sandbox.forms import Judged
from rlvr.verifiers.sandbox.judged import judge
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import SandboxPool

LIMITS = Limits(cpu_seconds=1.0, wall_seconds=3.0)
TESTS = Judged("for n in range(3):\n    assert f(n) == [n, str(n)]\n", "", ("f",), ())
MAX_GROWTH = 1.1
HOSTILE = (
    ("import os\nos._exit(3)", "exception"),
    ("while True: pass", "timeout"),
    ("import time\ntime.sleep(100)", "timeout"),
    ("x = bytearray(2 << 30)", "memory"),
    ("print('x' * 10**6)", "output_limit"),
    ("import ctypes\nctypes.string_at(8)", "crash"),
    ("import os\nos.fork()", "exception"),
    ("import os\nos.kill(-1, 9)", "exception"),
    ("for n in range(3000): open(str(n), 'w').close()\n1 / 0", "exception"),
    ("import os\nos.chmod('.', 0)\nopen('x', 'w')\n1 / 0", "exception"),
    ("for n in range(30): open(str(n), 'wb').write(b'x' * 10**6)", "exception"),
    (
        "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'\\xff' * 4)\n    except OSError: pass",
        "output_limit",
    ),
    ("import os\nos.mkdir('a')\nos.chmod('a', 0)\n1 / 0", "exception"),
    ("import os\n[os.pipe() for _ in range(100)]", "exception"),
    ("def f(: pass", "exception"),
)


def main() -> int:
    """Runs, prints what was found as JSON, gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000, help="programs (default 20000)")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="sandboxes at once (default: cores)")
    options = parser.parse_args()
    SandboxPool(1).close()  # the self-test
    before = _held()
    pool = SandboxPool(options.workers)
    start, wrong, seen = time.monotonic(), [], collections.Counter[str]()
    early = 0
    with ThreadPoolExecutor(options.workers) as threads:
        for number, (status, expected) in enumerate(threads.map(lambda n: _one(pool, n), range(options.runs))):
            seen[status] += 1
            if status != expected:
                wrong.append({"number": number, "status": status, "expected": expected})
            if number == options.runs // 10:
                early = _rss_bytes()
    seconds, late = time.monotonic() - start, _rss_bytes()
    pool.close()
    after = _held()
    report = {
        "statement": pool.assessment.statement(),
        "runs": sum(seen.values()),
        "statuses": dict(seen),
        "wrong": wrong,
        "seconds": seconds,
        "rss_bytes": [early, late],
        "held_before": before,
        "held_after": after,
    }
    print(json.dumps(report, indent=1))
    return int(bool(wrong) or late > MAX_GROWTH * early or before != after or report["runs"] != options.runs)


def _one(pool: SandboxPool, number: int) -> tuple[str, str]:
    """Makes one run; gives what came and what should have."""
    if number % 10 == 7:
        program, expected = HOSTILE[number // 10 % len(HOSTILE)]
        return pool.run_stdin(program, b"", LIMITS).status, expected
    if number % 5 == 3:
        result = judge(pool.session, "def f(x):\n    return [x, str(x)]", TESTS, LIMITS)
        return result.status if result.passed else f"{result.status}, not passed", "ok"
    if number % 2:
        ran = pool.run_stdin("print(int(input()) + 1)", f"{number}\n".encode(), LIMITS)
        return ran.status if ran.stdout == f"{number + 1}\n".encode() else f"{ran.status}, wrong output", "ok"
    call = codec.encode([[number], {}])
    ran, replies = pool.run_calls("def f(x):\n    return [x, str(x)]", "f", [call] * 3, LIMITS)
    right = [codec.decode(reply) for reply in replies] == [["value", [number, str(number)], None]] * 3
    return ran.status if right else f"{ran.status}, wrong replies", "ok"


def _held() -> dict[str, int]:
    """Gives what this process and its user hold: descriptors, children, folders of sandboxes."""
    children = sum(
        len(Path(f"/proc/self/task/{task}/children").read_text().split()) for task in os.listdir("/proc/self/task")
    )
    boxes = len(list(Path(tempfile.gettempdir()).glob("rlvr-b*-*")))
    return {"descriptors": len(os.listdir("/proc/self/fd")), "children": children, "folders": boxes}


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
