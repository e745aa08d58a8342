"""The gate's checks: what is shown to be kept, what to be lost, and what cannot be told."""

import math

import numpy as np
import pytest

from rlvr.config.gate import GateConfig
from rlvr.stages.evaluate import Measurement, Rates
from rlvr.stages.gate import GAIN, KEPT, LOST, NOT_TOLD, checks_of, domain_checks, failures
from rlvr.stages.text import TextScores
from rlvr.statistics.intervals import Interval
from rlvr.statistics.noninferiority import tasks_for_gate


def gate(**changes):
    return GateConfig.model_validate(changes)


NO_TEXT = TextScores()


def measured(rates, *, answered=None, text=NO_TEXT, prompt="chat"):
    asked = (Rates(prompt, 1.0, rates), Rates(prompt, 0.0, {}))
    return Measurement({}, asked, None, text.perplexity, answered or {}, text)


def alike(value, count=400):
    return {f"t{n}": value for n in range(count)}


def by_what(checks):
    return {check.what: check for check in checks}


def test_what_stays_is_kept_what_falls_is_lost_and_a_few_tasks_cannot_tell():
    before = measured({"sums": alike(0.5), "words": alike(0.5), "few": alike(0.5, 8)})
    after = measured({"sums": alike(0.5), "words": alike(0.4), "few": {f"t{n}": n % 2 for n in range(8)}})
    found = by_what(checks_of(gate(), after, [("base", before)], trained=()))
    assert {name: check.verdict for name, check in found.items()} == {
        "pass@1 of sums": KEPT,
        "pass@1 of words": LOST,
        "pass@1 of few": NOT_TOLD,
    }
    assert found["pass@1 of words"].loss.mean == pytest.approx(0.1)
    assert found["pass@1 of words"].margin == 0.02
    # tasks that change by half up or down, and three figures that share the error
    assert found["pass@1 of few"].tasks_needed == tasks_for_gate(0.02, deviation=0.5, error=0.05 / 3)
    reasons = failures(gate(), checks_of(gate(), after, [("base", before)], trained=()))
    assert len(reasons) == 1
    assert reasons[0].startswith("pass@1 of words against base: worse by 10.0 [")


def test_an_unsure_figure_fails_only_where_the_recipe_says_so():
    before, after = measured({"few": alike(0.5, 8)}), measured({"few": {f"t{n}": n % 2 for n in range(8)}})
    checks = checks_of(gate(), after, [("base", before)], trained=())
    assert failures(gate(), checks) == ()
    (reason,) = failures(gate(unsure="fail"), checks)
    assert "not told (it takes" in reason


def test_the_stage_that_is_lost_to_most_is_the_one_named():
    first, parent = measured({"sums": alike(0.6)}), measured({"sums": alike(0.51)})
    (check,) = checks_of(gate(), measured({"sums": alike(0.5)}), [("base", first), ("sft", parent)], trained=())
    assert (check.against, check.verdict) == ("base", LOST)
    assert check.loss.mean == pytest.approx(0.1)


def test_one_asked_in_another_way_is_no_measure():
    before = measured({"sums": alike(0.9)}, prompt="Q: {problem}")
    assert checks_of(gate(), measured({"sums": alike(0.1)}), [("base", before)], trained=()) == ()


def test_what_cannot_be_told_any_more_counts_as_lost():
    before = measured({"sums": alike(0.5), "code": alike(0.5)})
    # half of the sums have no outcome any more, and the sandbox is gone
    after = measured({"sums": {f"t{n}": 0.5 for n in range(200)}})
    found = by_what(checks_of(gate(), after, [("base", before)], trained=()))
    assert found["pass@1 of sums"].loss.mean == pytest.approx(0.25)
    assert found["pass@1 of code"].loss.mean == pytest.approx(0.5)
    assert {check.verdict for check in found.values()} == {LOST}


def test_a_gain_that_is_asked_for_where_nothing_of_it_is_measured_fails():
    same = measured({"sums": alike(0.5)})
    asked = gate(min_gain=0.0)
    (reason,) = failures(asked, checks_of(asked, same, [("base", same)], trained=("talk",)))
    assert reason.startswith("the gain over base is 0.0 [-100.0, 100.0]")


def test_answers_that_do_not_end_are_lost_too():
    before = measured({"sums": alike(0.5)}, answered={"sums": alike(1.0)})
    after = measured({"sums": alike(0.5)}, answered={"sums": alike(0.8)})
    found = by_what(checks_of(gate(), after, [("base", before)], trained=()))
    assert (found["pass@1 of sums"].verdict, found["answered of sums"].verdict) == (KEPT, LOST)


def text(nats, *, kl=()):
    return TextScores(tuple(nats), (10,) * len(nats), tuple(kl))


def test_perplexity_is_judged_by_the_change_in_nats_of_each_document():
    rng = np.random.default_rng(0)
    nats = rng.uniform(15, 25, size=50)
    before = measured({}, text=text(nats))
    for rise, verdict in ((0.01, KEPT), (0.06, LOST)):
        # 10 tokens a document: so many nats more are a factor of 1 + rise in perplexity
        after = measured({}, text=text(nats + 10 * math.log1p(rise) + rng.normal(0, 0.02, size=50)))
        (check,) = checks_of(gate(), after, [("base", before)], trained=())
        assert check.verdict == verdict
        assert check.loss.mean == pytest.approx(rise, abs=1e-3)
    other = measured({}, text=TextScores((20.0, 20.0), (10, 11)))
    assert checks_of(gate(), other, [("base", before)], trained=()) == ()


def test_the_divergence_from_the_parent_has_a_limit_of_its_own():
    before = measured({}, text=text([20.0, 21.0]))
    # 0.4 and 0.6 nats over 10 tokens each: 0.05 a token
    after = measured({}, text=text([20.0, 21.0], kl=[0.499, 0.501]))
    found = by_what(checks_of(gate(max_kl=0.04), after, [("base", before)], trained=()))
    assert found["KL on held-out text"].loss.mean == pytest.approx(0.05)
    assert found["KL on held-out text"].verdict == LOST
    assert "KL on held-out text" not in by_what(checks_of(gate(), after, [("base", before)], trained=()))


def test_the_divergence_of_a_stage_that_continues_others_is_from_what_the_first_of_them_began_with():
    before = measured({}, text=text([20.0, 21.0]))
    after = measured({}, text=text([20.0, 21.0], kl=[0.499, 0.501]))
    earlier = [(name, before) for name in ("base", "sft", "rlvr", "more")]
    for continues, origin in (((), "more"), (("rlvr", "more"), "sft")):
        found = by_what(checks_of(gate(max_kl=0.04), after, earlier, trained=(), continues=continues))
        assert found["KL on held-out text"].against == origin


def test_a_gain_that_is_asked_for_must_be_shown():
    before = measured({"sums": {f"t{n}": 0.5 for n in range(50)}})
    for change, fails in ((0.1, False), (0.0, True), (-0.1, True)):
        after = measured({"sums": {f"t{n}": 0.5 + change for n in range(50)}})
        asked = gate(min_gain=0.0, margin=0.4)
        reasons = failures(asked, checks_of(asked, after, [("base", before)], trained=("sums",)))
        assert bool(reasons) is fails, change
        assert all(reason.startswith("the gain over base is") for reason in reasons)
    checks = by_what(checks_of(gate(min_gain=0.05), after, [("base", before)], trained=("sums",)))
    assert checks[GAIN].loss.mean == pytest.approx(0.1)
    assert checks[GAIN].margin == -0.05


def test_a_win_rate_under_one_half_is_a_loss():
    before = measured({"chat": alike(0.5)})
    checks = by_what(checks_of(gate(), before, [("base", before)], trained=(), win_rate=Interval(0.3, 0.25, 0.35)))
    found = checks["win rate at matched length"]
    assert (found.loss.mean, found.loss.low, found.loss.high) == pytest.approx((0.2, 0.15, 0.25))
    assert found.verdict == LOST


def test_the_error_is_shared_by_all_domains_and_looks():
    before = [("base", {"a": alike(0.5, 100), "b": alike(0.5, 100)})]
    rng = np.random.default_rng(1)
    after = {name: {f"t{n}": float(rng.random() < 0.46) for n in range(100)} for name in "ab"}
    once = domain_checks(after, before, margin=0.02, error=0.05)
    often = domain_checks(after, before, margin=0.02, error=0.005)
    assert all(wide.loss.low < narrow.loss.low for wide, narrow in zip(often, once, strict=True))


@pytest.mark.parametrize("unsure", ["pass", "fail"])
@pytest.mark.parametrize(("loss", "bound"), [(0.0, (0, 5)), (0.04, (95, 100))])
def test_twice_the_margin_is_caught_and_no_loss_is_let_through_at_the_number_of_tasks_asked_for(loss, bound, unsure):
    """100 evaluations of three domains, tasks whose chance of being solved varies, 4 samples of each."""
    rng = np.random.default_rng(7)
    config, rejected = gate(unsure=unsure), 0
    # A rate of 4 samples at a chance p has variance p (1 - p) / 4, in the mean over p 0.2 / 4, so that a difference
    # has a spread of 0.316; three figures share the error.
    tasks = tasks_for_gate(0.02, deviation=0.1**0.5, error=0.05 / 3)
    for _ in range(100):
        sides = []
        chance = rng.beta(2, 2, size=(3, tasks))
        for lost in (0.0, loss):
            p = chance.copy()
            p[0] = np.clip(p[0] - lost, 0, 1)
            rates = rng.binomial(4, p) / 4
            sides.append(measured({f"d{i}": {str(t): float(r) for t, r in enumerate(rates[i])} for i in range(3)}))
        checks = checks_of(config, sides[1], [("base", sides[0])], trained=())
        assert max(check.tasks_needed for check in checks) == pytest.approx(tasks, rel=0.1)
        rejected += bool(failures(config, checks))
    low, high = bound
    assert low <= rejected <= high
