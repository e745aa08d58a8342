"""Attacks by one who did not write the defence: each hole that was found, and kinds of attack that found none."""

import json
import os
import time
from typing import Any

import pytest
from test_sandbox_remote import Fake, reply
from users import python_of_nobody, run_as_nobody

from rlvr.errors import UsageError
from rlvr.types import Verdict
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.sandbox import fence
from rlvr.verifiers.sandbox.compare import same_output
from rlvr.verifiers.sandbox.forms import Question, read_question
from rlvr.verifiers.sandbox.limits import Limits, read_limits
from rlvr.verifiers.sandbox.remote import RemoteSandbox

CALLS = {"calls": [{"args": [2], "expected": 4}], "entry": "f"}
RIGHT = "def f(x): return 2 * x"


pytestmark = pytest.mark.usefixtures("sandboxes")


def verify(completion: str, reference: Any) -> Verdict:
    limits = {"cpu_seconds": 1.0, "wall_seconds": 15.0}
    (verdict,) = verify_many([{"completion": completion, "reference": {"limits": limits, **reference}}], "code")
    return verdict


def asserts(text: str) -> dict[str, Any]:
    return {"asserts": text, "entry": "f"}


LEVEL_2 = """
import json, os, sys
from pathlib import Path
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import SandboxPool
import tempfile
pool = SandboxPool(1, level=2)
folder = tempfile.mkdtemp()
mine = Path(folder, "mine")
mine.touch()
mine.chmod(0o600)
os.utime(mine, (5, 5))
limits = Limits(cpu_seconds=1.0, wall_seconds=15.0)
said = [pool.run_stdin(f"import os\\n{act}\\nprint('REACHED')", b"", limits).stdout.decode() for act in (
    f"os.chmod({str(mine)!r}, 0o777)",
    f"os.utime({str(mine)!r}, (1, 1))",
    f"os.chmod({folder!r}, 0)",
    f"os.chmod({mine.name!r}, 0o777, dir_fd=os.open({folder!r}, os.O_PATH))",
    "f = open('x', 'w'); os.fchmod(f.fileno(), 0o777); os.utime('x', (1, 1))\\n"
    "assert (os.stat('x').st_mode & 0o777, os.stat('x').st_mtime > 1) == (0o600, True)",
    "open('a', 'w').write('copied'); import shutil; shutil.copy2('a', 'b'); shutil.copy('a', 'c')\\n"
    "assert open('b').read() == open('c').read() == 'copied'",
)]
assert os.access(folder, os.X_OK)
seen = mine.stat()
honest = pool.run_stdin("print(1)", b"", limits).stdout.decode()
box = next(iter(pool._slots[0].boxes.values()))._launch.box
os.chmod(box, 0)
pool.close()
mine.unlink()
os.rmdir(folder)
print(json.dumps([said, oct(seen.st_mode & 0o777), seen.st_mtime, honest, os.path.exists(box)]))
"""


def test_without_namespaces_a_program_copies_files_but_sets_neither_mode_nor_time_and_no_folder_stays() -> None:
    done = run_as_nobody([python_of_nobody(), "-c", LEVEL_2], timeout=120)
    if "no sandbox" in done.stderr or "would run at sandbox level 0" in done.stderr:
        pytest.skip("no level 2 here")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["REACHED\n"] * 6, "0o600", 5.0, "1\n", False]


@pytest.mark.parametrize(
    ("tests", "program"),
    [
        (
            "assert eval(f('1 + 1')) == 2",
            "def f(x): return \"type('E', (), {'__eq__': lambda s, o: True})()\"",
        ),
        (
            "space = {}\nexec(f('r = 2'), space)\nassert space['r'] == 2",
            "def f(x): return \"r = type('E', (), {'__eq__': lambda s, o: True})()\"",
        ),
        (
            "import pickle\nassert pickle.loads(f(2)) == 4",
            "def f(x): return b\"cbuiltins\\neval\\n(V__import__('os')._exit(0)\\ntR.\"",
        ),
        ("run = eval\nassert run(f('1 + 1')) == 2", "def f(x): return '2'"),
        ("assert (f(2) == 4, 'wrong')", "def f(x): return 0"),
        ("assert f(1) == 1\nassert (f(2) == 4, 'wrong')", "def f(x): return 1"),
    ],
)
def test_tests_that_run_what_the_program_gave_or_assert_a_tuple_judge_nobody(tests: str, program: str) -> None:
    verdict = verify(program, asserts(tests))
    assert (verdict.outcome, verdict.status) == (None, "bad_reference"), verdict


@pytest.mark.parametrize(
    "tests", ["assert eval('2 + 2') == f(2)", "import json\nassert json.loads(str(f(2)) + '0') == 40"]
)
def test_tests_that_run_only_their_own_texts_are_judged(tests: str) -> None:
    assert verify(RIGHT, asserts(tests)).outcome == 1.0
    assert verify("def f(x): return 3", asserts(tests)).outcome == 0.0


def test_a_check_that_is_left_to_the_runner_counts_beside_one_that_is_called() -> None:
    tests = "def check(c):\n    assert c(2) == 4\ndef other(c):\n    assert c(0) == 0\nother(f)\n"
    assert verify("def f(x): return 0", asserts(tests)).outcome == 0.0
    assert verify(RIGHT, asserts(tests)).outcome == 1.0


@pytest.mark.parametrize(
    "tests",
    [
        "assert g(f([]).append) + 1 == 5",
        "assert g(f({}).keys()) + 1 == 5",
        "def late():\n    return lambda: 1\nmade = late()\nif f(0) == 0:\n    g(made)\nassert f(1) == 7",
    ],
)
def test_a_program_cannot_lead_a_test_to_what_cannot_be_sent_and_so_mask_its_verdict(tests: str) -> None:
    verdict = verify("def g(m): return 4\ndef f(x): return x", asserts(tests))
    assert (verdict.outcome, verdict.status) == (0.0, "ok"), verdict


@pytest.mark.parametrize(
    "given",
    [{**CALLS, "tolerance": 10**400}, {**CALLS, "limits": {"memory_bytes": 10**400}},
     {**CALLS, "limits": {"cpu_seconds": 10**400}}],
)  # fmt: skip
def test_a_number_that_no_float_holds_is_a_broken_reference_and_no_crash(given: dict[str, Any]) -> None:
    assert isinstance(read_question(given), str)
    assert verify(RIGHT, given).status == "bad_reference"
    with pytest.raises(UsageError):
        read_limits({"wall_seconds": 10**400})


@pytest.mark.parametrize(
    "tests",
    [
        "assert f(sorted([[0] * 100000] * 100000)) == 1",
        "assert f(set([(0,) * 100000] * 100000)) == 1",
        "x = [0]\n" + "x = x + x\n" * 16 + "y = [x]\n" + "y = y + y\n" * 14 + "assert f(max(y)) == 1",
        "for i in range(1900): assert f([0] * 90000) == 1",
        "assert f([2 ** 65000] * 100000) == 1",
        "assert f(" + "[" * 3 + ",".join(["[0] * 50000"] * 5000) + "]" * 3 + ") == 1",
    ],
    ids=["sorted", "hashed", "doubled", "unrolled", "integers", "side by side"],
)
def test_constants_that_would_take_the_trusted_side_long_are_left_to_a_sandbox(tests: str) -> None:
    start = time.thread_time()
    question = read_question(asserts(tests))
    assert isinstance(question, Question)
    assert type(question.form).__name__ == "Judged"
    assert time.thread_time() - start < 5.0


def test_a_program_that_keeps_a_service_from_answering_is_not_masked_and_a_service_that_is_down_masks() -> None:
    def answer(asked: dict[str, Any]) -> tuple[int, bytes]:
        return (500, b"") if down or "hostile" in asked["code"] else (200, reply(status="Finished", return_code=0))

    down = False
    fake = Fake(answer)
    try:
        remote = RemoteSandbox(fake.url)
        assert remote.run_stdin("hostile", b"", Limits()).status == "sandbox_failure"
        assert remote.run_stdin("honest", b"", Limits()).status == "ok"
        down = True
        assert remote.run_stdin("honest", b"", Limits()).status == "host_error"
    finally:
        fake.close()


def test_a_lone_surrogate_in_the_reply_of_a_service_is_wrong_output_and_no_crash() -> None:
    fake = Fake(lambda asked: (200, reply(status="Finished", return_code=0, stdout="\ud800")))
    try:
        assert RemoteSandbox(fake.url).run_stdin("x", b"", Limits()).stdout == b"\xed\xa0\x80"
    finally:
        fake.close()


@pytest.mark.parametrize("end", ["exit()", "quit()", "exit(0)", "import sys\n    sys.exit()"])
def test_a_script_may_end_by_exit_and_quit_as_scripts_do(end: str) -> None:
    program = f"n = int(input())\nif n == 2:\n    print(4)\n    {end}\nprint(0)"
    assert verify(program, {"stdin": [{"input": "2", "output": "4"}, {"input": "3", "output": "0"}]}).outcome == 1.0
    assert verify("print(4)\nexit(1)", {"stdin": [{"input": "2", "output": "4"}]}).status == "exception"


def test_a_block_in_a_list_loses_the_indentation_of_its_fence() -> None:
    text = "1. So:\n   ```python\n   def f(x):\n       y = 2 * x\n\n       return y\n   ```\n"
    assert fence.program(text)[0] == "def f(x):\n    y = 2 * x\n\n    return y\n"
    assert verify(text, CALLS).outcome == 1.0


COPIES = """
import os, shutil
def f(x):
    os.mkdir('a')
    open('a/b', 'w').write('x' * 2 * x)
    shutil.copytree('a', 'c')
    shutil.copy2('c/b', 'd')
    return len(open('d').read())
"""


def test_files_can_be_copied_with_what_the_library_copies_along() -> None:
    assert verify(COPIES, CALLS).outcome == 1.0


@pytest.mark.parametrize(
    ("raised", "tested"),
    [
        ("KeyError('k')", "KeyError as e:\n    assert e.args == ('k',) and str(e) == repr('k')"),
        ("OSError('o')", "OSError as e:\n    assert str(e) == 'o'"),
        ("ValueError()", "ValueError as e:\n    assert str(e) == ''"),
    ],
)
def test_an_exception_says_under_the_tests_what_the_program_made_it_say(raised: str, tested: str) -> None:
    tests = asserts(f"try:\n    f(1)\n    assert False\nexcept {tested}")
    assert verify(f"def f(x): raise {raised}", tests).outcome == 1.0
    assert verify("def f(x): raise LookupError('p')", tests).outcome == 0.0


KILLED = """
import os, signal, sys, threading, time
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import SandboxPool
pool = SandboxPool(1, level=2)
limits = Limits(cpu_seconds=1.0, wall_seconds=30.0)
pool.run_stdin("", b"", limits)
print(next(iter(pool._slots[0].boxes.values()))._launch.box, flush=True)
program = "import time\\nopen('x', 'w').close()\\ntime.sleep(20)"
threading.Thread(target=pool.run_stdin, args=(program, b"", limits), daemon=True).start()
time.sleep(1.0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_folder_stays_on_the_host_when_the_trusted_side_is_killed_under_a_run() -> None:
    done = run_as_nobody([python_of_nobody(), "-c", KILLED], timeout=120)
    if not done.stdout:
        pytest.skip(done.stderr[-200:])
    until = time.monotonic() + 20.0
    while os.path.exists(done.stdout.strip()) and time.monotonic() < until:
        time.sleep(0.05)
    assert not os.path.exists(done.stdout.strip())


def test_a_tolerance_does_not_blur_integers_that_a_script_prints() -> None:
    assert not same_output(b"1000000008\n", "1000000007", tolerance=1e-6)
    assert not same_output(b"1" + b"0" * 5000, "1" + "0" * 4999 + "1", tolerance=1e-6)
    assert same_output(b"+7 1000000007.5\n", "7 1000000007", tolerance=1e-6)
