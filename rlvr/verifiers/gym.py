"""Scorers of reasoning-gym, run in the worker pool because some of them evaluate the answer as an expression."""

import re
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.guard import looks_like_code
from rlvr.verifiers.pool import shared
from rlvr.verifiers.pooled import judged_in_pool
from rlvr.verifiers.reference import answered, slot_fault
from rlvr.verifiers.worker_handle import Reply

VERSION = "gym-2"
CPU_SECONDS = 3.0
WAIT_SECONDS = 600.0
_NO_NUMBER = re.compile(r"nan|inf", re.IGNORECASE)
"""What Python reads as a float that compares with nothing: some scorers give it full marks."""


def _malformed(reference: Any) -> str | None:
    if not isinstance(reference, dict) or not isinstance(reference.get("dataset"), str):
        return f'expected {{"dataset": name, "entry": {{…}}}}, found {str(reference)[:80]!r}'
    if not isinstance(reference.get("entry"), dict) or "answer" not in reference["entry"]:
        return 'the reference has no "entry" with an "answer"'
    return slot_fault(reference)


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None: {"dataset": name, "entry": {"answer": …, …}, "slot": …}.

    The scorer is tried: it has to give full marks to the entry's own answer and not to nonsense.
    """
    fault = _malformed(reference)
    if fault is not None:
        return fault
    payload = {"dataset": reference["dataset"], "entry": reference["entry"]}
    reply = shared().submit("rlvr.verifiers.gym_worker:fault", payload, cpu_seconds=CPU_SECONDS).result(WAIT_SECONDS)
    if reply.kind != "value":
        return f"the scorer of {reference['dataset']} failed: {reply.kind} {reply.error}".rstrip()
    return None if reply.value is None else str(reply.value)


async def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where reasoning-gym's scorer gives full marks, else 0; its score is `parts["score"]`.

    Partial marks do not count: the library pays for a reference that merely occurs in the answer. Raises VerifierError
    where the scorer cannot be run.
    """
    if _malformed(task.reference) is not None:
        return Verdict(None, "bad_reference", version=VERSION)
    answer = answered(task.reference, completion, default="boxed_or_tag", version=VERSION)
    if isinstance(answer, Verdict):
        return answer
    extracted = answer[:200]
    own = str(task.reference["entry"]["answer"])
    numeric = any(map(str.isdecimal, own)) and not _NO_NUMBER.search(own)
    if (looks_like_code(answer) and not looks_like_code(own)) or (numeric and _NO_NUMBER.search(answer)):
        return Verdict(0.0, "wrong_format", extracted, path="screened", version=VERSION)
    payload = {"dataset": task.reference["dataset"], "entry": task.reference["entry"], "answer": answer}

    def read(reply: Reply) -> Verdict:
        outcome, parts = float(reply.value >= 1.0), {"score": reply.value}
        return Verdict(outcome, "ok", extracted, "pool", parts=parts, seconds=reply.seconds, version=VERSION)

    return await judged_in_pool(
        "rlvr.verifiers.gym_worker:score",
        payload,
        cpu_seconds=CPU_SECONDS,
        extracted=extracted,
        version=VERSION,
        read=read,
    )
