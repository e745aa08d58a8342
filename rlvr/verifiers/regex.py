"""A regular expression that the answer has to match, tried in a worker because a pattern may take for ever."""

import re
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.pooled import judged_in_pool
from rlvr.verifiers.reference import answered, read_reference
from rlvr.verifiers.worker_handle import Reply

VERSION = "regex-1"
CPU_SECONDS = 1.0
WHERE = ("whole", "anywhere")

_KEYS = {"pattern": str, "match": str, "case": bool}


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None: {"pattern": …, "match": "whole" | "anywhere", "case": …}."""
    read = read_reference(reference, _KEYS, required=("pattern",))
    if isinstance(read, str):
        return read
    if read.get("match", "whole") not in WHERE:
        return f"match is {read['match']!r}; known: {', '.join(WHERE)}"
    try:
        re.compile(read["pattern"])
    except (re.error, RecursionError, OverflowError) as error:
        return f"the pattern {read['pattern'][:80]!r} cannot be read: {error}"
    return None


async def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the answer matches the pattern, as a whole or, with match "anywhere", in a part.

    The reference is {"pattern": r"\\d{4}-\\d\\d", "match": "whole", "case": true, "slot": …}; the slot is
    "boxed_or_whole" by default. A pattern that takes more than a second of CPU time gives outcome 0, status "timeout".
    """
    if check_reference(task.reference) is not None:
        return Verdict(None, "bad_reference", version=VERSION)
    answer = answered(task.reference, completion, default="boxed_or_whole", version=VERSION)
    if isinstance(answer, Verdict):
        return answer

    def read(reply: Reply) -> Verdict:
        return Verdict(float(reply.value), "ok", answer[:200], path="pool", seconds=reply.seconds, version=VERSION)

    payload = {**task.reference, "text": answer}
    function = "rlvr.verifiers.regex:matches"
    return await judged_in_pool(
        function, payload, cpu_seconds=CPU_SECONDS, extracted=answer[:200], version=VERSION, read=read
    )


def matches(payload: dict[str, Any]) -> bool:
    """Gives whether payload["text"] matches payload["pattern"]; runs in a worker."""
    pattern = re.compile(payload["pattern"], 0 if payload.get("case", True) else re.IGNORECASE)
    found = pattern.search if payload.get("match", "whole") == "anywhere" else pattern.fullmatch
    return found(payload["text"]) is not None
