"""From the reply of the worker pool to a verdict: what every verifier that judges in a worker says alike."""

import asyncio
from collections.abc import Callable
from typing import Any

from rlvr.errors import VerifierError
from rlvr.types import Verdict
from rlvr.verifiers.pool import Reply, shared


async def judged_in_pool(
    function: str, payload: Any, *, cpu_seconds: float, extracted: str, version: str, read: Callable[[Reply], Verdict]
) -> Verdict:
    """Gives `read(reply)` for a value; outcome 0 for a timeout or a crash, None where the machine is at fault.

    Raises VerifierError where the function itself failed.
    """
    reply = await asyncio.wrap_future(shared().submit(function, payload, cpu_seconds=cpu_seconds))
    if reply.kind == "value":
        return read(reply)
    if reply.kind == "timeout":
        return Verdict(0.0, "timeout", extracted, path="pool", version=version)
    if reply.kind in ("memory", "crash"):
        return Verdict(0.0, "crash", extracted, path="pool", version=version)
    if reply.kind == "host":
        return Verdict(None, "host_error", extracted, path="pool", version=version)
    raise VerifierError(f"{function} failed: {reply.error}", hint="rlvr doctor shows what is installed")
