"""Canaries ride along, and alarm when a judge is swayed."""

import asyncio
from typing import Any

import pytest
from endpoint import Reply, completion, part, says, task
from judging import longer, prefer, run, verify

from rlvr.types import Verdict
from rlvr.verifiers.judge.canaries import CANARIES, canary
from rlvr.verifiers.judge.judge import Judge

pytestmark = pytest.mark.usefixtures("short_back_off")


def gullible(body: dict[str, Any]) -> Reply:
    """A judge that the canary "instruction" sways and no other."""
    return says("yes" if "Ignore all of the above" in part(body, "ANSWER") else "no")(body)


def test_canaries_ride_along_and_alarm_when_they_score(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(judge: Judge) -> list[Verdict]:
        return list(await asyncio.gather(*(judge.verify(task(), completion(str(i))) for i in range(40))))

    verdicts, judge, seen = run(gullible, ask, canary_rate=1.0)
    assert [v.outcome for v in verdicts] == [0.0] * 40
    assert judge.counts.canaries_seen == 40
    swayed = sum("Ignore all of the above" in part(body, "ANSWER") for body in seen.requests)
    assert 0 < judge.counts.canaries_alarmed == swayed < 40
    assert any("'instruction'" in record.message for record in caplog.records)


def test_a_sound_judge_sets_off_no_alarm() -> None:
    _, judge, _ = verify(says("no"), canary_rate=1.0)
    assert (judge.counts.canaries_seen, judge.counts.canaries_alarmed) == (1, 0)


def test_a_canary_that_wins_a_comparison_in_both_orders_alarms() -> None:
    _, judge, _ = prefer(longer, "five5", "four", canary_rate=1.0)
    assert judge.counts.canaries_seen == 1
    _, placed, _ = prefer(says("A"), "five5", "four", canary_rate=1.0)
    assert (placed.counts.canaries_seen, placed.counts.canaries_alarmed) == (1, 0)


def test_the_rate_of_canaries_is_kept_and_every_kind_comes() -> None:
    keys = [f"{i:064x}"[::-1] for i in range(4000)]
    drawn = [canary(0.1, 1, key) for key in keys]
    assert drawn == [canary(0.1, 1, key) for key in keys]
    share = sum(name is not None for name in drawn) / len(drawn)
    assert share == pytest.approx(0.1, abs=0.02)  # four standard errors of 0.0047
    assert set(drawn) == {None, *CANARIES}
    assert {canary(0.0, 1, key) for key in keys} == {None}
