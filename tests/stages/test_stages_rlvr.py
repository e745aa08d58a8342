"""RLVR learns what a verifier rewards, with every preset, and nothing from outcomes that ignore the text."""

import functools
import itertools
import json
import math
import os
import subprocess
import sys

import pytest
import torch
from learning import NO_CLIP, ROWS, config, learn, tasks
from tiny import emit, make_parts, make_run, task, write_base

from rlvr import keyed
from rlvr.algorithms.presets import PRESETS as ALGORITHMS
from rlvr.errors import DataError, VerifierError
from rlvr.runs.publish import latest_whole
from rlvr.runs.rollouts import read_rollouts
from rlvr.runs.sameness import differences
from rlvr.stages.rlvr import rlvr
from rlvr.types import Verdict
from rlvr.verifiers.scorer import Scorer

PRESETS = {
    "grpo": "grpo",
    "dr_grpo": {"preset": "dr_grpo", "updates_per_step": 2},
    "dapo": {"preset": "dapo", "updates_per_step": 2, "refill_limit": 2},
}
RESUMED = {
    **PRESETS,
    "ppo": {"preset": "ppo", "epochs_per_step": 2, "kl_target": 0.1, "kl_horizon": 20},
    "r1_zero": {"preset": "r1_zero", "updates_per_step": 2, "reference_every": 1},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base", scale=0.25)


def lottery():
    """A verifier whose outcome is a keyed draw by the number of its call, whatever the text."""
    calls = itertools.count()

    def draw(task, completion):
        return Verdict(float(keyed.uniform(11, "lottery", next(calls)) < 0.25), "ok")

    return draw


def test_every_preset_is_here():
    assert list(ROWS) == list(ALGORITHMS)


@pytest.fixture(scope="module")
def verified(base, tmp_path_factory):
    """Gives what a row learned in 20 steps of verified rewards; each row is trained once."""

    @functools.cache
    def trained(name):
        return learn(base, tmp_path_factory.mktemp("verified"), {"preset": name, **ROWS[name]}, steps=20)

    return trained


@pytest.mark.parametrize("name", ROWS)
def test_every_row_learns_what_is_rewarded_from_chance_to_nine_in_ten(name, verified):
    found = verified(name)
    assert found.before < 0.3
    assert found.after > 0.9
    assert (found.clip_rate > 0) == (name not in NO_CLIP)


@pytest.fixture(scope="module")
def shuffled(base, tmp_path_factory):
    """Gives what a row made of 10 steps of shuffled rewards with two seeds; each is trained once."""

    @functools.cache
    def trained(name):
        row, place = {"preset": name, **ROWS[name]}, tmp_path_factory.mktemp("shuffled")
        return [learn(base, place / str(s), row, rewards="shuffled", steps=10, seed=s) for s in (7, 9)]

    return trained


def gained_by_then(found):
    """The rise of a verified run after as many steps as the shuffled ones have, by the rollout that follows."""
    return found.run.metrics()[10]["rollout/outcome_mean"] - found.before


@pytest.mark.parametrize("name", ROWS)
def test_no_row_learns_from_rewards_that_were_shuffled(name, verified, shuffled):
    for found in shuffled(name):
        assert sum(line["train/grad_norm"] > 0 for line in found.run.metrics()) >= 9
    # At this rate a policy wanders, up or down, whatever it is paid for: runs of six seeds lay between −9 and +26
    # points, 8 points of std, and verified rewards gain 65 to 87 by then (docs/lab/2026-11-30-rows-learn.md).
    assert gained_by_then(verified(name)) > 0.5
    assert sum(found.after - found.before for found in shuffled(name)) / 2 < gained_by_then(verified(name)) / 4


def test_over_all_rows_shuffled_rewards_move_less_than_a_tenth_of_what_verified_ones_do(verified, shuffled):
    rises = [found.after - found.before for name in ROWS for found in shuffled(name)]
    gains = [gained_by_then(verified(name)) for name in ROWS]
    # 22 runs of 8 points of std: their mean has 1.7; a tenth is 8. Over 66 runs it was 1.7.
    assert abs(sum(rises) / len(rises)) < sum(gains) / len(gains) / 10


@pytest.mark.parametrize("preset", PRESETS)
def test_outcomes_that_ignore_the_text_raise_nothing(preset, base, tmp_path):
    found = learn(base, tmp_path, PRESETS[preset], lottery())
    assert found.after < found.before + 0.15
    # the lottery does give every step a signal: the gradient is there, it only points nowhere
    assert sum(line["train/grad_norm"] > 0 for line in found.run.metrics()) >= 14


def test_a_control_with_shuffled_rewards_records_the_true_verdicts_and_learns_nothing_of_them(base, tmp_path):
    found = learn(base, tmp_path, PRESETS["dr_grpo"], rewards="shuffled")
    run = found.run
    assert found.after < found.before + 0.15
    assert latest_whole(run.checkpoints)[0].name == "step-000016"
    lines = run.metrics()
    assert [line["step"] for line in lines] == list(range(16))
    # the rewards of other completions push just as hard
    assert sum(line["train/grad_norm"] > 0 for line in lines) >= 14
    rows = [r for r in read_rollouts(run.path / "rollouts").to_pylist() if r["split"] == "train"]
    assert len(rows) == 16 * 8 * 8
    assert all(r["outcome"] == float("w9" in r["text"].split()) == r["reward"] for r in rows)
    solved = [r["outcome"] for r in rows if r["step"] == 0]
    assert 0 < sum(solved) < 64
    assert lines[0]["rollout/outcome_mean"] == pytest.approx(sum(solved) / 64)


def test_a_control_samples_what_the_real_run_samples_until_it_has_learned_something_else(base, tmp_path):
    texts, weights = [], []
    for rewards in ("verified", "shuffled"):
        parts, run = make_parts(base, {"task": tasks()}), make_run(tmp_path / rewards)
        rlvr(parts, config(algorithm=PRESETS["dr_grpo"], steps=1, prompts_per_step=8, rewards=rewards), run)
        texts.append([row["text"] for row in read_rollouts(run.path / "rollouts").to_pylist()])
        weights.append(parts.policy.lm_head.weight)
    assert texts[0] == texts[1]
    assert not weights[0].equal(weights[1])


def test_a_step_without_any_signal_is_recorded_and_changes_nothing(base, tmp_path):
    parts = make_parts(base, {"task": tasks()}, scores=Scorer({"emit": lambda t, c: Verdict(0.0, "ok")}))
    before = parts.policy.lm_head.weight.clone()
    run = make_run(tmp_path / "run")
    rlvr(parts, config(algorithm=PRESETS["dapo"]), run)
    assert parts.policy.lm_head.weight.equal(before)
    lines = run.metrics()
    assert [line["step"] for line in lines] == [0, 1, 2]
    for line in lines:
        assert line["train/idle_updates"] == 2.0
        assert line["rollout/all_wrong_rate"] == 1.0
        assert line["rollout/prompts_kept"] == 0.0
        # P = 4 prompts, drawn twice at most
        assert line["rollout/prompts_drawn"] == 8.0


def test_every_completion_is_stored_in_draw_order_with_its_verdict(base, tmp_path):
    run = make_run(tmp_path / "run")
    rlvr(make_parts(base, {"task": tasks()}), config(), run)
    rows = read_rollouts(run.path / "rollouts").to_pylist()
    assert [(r["step"], r["draw_index"], r["sample_index"]) for r in rows] == [
        (step, 4 * step + p, g) for step in range(3) for p in range(4) for g in range(4)
    ]
    assert all(r["outcome"] == float("w9" in r["text"].split()) == r["reward"] for r in rows)
    assert {r["policy_version"] for r in rows} == {0, 1, 2}
    first = run.metrics()[0]
    solved = [r["outcome"] for r in rows if r["step"] == 0]
    assert first["rollout/outcome_mean"] == pytest.approx(sum(solved) / 16)


def test_the_sampler_and_the_learner_agree_on_the_log_probs_they_share(base, tmp_path):
    run = make_run(tmp_path / "run")
    rlvr(make_parts(base, {"task": tasks()}), config(temperature=0.7), run)
    assert all(line["train/sampler_gap"] < 1e-5 for line in run.metrics())


def test_weights_of_sources_are_those_of_the_recipe_whatever_the_tasks_call_their_source(base, tmp_path):
    two = {"a": tasks(6), "b": [task(i + 50) for i in range(6)]}
    parts = make_parts(base, {}, load=lambda kind, data: [t for entry in data for t in two[entry.source]])
    data = [{"source": "a", "weight": 9.0}, {"source": "b", "weight": 1.0}]
    run = make_run(tmp_path / "run")
    rlvr(parts, config(data=data, steps=8, prompts_per_step=8, group_size=2, checkpoint_every=100), run)
    rows = read_rollouts(run.path / "rollouts").to_pylist()
    share = sum(int(r["task_id"].removeprefix("task-")) < 50 for r in rows) / len(rows)
    # 64 draws at 0.9: standard deviation 0.04
    assert 0.78 < share < 1.0


def test_unscored_completions_above_the_limit_stop_the_run(base, tmp_path):
    calls = itertools.count()

    def moody(task, completion):
        return Verdict(None, "timeout") if next(calls) % 4 == 0 else emit(task, completion)

    parts = make_parts(base, {"task": tasks()}, scores=Scorer({"emit": moody}))
    with pytest.raises(VerifierError, match=r"could not tell on 4 of 16 completions \(limit 10%\)"):
        rlvr(parts, config(), make_run(tmp_path / "strict"))
    parts = make_parts(base, {"task": tasks()}, scores=Scorer({"emit": moody}))
    run = make_run(tmp_path / "lenient")
    rlvr(parts, config(max_unscored_rate=0.25), run)
    assert [line["rollout/unscored_rate"] for line in run.metrics()] == [0.25] * 3


def test_prompts_that_leave_no_room_are_one_clear_error(base, tmp_path):
    with pytest.raises(DataError, match=r"no task is left.*longer than 2 tokens \(context 64"):
        rlvr(make_parts(base, {"task": tasks()}), config(max_completion_tokens=62), make_run(tmp_path / "run"))


class StopError(Exception):
    """Ends a stage in the middle."""


@pytest.mark.parametrize("preset", RESUMED)
def test_a_stage_that_stopped_ends_as_if_it_had_not(preset, base, tmp_path):
    whole, stopped = make_run(tmp_path / "whole"), make_run(tmp_path / "stopped")
    settings = config(algorithm=RESUMED[preset], steps=5, critic={"warmup_steps": int(preset == "ppo")})
    rlvr(make_parts(base, {"task": tasks()}), settings, whole)

    def stop(step, metrics):
        if step == 2:
            raise StopError

    stopped.listeners.append(stop)
    with pytest.raises(StopError):
        rlvr(make_parts(base, {"task": tasks()}), settings, stopped)
    stopped.listeners.clear()
    start, _ = latest_whole(stopped.checkpoints)
    assert start.name == "step-000002"
    rlvr(make_parts(base, {"task": tasks()}, start=start), settings, stopped)
    assert differences(whole.path, stopped.path) == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradient_checkpointing_packing_and_bfloat16_run(dtype, base, tmp_path):
    parts = make_parts(base, {"task": tasks()}, dtype=dtype)
    parts.policy.activation_checkpointing_enable()
    run = make_run(tmp_path / "run")
    rlvr(parts, config(batching="packed", microbatch_tokens=64, algorithm=PRESETS["dr_grpo"]), run)
    assert len(run.metrics()) == 3
    assert all(math.isfinite(value) for line in run.metrics() for value in line.values())
    assert max(line["train/grad_norm"] for line in run.metrics()) > 0


LOAD = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = AutoModelForCausalLM.from_pretrained(sys.argv[1]), AutoTokenizer.from_pretrained(sys.argv[1])
ids = tokenizer.apply_chat_template([{"role": "user", "content": "w9 w10"}], add_generation_prompt=True)
ids = ids if isinstance(ids, list) else ids["input_ids"]
with torch.no_grad():
    print(json.dumps({"ids": ids, "logits": model(input_ids=torch.tensor([ids])).logits.double().flatten().tolist()}))
"""


def test_the_checkpoint_loads_in_a_fresh_process_with_the_same_logits(base, tmp_path):
    parts = make_parts(base, {"task": tasks()})
    made = rlvr(parts, config(steps=1), make_run(tmp_path / "run"))
    threads = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    out = subprocess.run(
        [sys.executable, "-c", LOAD, str(made.path)], capture_output=True, text=True, check=True, env=threads
    )
    found = json.loads(out.stdout.splitlines()[-1])
    assert found["ids"] == [1, 3, 9, 10, 2, 4]
    with torch.no_grad():
        ours = parts.policy.eval()(input_ids=torch.tensor([found["ids"]])).logits
    assert torch.equal(ours.double().flatten(), torch.tensor(found["logits"], dtype=torch.float64))


def test_a_group_that_the_filter_dropped_keeps_its_share_of_the_update_unless_it_is_replaced(base, tmp_path):
    """The step must not grow as fewer tasks give a signal: filtering or not, the same gradient without a KL."""
    norms = []
    for chosen in ("none", "informative"):
        cells = {"preset": "dr_grpo", "updates_per_step": 1, "filter": chosen}
        run = make_run(tmp_path / chosen)
        rlvr(make_parts(base, {"task": tasks()}), config(algorithm=cells, steps=1, prompts_per_step=8), run)
        line = run.metrics()[0]
        assert 0 < line["rollout/informative_rate"] < 1
        norms.append(line["train/grad_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


def test_a_target_moves_the_coefficient_of_a_kl_in_the_reward_and_the_next_step_uses_it(base, tmp_path):
    cells = {"preset": "ppo", "epochs_per_step": 1, "kl_target": 1e-6, "kl_horizon": 16, "kl_coefficient": 0.1}
    run = make_run(tmp_path / "run")
    rlvr(make_parts(base, {"task": tasks()}), config(algorithm=cells), run)
    lines = run.metrics()
    # 16 completions a step and a horizon of 16: a fifth down or up a step, as the KL lay below or above its target
    expected = 0.1
    for line in lines:
        assert line["train/kl_coefficient"] == pytest.approx(expected)
        expected *= 1.2 if line["train/kl"] > 0 else 0.8
    assert len({line["train/kl_coefficient"] for line in lines}) == 3


def test_only_the_critic_learns_while_it_warms_up(base, tmp_path):
    parts, run = make_parts(base, {"task": tasks()}), make_run(tmp_path / "run")
    before = parts.policy.lm_head.weight.clone()
    rlvr(parts, config(algorithm="ppo", critic={"warmup_steps": 3, "optimizer": {"learning_rate": 1e-2}}), run)
    assert parts.policy.lm_head.weight.equal(before)
    lines = run.metrics()
    assert all(line["train/value_grad_norm"] > 0 for line in lines)
    assert lines[-1]["train/value_loss"] < lines[0]["train/value_loss"]


def test_the_policy_of_every_nth_step_becomes_the_reference(base, tmp_path):
    run = make_run(tmp_path / "run")
    cells = {"preset": "r1_zero", "updates_per_step": 1, "reference_every": 2}
    rlvr(make_parts(base, {"task": tasks()}), config(algorithm=cells, steps=5), run)
    far = [line["train/kl"] > 1e-9 for line in run.metrics()]
    # At steps 0, 2 and 4 the reference is the policy itself; one step later it is not.
    assert far == [False, True, False, True, False]


def test_a_base_is_asked_in_plain_text_where_the_recipe_says_so(base, tmp_path):
    run = make_run(tmp_path / "run")
    rlvr(make_parts(base, {"task": tasks()}), config(prompt="w20 {problem} w21", steps=1), run)
    rows = read_rollouts(run.path / "rollouts").to_pylist()
    assert rows
    for row in rows:
        (said,) = json.loads(row["messages"])
        assert row["prompt_ids"] == [20, int(said["content"].removeprefix("w")), 21]


def test_a_prompt_without_the_problem_is_refused():
    with pytest.raises(ValueError, match=r"neither \"chat\" nor a text with \{problem\} in it"):
        config(prompt="Answer this:")


def two_domains():
    return [task(i, domain="code" if i % 2 else "mathematics") for i in range(12)]


def test_a_domain_is_rewarded_as_its_own_cells_say(base, tmp_path):
    run = make_run(tmp_path / "run")
    own = {"mathematics": {"reward_scale": 3.0}, "code": {"missing_end_penalty": 0.5}}
    rlvr(make_parts(base, {"task": two_domains()}), config(algorithm={"preset": "dr_grpo", "domains": own}), run)
    rows = read_rollouts(run.path / "rollouts").to_pylist()
    assert {row["domain"] for row in rows} == {"code", "mathematics"}
    for row in rows:
        cut = 0.5 * (row["finish"] == "length")
        assert row["reward"] == (3 * row["outcome"] if row["domain"] == "mathematics" else row["outcome"] - cut)


def test_cells_for_a_domain_without_a_task_are_named_in_a_warning(base, tmp_path, caplog):
    algorithm = {"preset": "dr_grpo", "domains": {"cooking": {"clip_high": 0.3}}}
    rlvr(make_parts(base, {"task": two_domains()}), config(algorithm=algorithm, steps=1), make_run(tmp_path / "run"))
    assert "names 'cooking', of which there is no task; there are code, mathematics" in caplog.text
