"""What training gave for its cost, by hand."""

import pytest

from rlvr.stages.returns import Seen, return_sentences, returns_of


def rates(value, *, other=0.0):
    return {"sums": {f"t{n}": value for n in range(80)}, "facts": {f"f{n}": other for n in range(80)}}


SEEN = [
    Seen(0, 0.0, rates(0.2, other=0.9)),
    Seen(10, 50.0, rates(0.4, other=0.1)),
    Seen(20, 250.0, rates(0.5)),
    Seen(30, 300.0, rates(0.5)),
    Seen(40, 400.0, rates(0.5)),
]


def test_gains_are_of_the_trained_domains_and_each_stretch_has_its_price():
    found = returns_of(SEEN, ["sums", "never measured"])
    assert found.domains == ("sums",)
    assert [point.step for point in found.points] == [10, 20, 30, 40]
    assert [point.gain.mean for point in found.points] == pytest.approx([0.2, 0.3, 0.3, 0.3])
    assert [point.stretch.mean for point in found.points] == pytest.approx([0.2, 0.1, 0.0, 0.0])
    # 20 points in 50 CPU-seconds are 40 in a hundred, 10 in 200 are 5
    assert [100 * point.per_hundred.mean for point in found.points] == pytest.approx([40.0, 5.0, 0.0, 0.0])


def test_what_was_spent_after_the_last_gain_is_told():
    found = returns_of(SEEN, ["sums"])
    assert (found.flat_since, found.flat_seconds) == (20, 150.0)
    lines = return_sentences(found)
    assert lines[0].startswith("After 40 steps and 400 CPU-seconds the mean gain over sums is +30.0 points [")
    assert lines[1].startswith(
        "The best of 4 stretches ended at step 10, with +40.0 points for each 100 CPU-seconds; as the highest of"
    )
    # 150 of 400
    assert "No gain since step 20 can be told from chance: 150 CPU-seconds, 38% of all" in lines[-1]


def test_on_a_gpu_its_seconds_are_what_is_paid():
    found = returns_of(SEEN, ["sums"], unit="GPU")
    said = " ".join(return_sentences(found))
    assert "400 GPU-seconds" in said
    assert "for each 100 GPU-seconds" in said
    assert "150 GPU-seconds, 38% of all" in said
    assert "CPU" not in said


def test_a_training_that_still_gains_is_not_called_flat():
    found = returns_of(SEEN[:3], ["sums"])
    assert (found.flat_since, found.flat_seconds) == (None, 0.0)
    assert len(return_sentences(found)) == 2


def test_one_evaluation_or_none_in_common_tells_nothing():
    with pytest.raises(ValueError, match="two evaluations at least, got 1"):
        returns_of(SEEN[:1], ["sums"])
    with pytest.raises(ValueError, match="no trained task in common"):
        returns_of(SEEN, ["never measured"])
