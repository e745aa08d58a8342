"""What changed is told from the tasks that both checkpoints were asked, in the same way."""

import pytest

from rlvr.stages.change import changes_between, common_rates, mean_gain
from rlvr.stages.evaluate import Measurement, Rates

PLAIN = "w6 {problem} w7"


def measurement(**rates):
    return Measurement({}, (Rates("chat", 1.0, {"tiny": rates}), Rates("chat", 0.0, {})), None, None)


def test_a_change_is_over_the_tasks_that_both_were_asked():
    before = measurement(a=0.5, b=0.0, c=0.25, d=1.0, gone=1.0)
    after = measurement(a=1.0, b=0.25, c=0.0, d=0.75, new=1.0)
    change = changes_between(before, after)["tiny"]
    # rises of a, b, c, d: 0.5 + 0.25 - 0.25 - 0.25
    assert change.gain.mean == pytest.approx(0.25 / 4)
    # only c is solved before alone, only b after alone
    assert (change.only_before, change.only_after) == (0.25, 0.25)
    assert changes_between(measurement(gone=1.0), after) == {}
    asked_otherwise = Measurement({}, (Rates(PLAIN, 1.0, {"tiny": {"a": 1.0}}),), None, None)
    assert changes_between(before, asked_otherwise) == {}


def test_the_mean_gain_weighs_domains_alike_and_passes_over_what_only_one_was_asked():
    before = {"sums": {"a": 0.0, "b": 0.5, "gone": 1.0}, "words": {"c": 0.5}, "other": {"d": 1.0}}
    after = {"sums": {"b": 1.0, "a": 0.25}, "words": {"c": 0.25, "new": 1.0}, "other": {"e": 1.0}}
    assert common_rates(before, after, "sums") == ([0.5, 0.0], [1.0, 0.25])
    # sums: (0.5 + 0.25) / 2 = 0.375; words: -0.25; other has no task in common
    assert mean_gain(before, after, ["sums", "words", "other"]).mean == pytest.approx((0.375 - 0.25) / 2)
    assert mean_gain(before, after, ["other", "unknown"]) is None
