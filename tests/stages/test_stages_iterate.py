"""Rounds of RLVR: on the tasks within reach, from a new reference, until one brings nothing."""

import json
import re
import shutil

import pytest
import torch
from tiny import emit, make_parts, make_run, task, write_base

from rlvr.config.data import EvaluateConfig
from rlvr.config.rlvr import IterateConfig
from rlvr.errors import TrainingError
from rlvr.runs.folder import Run
from rlvr.runs.rollouts import read_rollouts
from rlvr.runs.sameness import differences
from rlvr.stages import iterate as module
from rlvr.stages.iterate import iterate
from rlvr.statistics.intervals import Interval
from rlvr.types import Verdict
from rlvr.verifiers.scorer import Scorer

MEASURED = EvaluateConfig.model_validate({"data": ["x"], "samples": 16, "max_completion_tokens": 6})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base", scale=0.25)


@pytest.fixture
def each_round_gains(monkeypatch):
    monkeypatch.setattr(module, "mean_gain", lambda before, after, domains: Interval(0.2, 0.1, 0.3))


def config(**changes):
    values = {
        "kind": "iterate",
        "data": ["x"],
        "algorithm": {"preset": "grpo", "updates_per_step": 1},
        "rounds": 2,
        "steps": 3,
        "candidates": 12,
        "candidate_samples": 16,
        "prompts_per_step": 4,
        "group_size": 8,
        "max_completion_tokens": 6,
        "checkpoint_every": 1,
        "kl_groups": 2,
        "optimizer": {"learning_rate": 2e-2},
    }
    return IterateConfig.model_validate({**values, **changes})


def items():
    """Tasks that are solved now and then, tasks that never are, and tasks that always are."""
    now_and_then = [task(i) for i in range(8)]
    never = [task(i, reference="nothing") for i in range(8, 12)]
    always = [task(i, reference="always") for i in range(12, 14)]
    return [*now_and_then, *never, *always]


def verdict(given, completion):
    return Verdict(1.0, "ok") if given.reference == "always" else emit(given, completion)


def parts_of(base, found=None, **changes):
    held_out = [task(i) for i in range(20, 26)]
    given = {"task": items() if found is None else found, "held-out task": held_out}
    return make_parts(base, given, scores=Scorer({"emit": verdict}), evaluation=MEASURED, **changes)


def rounds(run):
    return json.loads((run.path / "rounds.json").read_text())["rounds"]


def state(run, number):
    (*_, last) = sorted((run.path / f"round-{number}" / "checkpoints").glob("step-*"))
    return torch.load(last / "trainer.pt", weights_only=True)


def test_each_round_learns_and_its_steps_are_counted_through(base, tmp_path):
    run = make_run(tmp_path / "run")
    made = iterate(parts_of(base), config(steps=6), run)
    assert [line["step"] for line in run.metrics()] == list(range(12))
    first, second = rounds(run)
    assert re.fullmatch(r"round 1: \+\d\d\.\d points \[\+\d+\.\d, \+\d\d\.\d\] on held-out tasks", first), first
    assert made.path.parent.parent.name == "round-2"
    assert (made.step, made.domains) == (12, ("tiny",))
    assert run.metrics()[-1]["rollout/outcome_mean"] > run.metrics()[0]["rollout/outcome_mean"] + 0.2
    assert second.startswith("round 2: ")


@pytest.mark.usefixtures("each_round_gains")
def test_the_reference_of_a_round_is_what_it_began_with_and_its_tasks_are_those_within_reach(base, tmp_path):
    run = make_run(tmp_path / "run")
    iterate(parts_of(base), config(candidates=14), run)
    lines = run.metrics()
    assert [lines[0]["train/kl"], lines[3]["train/kl"]] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert lines[2]["train/kl"] > 1e-5
    for number in (1, 2):
        child = run.path / f"round-{number}"
        chosen = set(json.loads((child / "candidates.json").read_text())["chosen"])
        assert chosen
        assert chosen <= {f"task-{i}" for i in range(8)}, "always and never solved ones rest"
        assert set(read_rollouts(child / "rollouts")["task_id"].to_pylist()) <= chosen


def test_of_the_candidates_within_reach_no_more_are_learned_from_than_their_share(base, tmp_path):
    run = make_run(tmp_path / "run")
    iterate(parts_of(base), config(candidates=14, kept_share=0.2, rounds=1), run)
    place = run.path / "round-1"
    chosen = json.loads((place / "candidates.json").read_text())["chosen"]
    assert len(chosen) == 3  # 0.2 of 14, and more than 3 are solved now and then
    solved = dict[str, list[bool]]()
    for row in read_rollouts(place / "candidates" / "rollouts").to_pylist():
        solved.setdefault(row["task_id"], []).append(row["outcome"] == 1.0)
    off = {name: abs(sum(found) / len(found) - 0.5) for name, found in solved.items()}
    assert max(off[name] for name in chosen) <= min(off[name] for name in off.keys() - set(chosen))


def test_without_candidates_all_tasks_are_learned_from(base, tmp_path):
    run = make_run(tmp_path / "run")
    iterate(parts_of(base), config(candidates=0, rounds=1, steps=4), run)
    assert len(set(read_rollouts(run.path / "round-1" / "rollouts")["task_id"].to_pylist())) == 14


@pytest.mark.parametrize(("kept", "steps"), [(False, 3.0), (True, 6.0)])
@pytest.mark.usefixtures("each_round_gains")
def test_the_optimizer_is_kept_or_begins_anew_and_its_schedule_always_does(kept, steps, base, tmp_path):
    run = make_run(tmp_path / "run")
    iterate(parts_of(base), config(keep_optimizer=kept), run)
    optimizer = state(run, 2)["learner"]["optimizer"]
    assert optimizer["update_index"] == 3
    assert {float(entry["step"]) for entry in optimizer["parts"][0]["state"].values()} == {steps}


@pytest.mark.parametrize(
    ("gain", "said", "given"),
    [
        ((0.1, -0.1, 0.3), ["not to be told from chance, so the last one"], "round-1"),
        ((-0.2, -0.3, -0.1), ["given up"], "base"),
        ((0.2, 0.1, 0.3), ["tasks", "tasks"], "round-2"),
    ],
)
def test_a_round_within_the_noise_is_the_last_one_and_one_that_lost_is_given_up(
    gain, said, given, base, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "mean_gain", lambda before, after, domains: Interval(*gain))
    run = make_run(tmp_path / "run")
    made = iterate(parts_of(base), config(steps=1), run)
    assert [line.endswith(end) for line, end in zip(rounds(run), said, strict=True)] == [True] * len(said)
    assert made.path == base if given == "base" else made.path.parent.parent.name == given
    assert made.domains == ("tiny",), "it was trained on, whatever came of it"


def test_without_an_evaluation_all_rounds_are_run(base, tmp_path):
    run = make_run(tmp_path / "run")
    parts = make_parts(base, {"task": items()}, scores=Scorer({"emit": verdict}))
    iterate(parts, config(steps=1, rounds=3), run)
    assert rounds(run) == ["round 1: not measured", "round 2: not measured", "round 3: not measured"]


def test_where_no_task_is_within_reach_it_does_not_begin(base, tmp_path):
    never = [task(i, reference="nothing") for i in range(6)]
    with pytest.raises(TrainingError, match="of the candidates that were sampled none is solved now and then"):
        iterate(parts_of(base, never), config(), make_run(tmp_path / "run"))


def differing(one, other):
    """What differs between two stages' runs and between their rounds."""
    found = differences(one.path, other.path)
    for number in (1, 2):
        for place in (f"round-{number}", f"round-{number}/candidates", f"round-{number}/evaluation"):
            found += differences(one.path / place, other.path / place)
    return found


@pytest.fixture(scope="module")
def undisturbed(base, tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("whole") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "mean_gain", lambda before, after, domains: Interval(0.2, 0.1, 0.3))
        made = iterate(parts_of(base), config(), run)
    return run, made


def resumed(base, run, undisturbed):
    told = []
    made = iterate(parts_of(base, announce=lambda steps, first: told.append((steps, first))), config(), run)
    whole, expected = undisturbed
    assert made.path.relative_to(run.path) == expected.path.relative_to(whole.path)
    assert (made.step, made.domains) == (expected.step, expected.domains)
    assert differing(whole, run) == []
    return told


@pytest.mark.usefixtures("each_round_gains")
@pytest.mark.parametrize("deadly", [2, 4])
def test_a_stage_that_was_killed_in_a_step_ends_as_an_undisturbed_one(deadly, base, tmp_path, undisturbed):
    broken = make_run(tmp_path / "broken")

    def kill(step, metrics):
        if step == deadly:
            raise KeyboardInterrupt

    broken.listeners.append(kill)
    with pytest.raises(KeyboardInterrupt):
        iterate(parts_of(base), config(), broken)
    broken.listeners.clear()
    # the step that was written and is not in a checkpoint is made again
    assert resumed(base, broken, undisturbed) == [(6, deadly)]


@pytest.mark.usefixtures("each_round_gains")
def test_lines_that_a_power_cut_took_from_the_stage_are_written_again_with_those_after_them(
    base, tmp_path, undisturbed
):
    cut = tmp_path / "cut"
    shutil.copytree(undisturbed[0].path, cut)
    run = Run(cut)
    lines = (cut / "metrics.jsonl").read_text().splitlines(keepends=True)
    # The second of six steps, in a round that ended: its checkpoints are whole, and other rounds follow it.
    (cut / "metrics.jsonl").write_text("".join([lines[0], *lines[2:]]))
    resumed(base, run, undisturbed)


@pytest.mark.usefixtures("each_round_gains")
@pytest.mark.parametrize(
    ("what", "time", "first"),
    [
        ("sample_groups", 1, 0),
        ("sample_groups", 2, 3),
        ("held_out_groups", 1, 0),
        ("held_out_groups", 2, 3),
        ("held_out_groups", 3, 6),
        ("solved_rates", 3, 6),
        ("nothing", 1, 6),
    ],
)
def test_a_stage_that_was_killed_around_a_round_ends_as_an_undisturbed_one(
    what, time, first, base, tmp_path, undisturbed, monkeypatch
):
    broken, calls, function = make_run(tmp_path / "broken"), [], getattr(module, what, None)

    def deadly(*arguments, **options):
        calls.append(what)
        if len(calls) == time:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    if function is None:  # killed after its end, before the pipeline knew
        iterate(parts_of(base), config(), broken)
    else:
        monkeypatch.setattr(module, what, deadly)
        with pytest.raises(KeyboardInterrupt):
            iterate(parts_of(base), config(), broken)
        monkeypatch.setattr(module, what, function)
    assert resumed(base, broken, undisturbed) == [(6, first)]


@pytest.mark.usefixtures("each_round_gains")
@pytest.mark.parametrize("number", [1, 2])
def test_a_damaged_checkpoint_of_a_round_is_made_again(number, base, tmp_path, undisturbed, caplog):
    broken = make_run(tmp_path / "broken")
    iterate(parts_of(base), config(), broken)
    checkpoints = broken.path / f"round-{number}" / "checkpoints"
    (*_, last) = sorted(checkpoints.glob("step-*"))
    (last / "model.safetensors").write_bytes(b"nothing")
    resumed(base, broken, undisturbed)
    assert "is damaged" in caplog.text
    for folder in checkpoints.glob("step-*"):
        (folder / "model.safetensors").write_bytes(b"nothing")
    resumed(base, broken, undisturbed)
    assert len(list(checkpoints.parent.glob("damaged-*"))) == 1


def test_the_gain_is_measured_as_tasks_are_asked_in_training(base, tmp_path):
    run = make_run(tmp_path / "run")
    iterate(parts_of(base), config(prompt="w20 {problem} w21", steps=1, rounds=1), run)
    rows = read_rollouts(run.path / "round-1" / "evaluation" / "rollouts").to_pylist()
    assert rows
    assert all((row["prompt_ids"][0], row["prompt_ids"][-1]) == (20, 21) for row in rows)


@pytest.mark.usefixtures("each_round_gains")
def test_a_critic_of_a_later_round_begins_with_that_round_s_weights(base, tmp_path, monkeypatch):
    begun, make = [], module.create_value_model
    monkeypatch.setattr(
        module, "create_value_model", lambda path, **options: begun.append(path) or make(path, **options)
    )
    run = make_run(tmp_path / "run")
    iterate(parts_of(base), config(algorithm="ppo", steps=1), run)
    assert begun == [base, run.path / "round-1" / "checkpoints" / "step-000001"]
