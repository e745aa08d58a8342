"""While a stage trains: what is lost stops it, what is not gained is said, and a resumed stage knows both."""

import logging

import pytest
from tiny import make_parts, make_run, task, write_base

from rlvr.config.data import EvaluateConfig
from rlvr.config.gate import GateConfig
from rlvr.config.rlvr import RlvrConfig
from rlvr.runs.sameness import differences
from rlvr.stages.parts import PASSED
from rlvr.stages.rlvr import rlvr
from rlvr.stages.watch import STOPPED, flat_since, last_passed, rates_by_step, stopped_lines


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base", scale=0.25)


EVALUATION = EvaluateConfig.model_validate({"data": ["x"], "samples": 4, "max_completion_tokens": 6})
BEST = {"tiny": {f"task-{i}": 1.0 for i in range(100, 160)}}
WORST = {"tiny": {f"task-{i}": 0.0 for i in range(100, 160)}}


def config(**changes):
    values = {
        "kind": "rlvr",
        "data": ["x"],
        "algorithm": "dr_grpo",
        "steps": 6,
        "prompts_per_step": 4,
        "group_size": 4,
        "max_completion_tokens": 6,
        "evaluate_every": 2,
        "checkpoint_every": 1,
        "conditions": {"tasks": 0},
        "optimizer": {"learning_rate": 1e-4},
    }
    return RlvrConfig.model_validate({**values, **changes})


def parts(base, before, **changes):
    items = {"task": [task(i) for i in range(20)], "held-out task": [task(i) for i in range(100, 160)]}
    values = {"evaluation": EVALUATION, "earlier": [("base", before)], **changes}
    return make_parts(base, items, **values)


def test_a_stage_that_loses_what_was_there_is_stopped_and_gives_back_what_it_began_with(base, tmp_path, caplog):
    run = make_run(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        made = rlvr(parts(base, BEST, gate=GateConfig.model_validate({})), config(), run)
    assert (made.path, made.step) == (base, 0)
    assert [line["step"] for line in run.metrics()] == [0, 1]
    assert "after step 2 too much is lost, the stage is stopped here: pass@1 of tiny against base" in caplog.text
    (line,) = stopped_lines(run)
    assert line.startswith("after step 2, pass@1 of tiny against base: worse by")
    # killed before its result was noted: the last checkpoint is the one that lost, and it is not handed on
    (run.path / STOPPED).unlink()
    resumed = parts(base, BEST, start=run.checkpoints / "step-000002", begin=base, gate=GateConfig())
    again = rlvr(resumed, config(), run)
    assert (again.path, again.step) == (base, 0)
    assert stopped_lines(run) == [line]
    assert [line["step"] for line in run.metrics()] == [0, 1]


def test_one_that_loses_nothing_goes_to_its_end_and_keeps_the_last_that_was_seen_to_pass(base, tmp_path):
    run = make_run(tmp_path / "run")
    made = rlvr(parts(base, WORST, gate=GateConfig.model_validate({})), config(steps=5), run)
    assert (made.path.name, made.step) == ("step-000005", 5)
    assert last_passed(run, before=5) == run.path / PASSED / "step-000004"
    assert last_passed(run, before=4) == run.path / PASSED / "step-000002"
    (run.path / PASSED / "step-000004" / "model.safetensors").write_bytes(b"torn")
    assert last_passed(run, before=5) == run.path / PASSED / "step-000002"
    assert [step for step, _ in rates_by_step(run)] == [2, 4]


def test_a_warning_changes_nothing_of_what_is_trained(base, tmp_path):
    warned, plain = make_run(tmp_path / "warned"), make_run(tmp_path / "plain")
    made = rlvr(parts(base, BEST, gate=GateConfig.model_validate({"on_failure": "warn"})), config(), warned)
    rlvr(parts(base, BEST), config(), plain)
    assert made.step == 6
    assert differences(warned.path, plain.path) == []


def test_patience_ends_a_stage_without_gains_and_a_resumed_one_stays_ended(base, tmp_path, caplog):
    run = make_run(tmp_path / "run")
    with caplog.at_level(logging.WARNING):
        made = rlvr(parts(base, BEST), config(patience=2), run)
    # the base at 0, then 2 and 4: two evaluations before the one at 4 that it is no better than
    assert (made.path.name, made.step) == ("step-000004", 4)
    assert "no gain since step 0 can be told from chance (step 4)" in caplog.text
    assert [line.get("eval/steps_without_gain") for line in run.metrics()] == [None, 2.0, None, 4.0]
    again = rlvr(parts(base, BEST, start=made.path), config(patience=2), run)
    assert (again.path, again.step) == (made.path, 4)
    assert len(run.metrics()) == 4


def rates(value):
    return {"tiny": {f"t{n}": value for n in range(60)}}


def test_flat_is_counted_back_to_the_first_of_those_that_are_no_worse():
    seen = [(0, rates(0.1)), (10, rates(0.5)), (20, rates(0.5)), (30, rates(0.5))]
    assert flat_since(seen, ["tiny"]) == 10
    assert flat_since(seen[:2], ["tiny"]) is None
    assert flat_since([*seen, (40, rates(0.9))], ["tiny"]) is None
    assert flat_since(seen[:1], ["tiny"]) is None
    assert flat_since(seen, ["never asked"]) is None


def test_patience_without_evaluations_is_refused():
    with pytest.raises(ValueError, match="set evaluate_every too"):
        config(patience=2, evaluate_every=0)
