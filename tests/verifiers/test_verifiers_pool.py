"""The worker pool: one bad item costs only itself."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlvr.errors import UsageError, VerifierError
from rlvr.verifiers import pool as pool_module
from rlvr.verifiers.pool import Pool, close_shared, configure_shared, shared, usable_cores
from rlvr.verifiers.worker_handle import Reply

HERE = str(Path(__file__).parent)
FUNCTIONS = "pool_functions"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    sys.path.insert(0, HERE)  # the workers get the parent's import path
    made = Pool(2, memory_bytes=1 << 30)
    yield made
    made.close()
    sys.path.remove(HERE)


def ask(pool: Pool, name: str, payload: object = None, **limits: float) -> Reply:
    return pool.submit(f"{FUNCTIONS}:{name}", payload, **limits).result(timeout=60)


def test_replies_come_back_in_the_order_of_their_futures(pool: Pool) -> None:
    futures = [pool.submit(f"{FUNCTIONS}:double", n) for n in range(200)]
    assert [f.result(timeout=60).value for f in futures] == [2 * n for n in range(200)]


def test_an_endless_loop_is_ended_and_the_others_are_answered(pool: Pool) -> None:
    ask(pool, "double", 1)
    start = time.monotonic()
    bad = pool.submit(f"{FUNCTIONS}:spin", None, cpu_seconds=0.3)
    good = [pool.submit(f"{FUNCTIONS}:double", n) for n in range(50)]
    assert [f.result(timeout=60).value for f in good] == [2 * n for n in range(50)]
    assert bad.result(timeout=60).kind == "timeout"
    assert time.monotonic() - start < 30


def test_after_an_item_that_was_ended_a_fresh_fork_of_the_same_process_answers(pool: Pool) -> None:
    ask(pool, "double", 1)
    ended = pool.submit(f"{FUNCTIONS}:spin", None, cpu_seconds=0.3).result(timeout=60)
    seen = [tuple(ask(pool, "processes").value) for _ in range(20)]
    assert ended.kind == "timeout"
    assert ended.seconds > 0.3  # both tries
    # Two slots: two importing processes, each with one fork that answers.
    assert len({importing for importing, _ in seen}) == len({calling for _, calling in seen}) <= 2
    assert {pid for pair in seen for pid in pair} <= set(pool.worker_pids())


def test_a_function_asked_for_by_a_fork_is_there_after_its_end(pool: Pool) -> None:
    other = "statistics:median"
    assert pool.submit(other, [1, 2, 9]).result(timeout=60).value == 2
    assert ask(pool, "spin", cpu_seconds=0.3).kind == "timeout"
    assert [pool.submit(other, [n, n, n]).result(timeout=60).value for n in range(8)] == list(range(8))


def test_a_sleeping_item_is_ended_by_the_wall_clock(pool: Pool) -> None:
    reply = ask(pool, "sleep", 600, wall_seconds=0.3)
    assert reply.kind == "timeout"
    assert "0.3 s" in reply.error


@pytest.fixture
def one_worker(pool: Pool) -> Iterator[Pool]:
    """A pool with a single worker that has answered a call, so that it is not fresh."""
    made = Pool(1)
    ask(made, "double", 1)
    yield made
    made.close()


def test_an_item_that_is_slow_only_in_a_worn_worker_is_answered_by_a_fresh_one(
    one_worker: Pool, tmp_path: Path
) -> None:
    # The first call leaves a mark and spins; the second attempt, in another process, finds the mark and answers.
    reply = ask(one_worker, "spin_once", str(tmp_path / "mark"), cpu_seconds=0.3)
    assert (reply.kind, reply.value) == ("value", "second attempt")


def test_a_timeout_is_tried_twice_but_once_where_the_worker_was_fresh(one_worker: Pool, tmp_path: Path) -> None:
    marks = [tmp_path / "worn", tmp_path / "fresh"]
    replies = [ask(one_worker, "spin_and_count", str(mark), cpu_seconds=0.2) for mark in marks]
    assert [reply.kind for reply in replies] == ["timeout", "timeout"]
    assert [mark.read_text() for mark in marks] == ["xx", "x"]


def test_the_second_try_waits_behind_the_others_and_meets_a_fresh_worker(one_worker: Pool, tmp_path: Path) -> None:
    marks = [tmp_path / "a", tmp_path / "b"]
    bad = [one_worker.submit(f"{FUNCTIONS}:spin_and_count", str(mark), cpu_seconds=0.3) for mark in marks]
    good = [one_worker.submit(f"{FUNCTIONS}:processes", None) for _ in range(3)]
    seen = {tuple(future.result(timeout=60).value) for future in good}
    assert not bad[0].done()
    assert [future.result(timeout=60).kind for future in bad] == ["timeout", "timeout"]
    # The fork that answered the good ones was ended for the second try; b came upon a fresh one at once.
    assert [mark.read_text() for mark in marks] == ["xx", "x"]
    assert len(seen) == 1
    assert seen.isdisjoint({tuple(ask(one_worker, "processes").value)})


def test_a_second_try_does_not_wait_for_ever_behind_a_queue_that_never_ends(
    one_worker: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "OTHERS_FIRST", 3)
    bad = one_worker.submit(f"{FUNCTIONS}:spin", None, cpu_seconds=0.2)
    others = [one_worker.submit(f"{FUNCTIONS}:sleep", 0.3) for _ in range(8)]
    assert bad.result(timeout=60).kind == "timeout"
    assert [other.done() for other in others[:3]] == [True] * 3
    assert not others[-1].done()


def test_closing_answers_what_waits_for_its_second_try(one_worker: Pool) -> None:
    bad = one_worker.submit(f"{FUNCTIONS}:spin", None, cpu_seconds=0.2)
    blocking = one_worker.submit(f"{FUNCTIONS}:sleep", 600, wall_seconds=600)
    deadline = time.monotonic() + 30
    while not blocking.running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not bad.done()
    one_worker.close()
    assert [future.result(timeout=1).kind for future in (bad, blocking)] == ["host", "host"]


@pytest.mark.skipif(sys.platform != "linux", reason="signals are inherited so on Linux")
@pytest.mark.parametrize(
    "trouble",
    [
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "signal.signal(signal.SIGPROF, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    ],
)
def test_it_works_where_the_program_ignores_or_blocks_signals_as_daemons_do(trouble: str) -> None:
    program = f"""
import signal, sys
{trouble}
sys.path.insert(0, sys.argv[1])
from rlvr.verifiers.pool import Pool
pool = Pool(1)
ask = lambda name, payload: pool.submit(f"pool_functions:{{name}}", payload, cpu_seconds=0.3).result(60)
print(ask("double", 1).value, ask("spin", None).kind, ask("double", 2).value)
pool.close()
"""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", program, HERE]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, env={**os.environ, "PYTHONPATH": root})
    assert run.stdout.split() == ["2", "timeout", "4"], run.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_poison_leaves_no_zombies_and_no_open_files(one_worker: Pool) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for name, payload in (("spin", None), ("sleep", 600), ("die", 11)) * 2:
        ask(one_worker, name, payload, cpu_seconds=0.1, wall_seconds=1.0)
    ask(one_worker, "double", 1)
    assert len(os.listdir("/proc/self/fd")) <= before
    worker = one_worker.worker_pids()[0]
    assert _zombies_of(os.getpid()) + _zombies_of(worker) == 0


def _zombies_of(parent: int) -> int:
    stats = []
    for process in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            stats.append(process.read_text(errors="replace").rpartition(")")[2].split()[:2])
    return stats.count(["Z", str(parent)])


def test_a_memory_bomb_costs_only_itself(pool: Pool) -> None:
    assert ask(pool, "allocate", 4 << 30).kind == "memory"
    assert ask(pool, "double", 4).value == 8


def test_a_worker_killed_from_outside_is_replaced_and_its_item_repeated(pool: Pool) -> None:
    future = pool.submit(f"{FUNCTIONS}:sleep", 1.0)
    time.sleep(0.4)
    for pid in pool.worker_pids():
        os.kill(pid, signal.SIGKILL)
    assert future.result(timeout=60).value == 1.0
    assert ask(pool, "double", 3).value == 6


def test_an_item_that_kills_its_worker_twice_is_a_crash_or_host_trouble_by_the_signal(pool: Pool) -> None:
    assert ask(pool, "die", int(signal.SIGSEGV)).kind == "crash"
    # SIGKILL is what the kernel sends when memory runs out: the text may not be at fault.
    assert ask(pool, "die", int(signal.SIGKILL)).kind == "host"


def test_an_exception_is_an_error_reply_with_its_name(pool: Pool) -> None:
    reply = ask(pool, "fail", "so it is")
    assert (reply.kind, reply.error) == ("error", "ValueError: so it is")


def test_exit_and_interrupt_inside_a_function_are_answers_too(pool: Pool) -> None:
    assert ask(pool, "leave").kind == "error"


def test_printing_does_not_disturb_the_frames(pool: Pool) -> None:
    assert ask(pool, "chatter", 7).value == 7


def test_a_function_that_does_not_exist_is_an_error_that_names_it(pool: Pool) -> None:
    reply = ask(pool, "missing")
    assert reply.kind == "error"
    assert "pool_functions:missing" in reply.error


def test_a_large_payload_passes_the_pipes(pool: Pool) -> None:
    assert ask(pool, "length", "x" * 3_000_000).value == 3_000_000


def test_lone_surrogates_and_nul_pass_unchanged(pool: Pool) -> None:
    assert ask(pool, "echo", "a\ud800\x00é").value == "a\ud800\x00é"


def test_a_payload_that_json_cannot_hold_is_refused_at_once(pool: Pool) -> None:
    with pytest.raises(TypeError):
        pool.submit(f"{FUNCTIONS}:double", object())


def test_workers_run_on_one_thread_with_a_fixed_hash_seed(pool: Pool) -> None:
    assert ask(pool, "environment").value == ["1", "0"]


def test_it_works_from_threads_and_from_asyncio_at_once(pool: Pool) -> None:
    seen: list[int] = []

    def work(start: int) -> None:
        seen.extend(ask(pool, "double", n).value for n in range(start, start + 10))

    async def many() -> list[int]:
        futures = [asyncio.wrap_future(pool.submit(f"{FUNCTIONS}:double", n)) for n in range(30)]
        return [reply.value for reply in await asyncio.gather(*futures)]

    threads = [threading.Thread(target=work, args=(100 * k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    assert asyncio.run(many()) == [2 * n for n in range(30)]
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(seen) == sorted(2 * n for k in range(3) for n in range(100 * k, 100 * k + 10))


def test_closing_answers_what_is_queued_and_ends_the_workers() -> None:
    sys.path.insert(0, HERE)
    closing = Pool(1)
    futures = [closing.submit(f"{FUNCTIONS}:sleep", 600.0, cpu_seconds=300) for _ in range(5)]
    while not closing.worker_pids():
        time.sleep(0.01)
    time.sleep(0.3)
    pids = closing.worker_pids()
    closing.close()
    sys.path.remove(HERE)
    assert [f.result(timeout=20).kind for f in futures] == ["host"] * 5
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids) or sys.platform != "linux"
    with pytest.raises(VerifierError):
        closing.submit(f"{FUNCTIONS}:double", 1)


def test_a_pool_without_workers_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        Pool(0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_end_when_their_parent_is_killed() -> None:
    program = textwrap.dedent("""
        import sys, time
        sys.path.insert(0, sys.argv[1])
        from rlvr.verifiers.pool import Pool
        pool = Pool(1)
        pool.submit("pool_functions:double", 1).result(60)
        pool.submit("pool_functions:spin", None, cpu_seconds=600)
        print(*pool.worker_pids(), flush=True)
        time.sleep(600)
    """)
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", program, HERE], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert parent.stdout is not None
    with parent.stdout:
        workers = [int(word) for word in parent.stdout.readline().split()]
    assert len(workers) == 2  # the process that imports and its fork
    time.sleep(0.3)
    parent.kill()
    parent.wait(timeout=30)
    deadline = time.monotonic() + 10
    while any(map(_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_alive, workers))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_shared_pool_has_as_many_workers_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted:
        def __init__(self, num_workers: int) -> None:
            made.append(num_workers)

        def close(self) -> None:
            made.append(-1)

    close_shared()
    monkeypatch.setattr(pool_module, "Pool", Counted)
    try:
        configure_shared(3)
        assert shared() is shared()
        configure_shared(3)
        shared()
        assert made == [3]
        configure_shared(0)
        shared()
        assert made == [3, -1, usable_cores()]
    finally:
        configure_shared(0)
        close_shared()
