"""A judge behind a scripted endpoint: what it says, what it counted, and what the endpoint saw."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from endpoint import Endpoint, Reply, completion, endpoint, part, says, settings, task

from rlvr.types import Verdict
from rlvr.verifiers.judge.judge import Judge

T = TypeVar("T")


def run(script: Any, use: Callable[[Judge], Awaitable[T]], **changes: Any) -> tuple[T, Judge, Endpoint]:
    """What `use` gives for a judge behind that script, the judge, and what the endpoint saw."""

    async def inside(judge: Judge) -> T:
        async with judge:
            return await use(judge)

    with endpoint(script) as seen:
        judge = Judge(settings(seen.url, **changes))
        return asyncio.run(inside(judge)), judge, seen


def verify(script: Any, text: str = "4", *, asked: Any = None, **changes: Any) -> tuple[Verdict, Judge, Endpoint]:
    return run(script, lambda judge: judge.verify(asked or task(), completion(text)), **changes)


def longer(body: dict[str, Any]) -> Reply:
    """A judge that prefers the longer answer, whatever its place."""
    a, b = part(body, "ANSWER A"), part(body, "ANSWER B")
    return says("A" if len(a) > len(b) else "B" if len(b) > len(a) else "tie")(body)


def prefer(script: Any, a: str, b: str, **changes: Any) -> tuple[float | None, Judge, Endpoint]:
    return run(script, lambda judge: judge.prefer(task(), completion(a), completion(b)), **changes)
