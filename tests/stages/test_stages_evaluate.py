"""A measurement is the same twice, counts what it should, and is made once per run folder."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from tiny import completion, full_logprobs, make_parts, make_run, task, words, write_base

from rlvr.config.data import EvaluateConfig
from rlvr.data.chat import encode_document, encode_plain_prompt
from rlvr.errors import DataError, RunError, VerifierError
from rlvr.models.tokenizer import train_tokenizer
from rlvr.runs.rollouts import read_rollouts
from rlvr.runs.sameness import differences
from rlvr.stages.evaluate import (
    Rates,
    answered_rates,
    domain_reports,
    evaluate,
    measure,
    read_measurement,
    solved_rates,
)
from rlvr.stages.text import score_text
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
    found = score_text(parts, config().text, None, microbatch_tokens=64)
    assert found.perplexity == pytest.approx(math.exp(-total / count), rel=1e-5)
    assert found.kl == ()
    assert score_text(parts, (), None, microbatch_tokens=64).perplexity is None


def test_the_divergence_of_text_is_the_whole_sum_over_the_vocabulary(base, tmp_path):
    other = write_base(tmp_path / "other", seed=3, scale=0.25)
    parts = make_parts(base, items(), start=other)
    reference = parts.make_reference()
    found = score_text(parts, config().text, reference, microbatch_tokens=64)
    document = items()["held-out document"][1]
    ids = np.array([*parts.tokenizer(document.text)["input_ids"], 2])
    q, p = (full_logprobs(model, ids).detach().double() for model in (parts.policy, reference))
    assert found.kl[1] == pytest.approx(float((p.exp() * (p - q)).sum()), rel=1e-4)
    assert found.tokens[1] == len(ids) - 1
    assert min(found.kl) > 0.01


def test_an_answer_is_one_that_ends_and_is_read():
    made = group(0, [1.0, 0.0, 0.0, None])
    cut = dataclasses.replace(made.completions[2], finish="length")
    unread = dataclasses.replace(
        made,
        verdicts=(Verdict(1.0, "ok"), Verdict(0.0, "no_answer"), Verdict(0.0, "ok"), Verdict(None, "timeout")),
        completions=(
            *made.completions[:2],
            cut,
            made.completions[3],
        ),
    )
    # of four the first: the second holds no answer, the third was cut, of the last nothing can be said
    assert answered_rates([unread]) == {"tiny": {"task-0": 0.25}}


def test_the_stage_passes_its_checkpoint_on_unchanged(base, tmp_path):
    parts = make_parts(base, items())
    before = {key: value.clone() for key, value in parts.policy.state_dict().items()}
    made = evaluate(parts, config(), make_run(tmp_path / "run"))
    assert made.path == base
    assert all(value.equal(before[key]) for key, value in parts.policy.state_dict().items())


def group(index, outcomes, domain="tiny", rung=0):
    completions = tuple(completion([5] * (1 + i % 2) + [2]) for i in range(len(outcomes)))
    verdicts = tuple(Verdict(o, "timeout" if o is None else "ok") for o in outcomes)
    rewards = tuple(math.nan if o is None else o for o in outcomes)
    return Group(task(index, domain=domain, rung=rung), index, read_only([1], "int64"), completions, verdicts, rewards)


def test_rates_by_hand():
    sampled = [group(0, [1.0] + [0.0] * 15), group(1, [1.0] * 8 + [0.0] * 8), group(2, [None] * 8 + [1.0] * 8)]
    greedy = [group(0, [1.0]), group(1, [0.0]), group(2, [None])]
    rates = [Rates("chat", 1.0, solved_rates(sampled)), Rates("chat", 0.0, solved_rates(greedy))]
    report = domain_reports(sampled, rates)["tiny"]
    assert report.num_tasks == 3
    # 1/16, 8/16 and, of the scored, 8/8
    assert report.pass_at_1.mean == pytest.approx((1 / 16 + 1 / 2 + 1) / 3)
    # 1 - C(15,2)/C(16,2) = 1 - 105/120; 1 - C(8,2)/C(16,2) = 1 - 28/120; all of 8
    assert report.pass_at_k[2].mean == pytest.approx((0.125 + 92 / 120 + 1) / 3)
    assert sorted(report.pass_at_k) == [1, 2, 4, 8, 16]
    # only the first two tasks have 16 scored samples; both have at least one right
    assert report.pass_at_16.mean == pytest.approx(1.0)
    assert report.rungs == {}
    # of two tasks that could be scored one is solved
    assert [(r.prompt, r.temperature) for r in report.readouts] == [("chat", 0.0)]
    assert report.greedy.mean == pytest.approx(1 / 2)
    # half of the completions have 2 tokens, half 3
    assert report.tokens == pytest.approx(2.5)


def test_fewer_than_16_samples_have_no_pass_at_16():
    report = domain_reports([group(0, [1.0, 0.0])], [])["tiny"]
    assert report.pass_at_16 is None
    assert {k: rate.mean for k, rate in report.pass_at_k.items()} == {1: 0.5, 2: 1.0}


def test_a_rung_has_the_pass_at_1_of_its_own_tasks():
    sampled = [
        group(0, [1.0, 1.0], rung=1),
        group(1, [1.0, 0.0], rung=3),
        group(2, [0.0, 0.0], rung=3),
        group(3, [1.0]),
    ]
    report = domain_reports(sampled, [])["tiny"]
    # rung 1: 2/2; rung 3: (1/2 + 0/2) / 2; the task without a rung is in none
    assert {rung: rate.mean for rung, rate in report.rungs.items()} == {1: 1.0, 3: 0.25}


PLAIN = "w6 {problem} w7"


def test_every_prompt_is_read_out_greedily_at_the_low_and_at_the_usual_temperature(base, tmp_path):
    run = make_run(tmp_path / "run")
    found = measure(make_parts(base, items()), config(prompts=["chat", PLAIN], low_temperature=0.3), run)
    asked = [("chat", 0.0), ("chat", 0.3), (PLAIN, 0.0), (PLAIN, 0.3), (PLAIN, 0.9)]
    assert [(r.prompt, r.temperature) for r in found.domains["tiny"].readouts] == asked
    assert [(r.prompt, r.temperature) for r in found.rates] == [("chat", 0.9), *asked]
    rows = read_rollouts(run.path / "rollouts").to_pylist()
    counts = {split: sum(row["split"] == split for row in rows) for split in {row["split"] for row in rows}}
    # 6 tasks; 2 samples in a readout that is not greedy
    assert counts == {
        "evaluate": 96,
        "greedy": 6,
        "low": 12,
        "greedy-prompt-2": 6,
        "low-prompt-2": 12,
        "evaluate-prompt-2": 12,
    }
    plain = {tuple(row["prompt_ids"]) for row in rows if row["split"].endswith("prompt-2")}
    # the problem of task i is the word 5 + i; no token of the chat template
    assert plain == {(6, 5 + i, 7) for i in range(6)}
    for rates in found.rates:
        split = [split for split in counts if (split.endswith("prompt-2")) == (rates.prompt == PLAIN)]
        name = next(s for s in split if s.startswith({0.0: "greedy", 0.3: "low", 0.9: "evaluate"}[rates.temperature]))
        outcomes = [r["outcome"] for r in rows if r["split"] == name and r["task_id"] == "task-3"]
        assert rates.solved["tiny"]["task-3"] == pytest.approx(sum(outcomes) / len(outcomes))
    assert read_measurement(run) == found


def test_more_readouts_leave_the_samples_and_greedy_answers_as_they_are(base, tmp_path):
    few = measure(make_parts(base, items()), config(), make_run(tmp_path / "few"))
    many = measure(
        make_parts(base, items()), config(prompts=["chat", PLAIN], low_temperature=0.3), make_run(tmp_path / "many")
    )
    assert (few.sampled, few.greedy, few.kl) == (many.sampled, many.greedy, many.kl)
    for name in ("pass_at_k", "greedy", "tokens"):
        assert getattr(few.domains["tiny"], name) == getattr(many.domains["tiny"], name)


def test_the_first_prompt_is_the_one_that_is_sampled_and_a_base_needs_no_chat(base, tmp_path):
    run = make_run(tmp_path / "run")
    found = measure(make_parts(base, items()), config(prompts=[PLAIN]), run)
    assert [(r.prompt, r.temperature) for r in found.rates] == [(PLAIN, 0.9), (PLAIN, 0.0)]
    domain = found.domains["tiny"]
    assert domain.prompt == PLAIN
    assert domain.greedy.mean == pytest.approx(sum(found.greedy["tiny"].values()) / 6)
    rows = read_rollouts(run.path / "rollouts").to_pylist()
    # the problem of task i is the word 5 + i; no token of the chat template
    assert {tuple(row["prompt_ids"]) for row in rows} == {(6, 5 + i, 7) for i in range(6)}
    assert {row["split"] for row in rows} == {"evaluate", "greedy"}


def test_a_plain_prompt_that_no_task_fits_under_is_one_clear_error(base, tmp_path):
    long = "w6 " * 60 + "{problem}"
    with pytest.raises(DataError, match="the shortest has 61 tokens, there is room for 58"):
        measure(make_parts(base, items()), config(prompts=["chat", long]), make_run(tmp_path / "run"))


def test_a_result_of_another_version_is_one_clear_error(tmp_path):
    run = make_run(tmp_path / "run")
    run.write_json("result.json", {"domains": {}, "solved_rates": {}, "kl": None, "perplexity": None})
    with pytest.raises(RunError, match="written by another version of rlvr: KeyError 'rates'"):
        read_measurement(run)


def test_a_plain_prompt_is_encoded_as_the_prompt_of_a_document():
    tokenizer = train_tokenizer(["Q: 2 + 3? A: 5"], vocab_size=400)
    ids, prompt = encode_document(tokenizer, Document("0", " 5", "tiny", prompt="Q: 2 + 3?\nA:"))
    assert encode_plain_prompt(tokenizer, "Q: 2 + 3?\nA:").tolist() == ids[prompt].tolist()
    assert encode_plain_prompt(tokenizer, "Q:")[0] == tokenizer.bos_token_id


def test_a_domain_that_nobody_could_score_is_left_out():
    found = domain_reports([group(0, [1.0, 0.0]), group(1, [None, None], domain="other")], [])
    assert set(found) == {"tiny"}


def test_a_broken_verifier_stops_the_measurement(base, tmp_path):
    parts = make_parts(base, items(), scores=Scorer({"emit": lambda t, c: Verdict(None, "crash")}))
    with pytest.raises(VerifierError, match="could not tell on 96 of 96"):
        measure(parts, config(), make_run(tmp_path / "run"))
