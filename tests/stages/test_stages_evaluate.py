"""A measurement is the same twice, counts what it should, and is made once per run folder."""

import math

import numpy as np
import pytest
import torch
from tiny import completion, full_logprobs, make_parts, make_run, task, words, write_base

from rlvr.config.schema import EvaluateConfig
from rlvr.errors import VerifierError
from rlvr.runs.compare import differences
from rlvr.stages.evaluate import domain_reports, evaluate, measure, perplexity, read_measurement
from rlvr.types import Document, Group, Verdict, read_only
from rlvr.verifiers.scorer import Scorer


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base", scale=0.25)


def config(**changes):
    values = {"data": ["x"], "text": ["y"], "samples": 16, "max_completion_tokens": 6, "temperature": 0.9}
    return EvaluateConfig.model_validate({**values, **changes})


def items(count=6):
    documents = [Document(str(i), words(*range(5 + i, 9 + 2 * i)), "tiny") for i in range(4)]
    return {"held-out task": [task(i) for i in range(count)], "held-out document": documents}


def test_two_measurements_of_one_checkpoint_are_the_same_bit_for_bit(base, tmp_path):
    found = [measure(make_parts(base, items()), config(), make_run(tmp_path / name)) for name in ("a", "b")]
    assert found[0] == found[1]
    assert differences(tmp_path / "a", tmp_path / "b") == []


def test_the_seed_of_the_run_plays_no_part_and_that_of_the_evaluation_does(base, tmp_path):
    one = measure(make_parts(base, items(), seed=1), config(), make_run(tmp_path / "one"))
    two = measure(make_parts(base, items(), seed=2), config(), make_run(tmp_path / "two"))
    other = measure(make_parts(base, items(), seed=1), config(seed=5), make_run(tmp_path / "other"))
    assert one == two
    assert one.domains["tiny"].pass_at_1 != other.domains["tiny"].pass_at_1


def test_a_completion_does_not_depend_on_how_many_tasks_are_measured(base, tmp_path):
    from rlvr.runs.rollouts import read_rollouts

    texts = {}
    for count in (2, 6):
        run = make_run(tmp_path / str(count))
        measure(make_parts(base, items(count)), config(), run)
        rows = read_rollouts(run.path / "rollouts").to_pylist()
        texts[count] = {(r["split"], r["task_id"], r["sample_index"]): (r["text"], r["logprobs"]) for r in rows}
    assert texts[2] == {key: value for key, value in texts[6].items() if key in texts[2]}


def test_a_second_call_reads_the_result_and_asks_no_engine(base, tmp_path):
    run = make_run(tmp_path / "run")
    first = measure(make_parts(base, items()), config(), run)

    def no_engine(max_length):
        raise AssertionError

    assert measure(make_parts(base, items(), make_engine=no_engine), config(), run) == first == read_measurement(run)


def test_a_policy_has_no_divergence_from_itself_and_some_from_another(base, tmp_path):
    same = measure(make_parts(base, items()), config(), make_run(tmp_path / "same"))
    assert same.kl == pytest.approx(0.0, abs=1e-7)
    other = write_base(tmp_path / "other", seed=3, scale=0.25)
    differing = measure(make_parts(base, items(), start=other), config(), make_run(tmp_path / "differing"))
    assert differing.kl > 0.01
    alone = measure(make_parts(base, items(), make_reference=lambda: None), config(), make_run(tmp_path / "alone"))
    assert alone.kl is None


def test_perplexity_is_that_of_every_token_but_the_first_of_each_document(base):
    parts = make_parts(base, items())
    total, count = 0.0, 0
    for document in items()["held-out document"]:
        ids = np.array([*parts.tokenizer(document.text)["input_ids"], 2])
        table = full_logprobs(parts.policy, ids).detach()
        total += float(table[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum())
        count += len(ids) - 1
    assert perplexity(parts, config().text, 64) == pytest.approx(math.exp(-total / count), rel=1e-5)
    assert perplexity(parts, (), 64) is None


def test_the_stage_passes_its_checkpoint_on_unchanged(base, tmp_path):
    parts = make_parts(base, items())
    before = {key: value.clone() for key, value in parts.policy.state_dict().items()}
    made = evaluate(parts, config(), make_run(tmp_path / "run"))
    assert made.path == base
    assert all(value.equal(before[key]) for key, value in parts.policy.state_dict().items())


def group(index, outcomes, domain="tiny"):
    completions = tuple(completion([5] * (1 + i % 2) + [2]) for i in range(len(outcomes)))
    verdicts = tuple(Verdict(o, "timeout" if o is None else "ok") for o in outcomes)
    rewards = tuple(math.nan if o is None else o for o in outcomes)
    return Group(task(index, domain=domain), index, read_only([1], "int64"), completions, verdicts, rewards)


def test_rates_by_hand():
    sampled = [group(0, [1.0] + [0.0] * 15), group(1, [1.0] * 8 + [0.0] * 8), group(2, [None] * 8 + [1.0] * 8)]
    greedy = [group(0, [1.0]), group(1, [0.0]), group(2, [None])]
    report = domain_reports(sampled, greedy)["tiny"]
    # 1/16, 8/16 and, of the scored, 8/8
    assert report.pass_at_1.mean == pytest.approx((1 / 16 + 1 / 2 + 1) / 3)
    # only the first two tasks have 16 scored samples; both have at least one right
    assert report.pass_at_16.mean == pytest.approx(1.0)
    assert report.greedy.mean == pytest.approx(1 / 2)
    # half of the completions have 2 tokens, half 3
    assert report.tokens == pytest.approx(2.5)


def test_fewer_than_16_samples_have_no_pass_at_16():
    assert domain_reports([group(0, [1.0, 0.0])], [])["tiny"].pass_at_16 is None


def test_a_domain_that_nobody_could_score_is_left_out():
    found = domain_reports([group(0, [1.0, 0.0]), group(1, [None, None], domain="other")], [])
    assert set(found) == {"tiny"}


def test_a_broken_verifier_stops_the_measurement(base, tmp_path):
    parts = make_parts(base, items(), scores=Scorer({"emit": lambda t, c: Verdict(None, "crash")}))
    with pytest.raises(VerifierError, match="could not tell on 96 of 96"):
        measure(parts, config(), make_run(tmp_path / "run"))
