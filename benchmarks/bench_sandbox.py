"""Measures the code sandbox beside `python -I -c` in the same loop: latency, runs a second, CPU time of a run.

The sides are interleaved, so that what else the machine does weighs on all of them. CPU time is that of this process,
of its ended children, and of the sandboxes' processes, as the kernel counts them.

    python benchmarks/bench_sandbox.py --runs 200
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rlvr.verifiers.pool import usable_cores
from rlvr.verifiers.sandbox import codec
from rlvr.verifiers.sandbox.forms import Judged
from rlvr.verifiers.sandbox.judged import judge
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import SandboxPool

PROGRAM = "def solve(xs):\n    return sorted(set(xs), reverse=True)\n"
SCRIPT = "print(*sorted(set(map(int, input().split())), reverse=True))"
CALLS = [codec.encode([[[*range(n, 0, -1), 1, 2]], {}]) for n in range(5)]
TESTS = Judged(
    "for xs in ([3, 1, 3], [2], []):\n    assert solve(xs) == sorted(set(xs), reverse=True)\n", "", ("solve",), ()
)
LIMITS = Limits()


def main() -> None:
    """Prints the figures, as JSON on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="runs of each kind (default 200)")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="sandboxes at once (default: cores)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pool = SandboxPool(options.workers)
    kinds: dict[str, Callable[[], None]] = {
        "calls": lambda: _calls(pool),
        "stdin": lambda: _stdin(pool),
        "judged": lambda: _judged(pool),
        "python -I -c": _plain,
    }
    for act in kinds.values():
        act()
    found = {name: _latency(times) for name, times in _interleaved(kinds, options.runs).items()}
    for name, act in kinds.items():
        number = options.runs if name != "python -I -c" else max(20, options.runs // 5)
        found[name] |= _throughput(act, number, options.workers, pool)
    plain = found["python -I -c"]["per_second"]
    report = {
        "statement": pool.assessment.statement(),
        "load": os.getloadavg(),
        "workers": options.workers,
        "kinds": found,
        "to_plain_ratio": {name: found[name]["per_second"] / plain for name in kinds if name != "python -I -c"},
    }
    pool.close()
    print(json.dumps(report, indent=1) if options.json else _table(report))


def _calls(pool: SandboxPool) -> None:
    ran, replies = pool.run_calls(PROGRAM, "solve", CALLS, LIMITS)
    assert (ran.status, len(replies)) == ("ok", len(CALLS)), ran


def _stdin(pool: SandboxPool) -> None:
    ran = pool.run_stdin(SCRIPT, b"3 1 3\n", LIMITS)
    assert ran.stdout == b"3 1\n", ran


def _judged(pool: SandboxPool) -> None:
    result = judge(pool.session, PROGRAM, TESTS, LIMITS)
    assert (result.path, result.status, result.passed) == ("judged", "ok", 1), result


def _plain() -> None:
    done = subprocess.run([sys.executable, "-I", "-c", SCRIPT], input=b"3 1 3\n", capture_output=True, check=True)
    assert done.stdout == b"3 1\n"


def _interleaved(kinds: dict[str, Callable[[], None]], runs: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(runs):
        for name, act in kinds.items():
            if name == "python -I -c" and number % 5:
                continue
            start = time.perf_counter()
            act()
            times[name].append((time.perf_counter() - start) * 1000)
    return times


def _latency(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {
        "min_ms": ordered[0],
        "median_ms": statistics.median(ordered),
        "p95_ms": ordered[int(0.95 * (len(ordered) - 1))],
    }


def _throughput(act: Callable[[], None], number: int, workers: int, pool: SandboxPool) -> dict[str, float]:
    cpu, start = _cpu_seconds(pool), time.perf_counter()
    with ThreadPoolExecutor(workers) as threads:
        for future in [threads.submit(act) for _ in range(number)]:
            future.result()
    wall = time.perf_counter() - start
    return {"per_second": number / wall, "cpu_ms_per_run": (_cpu_seconds(pool) - cpu) * 1000 / number}


def _cpu_seconds(pool: SandboxPool) -> float:
    """Gives the CPU seconds so far of this process, its ended children and the fork servers with theirs."""
    ours = os.times()
    ticks = 0
    for pid in pool.pids():
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:15]))
    own = ours.user + ours.system + ours.children_user + ours.children_system
    return own + ticks / os.sysconf("SC_CLK_TCK")


def _table(report: dict) -> str:
    lines = [report["statement"], f"load {report['load'][0]:.1f}, {report['workers']} sandboxes at once"]
    lines.append(f"{'':14} {'min ms':>8} {'median':>8} {'p95':>8} {'per s':>8} {'CPU ms':>8}")
    for name, row in report["kinds"].items():
        keys = ("min_ms", "median_ms", "p95_ms", "per_second", "cpu_ms_per_run")
        lines.append(f"{name:14} " + " ".join(f"{row[key]:8.1f}" for key in keys))
    ratios = ", ".join(f"{name} {ratio:.1f} times" for name, ratio in report["to_plain_ratio"].items())
    lines.append(f"runs a second, to plain Python: {ratios}; stdin runs the same script on the same input")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
