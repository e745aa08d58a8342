"""From the reply of the worker pool to a verdict: what every verifier that judges in a worker says alike."""

import asyncio
from collections.abc import Callable
from typing import Any

from rlvr.errors import VerifierError
from rlvr.types import Verdict
from rlvr.verifiers.memory import Memory
from rlvr.verifiers.worker_handle import Reply

memory = Memory()
"""What the verifiers that judge in a worker have asked."""


async def judged_in_pool(
    function: str,
    payload: Any,
    *,
    cpu_seconds: float,
    extracted: str,
    version: str,
    read: Callable[[Reply], Verdict],
    path: str = "pool",
) -> Verdict:
    """Gives `read(reply)` for a value, else `failed_verdict`; a question asked before has its reply already."""
    asked = memory.ask(function, payload, cpu_seconds=cpu_seconds, version=version)
    # Shielded: several completions may wait for the reply, and one of them may be cancelled.
    reply = await asyncio.shield(asyncio.wrap_future(asked))
    if reply.kind == "value":
        return read(reply)
    return failed_verdict(reply, function, path=path, extracted=extracted, version=version)


def failed_verdict(reply: Reply, function: str, *, path: str, extracted: str, version: str) -> Verdict:
    """Gives the verdict where a worker gave no value: outcome 0 for a timeout or a crash, None for the machine's fault.

    Raises VerifierError where the function itself failed.
    """
    if reply.kind == "timeout":
        return Verdict(0.0, "timeout", extracted, path=path, seconds=reply.seconds, version=version)
    if reply.kind in ("memory", "crash"):
        return Verdict(0.0, "crash", extracted, path=path, seconds=reply.seconds, version=version)
    if reply.kind == "host":
        return Verdict(None, "host_error", extracted, path=path, seconds=reply.seconds, version=version)
    raise VerifierError(f"{function} failed: {reply.error}", hint="rlvr doctor shows what is installed")
