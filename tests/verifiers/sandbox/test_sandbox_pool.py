"""The pool: statuses, trouble told apart, nothing left behind, many at once."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rlvr.errors import UsageError, VerifierError
from rlvr.verifiers.sandbox import codec, launch, levels
from rlvr.verifiers.sandbox import pool as pool_module
from rlvr.verifiers.sandbox.box import Box
from rlvr.verifiers.sandbox.job import Job
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import EndedError, SandboxPool, close_all, shared
from rlvr.verifiers.sandbox.talk import BrokenError

LIMITS = Limits(cpu_seconds=1.0, wall_seconds=15.0)
ADD = "def add(x, y=0): return x + y"


@pytest.fixture(scope="module")
def pool() -> Iterator[SandboxPool]:
    try:
        made = SandboxPool(2)
    except VerifierError as error:
        pytest.skip(error.message)
    yield made
    made.close()


def call(*args: object, **kwargs: object) -> bytes:
    return codec.encode([list(args), kwargs])


@pytest.mark.parametrize(
    ("program", "status", "error", "code"),
    [
        ("print(int(input()) + 1)", "ok", "", 0),
        ("1 / 0", "exception", "ZeroDivisionError: division by zero", 1),
        ("def f(:", "exception", "SyntaxError: invalid syntax (solution.py, line 1)", 1),
        ("import sys; sys.exit(3)", "exception", "exit status 3", 3),
        ("import sys; sys.exit('bad')", "exception", "exit status 1", 1),
        ("x = bytearray(2 << 30)", "memory", "MemoryError", 1),
        ("print('x' * 300_000)", "output_limit", "300001 bytes of output; at most 262144", 0),
        ("import ctypes; ctypes.string_at(8)", "crash", "ended by signal 11", -11),
    ],
)
def test_the_status_says_how_a_script_ended(
    pool: SandboxPool, program: str, status: str, error: str, code: int
) -> None:
    ran = pool.run_stdin(program, b"41\n", LIMITS)
    assert (ran.status, ran.error, ran.exit_code) == (status, error, code)
    assert ran.stdout == (b"42\n" if status == "ok" else ran.stdout)


def test_the_cpu_limit_ends_a_loop_and_the_wall_limit_ends_a_sleep(pool: SandboxPool) -> None:
    loop = pool.run_stdin("while True: pass", b"", LIMITS)
    assert loop.status == "timeout"
    assert 0.5 < loop.cpu_seconds < 2.0
    sleep = pool.run_stdin("import time; time.sleep(60)", b"", Limits(cpu_seconds=1.0, wall_seconds=1.0))
    assert sleep.status == "timeout"
    assert sleep.cpu_seconds < 0.5
    assert sleep.wall_seconds >= 1.0


def test_a_host_that_keeps_a_run_from_running_moves_its_deadline_but_not_for_ever(
    pool: SandboxPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(cpu_seconds=1.0, wall_seconds=0.3)
    sleep = "import time; time.sleep(1); print(1)"
    assert pool.run_stdin(sleep, b"", limits).status == "timeout"
    monkeypatch.setattr(Box, "starved_seconds", lambda box: 100.0)
    assert pool.run_stdin(sleep, b"", limits).stdout == b"1\n"
    start = time.monotonic()
    assert pool.run_stdin("import time; time.sleep(100)", b"", limits).status == "timeout"
    assert 3.0 <= time.monotonic() - start < 30.0


def test_a_run_that_competes_for_a_core_counts_as_kept_waiting(pool: SandboxPool) -> None:
    program = """
import threading, time
def spin():
    until = time.monotonic() + 1
    while time.monotonic() < until: hash("x" * 10**6)
threads = [threading.Thread(target=spin) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    box = pool.assessment.start()
    seen: list[float] = []
    watch = threading.Thread(target=lambda: (time.sleep(0.8), seen.append(box.starved_seconds())))
    watch.start()
    try:
        box.run(Job("stdin", program.encode(), Limits(cpu_seconds=8.0, wall_seconds=30.0)))
        watch.join()
        assert 0.0 < seen[0] < 5.0
    finally:
        box.close()


def test_a_script_that_closes_everything_and_hangs_is_a_timeout(pool: SandboxPool) -> None:
    limits = Limits(cpu_seconds=1.0, wall_seconds=0.5)
    assert pool.run_stdin("import os, time; os.closerange(0, 64); time.sleep(60)", b"", limits).status == "timeout"
    late = "import atexit, time; atexit.register(time.sleep, 60); 1 / 0"
    assert pool.run_stdin(late, b"", limits).status == "timeout"
    ran, _ = pool.run_calls("import os, time; os.closerange(0, 64); time.sleep(60)", "f", [call(1)], LIMITS)
    assert (ran.status, ran.error) == ("exception", "it hung up")


def test_a_script_runs_as_a_script_does(pool: SandboxPool) -> None:
    program = """
import atexit, sys, threading, time
atexit.register(lambda: print("registered", flush=True))
threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
out = open(1, "w", closefd=False)
assert __name__ == "__main__" and sys.argv == ["solution.py"] and sys.modules["__main__"].out is out
print(sorted({"b", "a", "c"}), list({"b", "a", "c"}) == list({"b", "a", "c"}), file=sys.stderr)
out.write("unflushed\\n")
sys.exit()
"""
    ran = pool.run_stdin(program, b"", LIMITS)
    assert (ran.status, ran.stderr) == ("ok", "['a', 'b', 'c'] True\n")
    assert sorted(ran.stdout.decode().split()) == ["registered", "thread", "unflushed"]


def test_the_order_of_a_set_is_the_same_in_every_sandbox() -> None:
    program = "print(list({str(n) for n in range(100)}))"
    seen = set()
    for _ in range(2):
        with_own = SandboxPool(1)
        seen.add(with_own.run_stdin(program, b"", LIMITS).stdout)
        with_own.close()
    assert len(seen) == 1


def test_calls_give_one_reply_each(pool: SandboxPool) -> None:
    ran, replies = pool.run_calls(ADD, "add", [call(1), call(1, y=2), call("a", "b"), call(1, "b")], LIMITS)
    assert ran.status == "ok"
    assert [codec.decode(reply) for reply in replies] == [
        ["value", 1, None],
        ["value", 3, None],
        ["value", "ab", None],
        ["raised", "TypeError", "unsupported operand type(s) for +: 'int' and 'str'"],
    ]


def test_a_reply_says_what_a_call_did_to_its_arguments(pool: SandboxPool) -> None:
    program = "def f(xs, n):\n    if n: xs.sort()\n    return len(xs)"
    _, replies = pool.run_calls(program, "f", [call([2, 1], 1), call([2, 1], 0), call([1, 2], 1)], LIMITS)
    assert [codec.decode(reply) for reply in replies] == [
        ["value", 2, [[1, 2], 1]],
        ["value", 2, None],
        ["value", 2, None],
    ]


def test_what_is_no_plain_value_is_named_and_no_exception_lies_about_its_class(pool: SandboxPool) -> None:
    program = """
class KeyError(ValueError): pass
class Odd(BaseException):
    def __str__(self): raise self
def f(n):
    if n == 0: return object()
    if n == 1: raise KeyError("x")
    if n == 2: raise Odd
    return "x" * (2 << 20)
"""
    ran, replies = pool.run_calls(program, "f", [call(n) for n in range(4)], LIMITS)
    assert ran.status == "ok"
    assert [codec.decode(reply) for reply in replies] == [
        ["unencodable", "object"],
        ["raised", "ValueError", "x"],
        ["raised", "BaseException", ""],
        ["unencodable", "str"],
    ]


def test_a_method_is_looked_up_on_an_instance(pool: SandboxPool) -> None:
    program = "class Solution:\n    def twice(self, x): return 2 * x"
    _, replies = pool.run_calls(program, "Solution.twice", [call(4)], LIMITS)
    assert codec.decode(replies[0]) == ["value", 8, None]


@pytest.mark.parametrize(
    ("program", "status", "error", "replies"),
    [
        ("x = 1", "exception", "NameError: the program defines no 'add'", 0),
        ("raise KeyError(1)", "exception", "KeyError: 1", 0),
        ("import sys; sys.exit(0)", "exception", "SystemExit: 0", 0),
        ("import os; os._exit(0)", "exception", "exit status 0", 0),
        ("def add(x):\n    if x: return x\n    import os; os._exit(0)", "exception", "exit status 0", 1),
        ("def add(x): return bytearray(2 << 30)", "memory", "MemoryError", 0),
        ("def add(x):\n    while True: pass", "timeout", "", 0),
        ("def add(x):\n    print('x' * 10**6)\n    return x", "output_limit", "", 2),
    ],
)
def test_the_status_says_why_calls_have_no_reply(
    pool: SandboxPool, program: str, status: str, error: str, replies: int
) -> None:
    ran, found = pool.run_calls(program, "add", [call(1), call(0)], LIMITS)
    assert (ran.status, len(found)) == (status, replies)
    assert error in ran.error


def test_a_forged_reply_is_a_reply_and_too_many_or_too_long_ones_are_an_end(pool: SandboxPool) -> None:
    forge = "import os, struct\nb = {}\nfor fd in range(3, 64):\n    try: os.write(fd, struct.pack('>I', len(b)) + b)\n"
    forge += "    except OSError: pass\n" + ADD
    ran, replies = pool.run_calls(forge.format("b'R[]'"), "add", [call(1)], LIMITS)
    assert (ran.status, replies) == ("ok", [b"[]"])
    small = Limits(cpu_seconds=1.0, result_bytes=1000)
    ran, replies = pool.run_calls(forge.format("b'R' + b'x' * 2000"), "add", [call(1)], small)
    assert (ran.status, ran.error, replies) == ("output_limit", "a reply of 2001 bytes", [])
    program = "def f(x): return 'x' * 900"
    ran, replies = pool.run_calls(program, "f", [call(1)] * 40, small)
    assert (ran.status, ran.error) == ("output_limit", "too many bytes of replies")
    assert len(replies) < 40


def test_a_session_answers_one_frame_at_a_time_and_keeps_objects(pool: SandboxPool) -> None:
    program = "class Box:\n    def __init__(self, x): self.x = x\n    def get(self): return self.x"
    with pool.session(program, LIMITS) as session:
        made = codec.decode(session.call(codec.encode(["call", "Box", [7], {}])), codec.Handle)
        assert made[0] == "value"
        handle = made[1]
        assert isinstance(handle, codec.Handle)
        assert codec.decode(session.call(codec.encode(["method", handle, "get", [], {}]))) == ["value", 7, None]
        assert codec.decode(session.call(codec.encode(["attribute", handle, "x"]))) == ["value", 7, None]
    assert session.ran is not None
    assert session.ran.status == "ok"


def test_a_judge_asks_and_the_parent_relays(pool: SandboxPool) -> None:
    judge = """
def judge(exchange, codec):
    replies = [codec.decode(exchange(codec.encode(["call", "add", [n, 1], {}]))) for n in range(3)]
    return [reply[1] for reply in replies] == [1, 2, 3]
"""
    with pool.session(ADD, LIMITS) as candidate, pool.session(judge, LIMITS) as judging:
        frame = judging.call(codec.encode(["enter", "judge"]))
        for _ in range(3):
            frame = judging.call(candidate.call(frame))
        assert codec.decode(frame) == ["value", True, None]


def test_two_sessions_in_each_of_many_threads_do_not_wait_for_each_other() -> None:
    with_one = SandboxPool(1)

    def both(n: int) -> object:
        with with_one.session(ADD, LIMITS) as first, with_one.session(ADD, LIMITS) as second:
            frame = codec.encode(["call", "add", [n], {}])
            return codec.decode(first.call(frame))[1] == codec.decode(second.call(frame))[1] == n

    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(both, range(8), timeout=120)) == [True] * 8
        assert len(with_one.pids()) == 2
    finally:
        with_one.close()


@pytest.mark.parametrize(
    ("program", "status"),
    [("1 / 0", "exception"), ("def add(x):\n    while True: pass", "timeout"), ("import os\nos._exit(0)", "exception")],
)
def test_a_session_that_ends_early_says_how(pool: SandboxPool, program: str, status: str) -> None:
    with pytest.raises(EndedError) as caught, pool.session(program, LIMITS) as session:
        session.call(codec.encode(["call", "add", [1], {}]))
    assert caught.value.ran.status == status
    assert pool.run_stdin("print(1)", b"", LIMITS).stdout == b"1\n"


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_an_error_of_the_caller_ends_a_session_and_nothing_else(pool: SandboxPool, error: type[Exception]) -> None:
    with pytest.raises(error, match="of the caller"), pool.session(ADD, LIMITS):
        raise error("of the caller")
    assert pool.run_stdin("print(1)", b"", LIMITS).stdout == b"1\n"


def test_a_sandbox_that_is_killed_is_replaced_and_the_run_made_again() -> None:
    with_one = SandboxPool(1)
    try:
        assert with_one.run_stdin("print(1)", b"", LIMITS).status == "ok"
        (pid,) = with_one.pids()
        killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        killer.start()
        assert with_one.run_stdin("import time; time.sleep(1); print(2)", b"", LIMITS).stdout == b"2\n"
        killer.join()
        assert with_one.pids() != [pid]
        os.kill(with_one.pids()[0], signal.SIGKILL)
        assert with_one.run_stdin("print(3)", b"", LIMITS).stdout == b"3\n"
    finally:
        with_one.close()


def test_a_run_that_is_killed_from_outside_is_made_again() -> None:
    with_one = SandboxPool(1)
    killed: list[int] = []

    def kill_the_child() -> None:
        (server,) = with_one.pids()
        killed.extend(map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split()))
        os.kill(killed[0], signal.SIGKILL)

    try:
        assert with_one.run_stdin("print(1)", b"", LIMITS).status == "ok"
        killer = threading.Timer(0.3, kill_the_child)
        killer.start()
        ran = with_one.run_stdin("import time; time.sleep(1); print(2)", b"", LIMITS)
        killer.join()
        assert (ran.status, ran.stdout, len(killed)) == ("ok", b"2\n", 1)
    finally:
        with_one.close()


def test_a_session_whose_sandbox_is_killed_says_so_and_the_next_one_works() -> None:
    with_one = SandboxPool(1)
    frame = codec.encode(["call", "add", [1], {}])

    def call_and_kill() -> None:
        with with_one.session(ADD, LIMITS) as session:
            session.call(frame)
            os.kill(with_one.pids()[0], signal.SIGKILL)
            for _ in range(100):
                session.call(frame)

    try:
        with pytest.raises(EndedError) as caught:
            call_and_kill()
        assert caught.value.ran.status == "sandbox_failure"
        with with_one.session(ADD, LIMITS) as session:
            assert codec.decode(session.call(frame)) == ["value", 1, None]
    finally:
        with_one.close()


def test_breaking_the_sandbox_twice_counts_against_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    with_one = SandboxPool(1)

    def broken(box: Box, job: object) -> object:
        raise BrokenError("the fork server ended")

    monkeypatch.setattr(Box, "run", broken)
    ran = with_one.run_stdin("print(1)", b"", LIMITS)
    with_one.close()
    assert (ran.status, ran.error) == ("sandbox_failure", "the fork server ended")


def test_a_sandbox_that_cannot_start_says_nothing_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    with_one = SandboxPool(1)
    monkeypatch.setattr(launch, "FLAGS", ("--no-such-flag",))
    ran = with_one.run_stdin("print(1)", b"", LIMITS)
    with_one.close()
    assert ran.status == "host_error"
    assert "did not start" in ran.error


def test_without_bubblewrap_the_next_level_is_taken_and_the_hint_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "bubblewrap", lambda: None)
    levels.assess.cache_clear()
    try:
        found = levels.assess("/usr/bin/python3")
    except VerifierError as error:
        pytest.skip(error.message)
    finally:
        levels.assess.cache_clear()
    assert found.level < 3
    assert found.reasons[0] == "level 3: bubblewrap is not installed"
    assert "apt-get install bubblewrap" in found.hint


def test_too_weak_a_level_is_refused_unless_asked_for_by_name() -> None:
    with pytest.raises(VerifierError, match=r"sandbox level 0 .* at least 2") as caught:
        SandboxPool(1, level=0)
    assert "allow_unsafe_execution" in caught.value.hint


def test_wrong_settings_are_refused_with_words() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        SandboxPool(0)
    with pytest.raises(UsageError, match="no_such_package"):
        SandboxPool(1, packages=["no_such_package"])
    with pytest.raises(UsageError, match="no name of a package"):
        SandboxPool(1, packages=["os; evil"])
    with pytest.raises(VerifierError, match="cannot be used"):
        SandboxPool(1, python="/no/such/python")


def test_numpy_is_there_where_it_was_asked_for_and_not_elsewhere(pool: SandboxPool) -> None:
    program = "import numpy as np\nprint(np.linalg.inv(np.eye(2) * 2).sum())"
    assert pool.run_stdin(program, b"", LIMITS).error == "ModuleNotFoundError: No module named 'numpy'"
    with_numpy = SandboxPool(1, packages=["numpy"])
    try:
        assert with_numpy.run_stdin(program, b"", LIMITS).stdout == b"1.0\n"
        other = with_numpy.run_stdin("import scipy", b"", LIMITS)
        assert other.error == "ModuleNotFoundError: No module named 'scipy'"
    finally:
        with_numpy.close()


def test_many_runs_from_asyncio_come_back_each_to_its_own(pool: SandboxPool) -> None:
    async def all_of_them() -> list[bytes]:
        runs = [asyncio.to_thread(pool.run_stdin, "print(input())", f"{n}\n".encode(), LIMITS) for n in range(40)]
        return [ran.stdout for ran in await asyncio.gather(*runs)]

    assert asyncio.run(all_of_them()) == [f"{n}\n".encode() for n in range(40)]


def open_files() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return sorted(name for name in found if not name.startswith("/proc"))


def children() -> set[str]:
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    return set(listed)


def test_nothing_is_left_after_runs_of_all_kinds() -> None:
    before, began = len(open_files()), children()
    with_one = SandboxPool(1)
    try:
        warm = [with_one.run_stdin("print(1)", b"", LIMITS).status for _ in range(3)]
        steady = len(open_files())
        for n in range(60):
            with_one.run_stdin(f"open('x', 'w').write('y'); print({n}); 1 / ({n} % 3)", b"", LIMITS)
            with_one.run_calls(ADD, "add", [call(n)], LIMITS)
        assert len(open_files()) == steady
        assert warm == ["ok"] * 3
    finally:
        with_one.close()
    assert len(open_files()) == before
    assert children() == began


def test_a_sandbox_is_replaced_after_its_share_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_RUNS", 3)
    with_one = SandboxPool(1)
    try:
        seen = {tuple(with_one.pids()) for n in range(9) if with_one.run_stdin("print(1)", b"", LIMITS)}
        assert len(seen - {()}) == 3
    finally:
        with_one.close()


def test_a_closed_pool_says_so(pool: SandboxPool) -> None:
    with_one = SandboxPool(1)
    running = threading.Thread(target=with_one.run_stdin, args=("import time; time.sleep(30)", b"", LIMITS))
    running.start()
    time.sleep(0.7)
    with_one.close()
    running.join(10)
    assert not running.is_alive()
    ran = with_one.run_stdin("print(1)", b"", LIMITS)
    assert (ran.status, ran.error) == ("host_error", "the sandbox pool is closed")
    assert with_one.pids() == []


def test_a_pool_that_is_closed_while_idle_says_so_at_once() -> None:
    with_one = SandboxPool(1)
    with_one.run_stdin("print(1)", b"", LIMITS)
    with_one.close()
    start = time.monotonic()
    assert with_one.run_stdin("print(1)", b"", LIMITS).error == "the sandbox pool is closed"
    assert time.monotonic() - start < 60.0


def test_the_shared_pool_is_one_for_each_settings() -> None:
    try:
        assert shared(1) is shared(1)
        assert shared(1) is not shared(2)
    finally:
        close_all()
    again = shared(1)
    assert again.run_stdin("print(1)", b"", LIMITS).status == "ok"
    close_all()


def test_shared_pools_past_a_number_retire_longest_unused_first_and_lose_no_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each run starts a sandbox; one that sleeps in the oldest pool while it retires ends as it should."""
    monkeypatch.setattr(pool_module, "MAX_SHARED", 2)
    close_all()
    try:
        oldest, second = shared(1), shared(2)
        slept: list[bytes] = []
        sleep = "import time; time.sleep(2); print(1)"
        running = threading.Thread(target=lambda: slept.append(oldest.run_stdin(sleep, b"", LIMITS).stdout))
        running.start()
        assert second.run_stdin("print(2)", b"", LIMITS).stdout == b"2\n"
        assert shared(1) is oldest
        shared(3)
        assert second.pids() == []
        shared(4)
        running.join()
        assert slept == [b"1\n"]
        assert oldest.pids() == []
        assert oldest.run_stdin("print(3)", b"", LIMITS).stdout == b"3\n"
        assert oldest.pids() == []
        assert shared(1) is not oldest
    finally:
        close_all()


FORKING = """
import os, sys
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import shared
limits = Limits(cpu_seconds=1.0, wall_seconds=20.0)
print(shared(1).run_stdin("print(1)", b"", limits).status, flush=True)
pid = os.fork()
print(shared(1).run_stdin("print(1)", b"", limits).status, flush=True)
if pid:
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def test_a_forked_child_has_a_pool_of_its_own_and_all_ends_with_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", FORKING], capture_output=True, text=True, timeout=120, check=True
    )
    assert sorted(done.stdout.split()) == ["0", "ok", "ok", "ok"]
    assert "ResourceWarning" not in done.stderr, done.stderr


KILLED = """
import time
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import SandboxPool
pool = SandboxPool(1)
pool.run_stdin("print(1)", b"", Limits())
print(pool.pids()[0], flush=True)
pool.run_stdin("import time; time.sleep(100)", b"", Limits(cpu_seconds=1.0, wall_seconds=100.0))
"""


def test_a_trusted_side_that_is_killed_takes_its_sandboxes_along() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        time.sleep(0.5)
        process.kill()
    until = time.monotonic() + 20
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < until:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{pid}")


def test_the_examples_of_the_page_print_what_it_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    first, second = page.split("```python\n")[1:]
    code, _, expected = first.split("```")[0].partition("# prints:\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [line.removeprefix("# ") for line in expected.splitlines()]
    compile(second.split("```")[0], "page", "exec")
