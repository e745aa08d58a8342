"""The hostile programs and their judge: run as a script it judges all of them with a pool of its own, as the user that
it is run by, at the level of its argument or below, and prints one JSON object a line."""

import contextlib
import json
import math
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlvr.verifiers.sandbox import codec
from rlvr.verifiers.sandbox.limits import Limits
from rlvr.verifiers.sandbox.pool import SandboxPool

SHARED = Path(__file__).resolve().parents[4] / "shared" / "corpora" / "code_attacks"
LIMITS = Limits(cpu_seconds=4.0, wall_seconds=30.0)
SLOW = Limits(cpu_seconds=1.0, wall_seconds=4.0)
GRACE_SECONDS = 15.0


def attacks() -> list[dict[str, Any]]:
    """Gives the list of programs, empty where the folder is not beside this checkout."""
    listed = SHARED / "attacks.json"
    return json.loads(listed.read_text()) if listed.is_file() else []


@contextlib.contextmanager
def bait() -> Iterator[dict[str, str]]:
    """Gives what the placeholders stand for, with listeners and an environment that no program may reach."""
    with (
        tempfile.TemporaryDirectory() as canary,
        tempfile.TemporaryDirectory() as home,
        contextlib.ExitStack() as stack,
    ):
        Path(home, "rl_home_canary").touch()
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        with contextlib.suppress(OSError):
            abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
            abstract.bind("\0rl_canary")
            abstract.listen()
        os.environ["RL_CANARY"] = "1"
        yield {"{{CANARY}}": canary, "{{PORT}}": str(tcp.getsockname()[1]), "{{HOME}}": home}


def same(value: object, expected: object) -> bool:
    """Compares as the task says: types too, floats within 1e-9."""
    if type(value) is not type(expected):
        return False
    if isinstance(value, list):
        assert isinstance(expected, list)
        return len(value) == len(expected) and all(map(same, value, expected))
    if isinstance(value, float):
        assert isinstance(expected, float)
        return math.isclose(value, expected, rel_tol=1e-9)
    return value == expected


def verdict(pool: SandboxPool, program: str, form: str, limits: Limits) -> tuple[bool, str]:
    """Gives whether a program passes the task, and how its last run ended. What has asserts is run with the calls."""
    task = json.loads((SHARED / "task.json").read_text())
    if form == "stdio":
        for case in task["stdio"]:
            ran = pool.run_stdin(program, case["stdin"].encode(), limits)
            if ran.status != "ok" or ran.stdout.decode(errors="replace").rstrip() != case["stdout"].rstrip():
                return False, ran.status
        return True, "ok"
    calls = [codec.encode([case["args"], {}]) for case in task["calls"]]
    ran, frames = pool.run_calls(program, task["entry"], calls, limits)
    if ran.status != "ok":
        return False, ran.status
    for frame, case in zip(frames, task["calls"], strict=True):
        try:
            word, *rest = codec.decode(frame)
        except codec.CodecError:
            return False, "unreadable"
        if word != "value" or not same(rest[0], case["expected"]):
            return False, "wrong"
    return True, "ok"


def judge(pool: SandboxPool, attack: dict[str, Any], there: dict[str, str]) -> dict[str, Any]:
    """Gives the last verdict of a program and everything that the corpus's README asks for beside it."""
    program = (SHARED / "programs" / attack["file"]).read_text()
    for placeholder, value in there.items():
        program = program.replace(placeholder, value)
    canary = Path(there["{{CANARY}}"])
    for path in canary.iterdir():
        path.unlink()
    (canary / "secret.txt").write_text("CANARY\n")
    for path in map(Path, attack.get("cleanup", ())):
        path.unlink(missing_ok=True)
    limits = SLOW if attack.get("slow") else LIMITS
    longest = 0.0
    for _ in range(attack.get("runs", 1)):
        start = time.monotonic()
        passed, how = verdict(pool, program, attack["form"], limits)
        longest = max(longest, time.monotonic() - start)
    honest_after = json.loads((SHARED / "task.json").read_text())["honest_after"]
    return {
        "file": attack["file"],
        "passed": passed,
        "how": how,
        "in_time": longest < limits.deadline_seconds + GRACE_SECONDS,
        "canary": bool(attack.get("canary")) and (canary / attack["canary"]).exists(),
        "left": [path for path in attack.get("cleanup", ()) if Path(path).exists()],
        "honest_after": verdict(pool, honest_after, "calls", LIMITS)[0],
    }


def main() -> None:
    """Judges all programs, with the interpreter that runs this."""
    pool = SandboxPool(1, level=int(sys.argv[1]))
    print(json.dumps({"level": pool.level, "statement": pool.assessment.statement()}), flush=True)
    with bait() as there:
        for attack in attacks():
            print(json.dumps(judge(pool, attack, there)), flush=True)
    pool.close()


if __name__ == "__main__":
    sys.exit(main())
