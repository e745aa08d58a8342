"""Before RLVR starts, its tasks are looked at once: is there something to learn from? The training stays the same."""

import io
import json
from dataclasses import asdict, replace

import learning
import pytest
from pydantic import ValidationError
from rich.console import Console
from tiny import completion, emit, make_parts, make_run, task, write_base

from rlvr.config.rlvr import ConditionsConfig
from rlvr.errors import RunError, TrainingError
from rlvr.runs.publish import latest_whole
from rlvr.runs.report import Contamination, Lengths, read_condition
from rlvr.runs.rollouts import read_rollouts
from rlvr.runs.sameness import differences
from rlvr.runs.summary import condition_table
from rlvr.stages.conditions import (
    conditions_of,
    contamination_of,
    problem_lines,
    read_conditions,
    require,
    shows_working,
)
from rlvr.stages.rlvr import rlvr
from rlvr.types import Group, Verdict, read_only
from rlvr.verifiers.scorer import Scorer


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("models") / "base", scale=0.25)


def config(**conditions):
    return learning.config(conditions={"tasks": 5, **conditions})


SHORT = {
    "constraints": [{"id": "length_constraints:number_words", "kwargs": {"num_words": 3, "relation": "less than"}}]
}


def tasks():
    other = [task(i, SHORT, domain="other", verifier="instructions") for i in range(12, 15)]
    return [task(i) for i in range(12)] + other


def scorer(verify=emit):
    return Scorer({"emit": verify, "instructions": lambda t, c: Verdict(float("w9" in c.text.split()), "ok")})


def parts(base, **changes):
    return make_parts(base, {"task": tasks()}, **{"scores": scorer(), **changes})


def group(index, outcomes, domain="tiny", texts=()):
    verdicts = tuple(Verdict(o, "timeout" if o is None else "ok") for o in outcomes)
    texts = texts or [PLAIN] * len(outcomes)
    completions = tuple(replace(completion([5, 2]), text=text) for text in texts)
    rewards = tuple(0.0 for _ in outcomes)
    return Group(task(index, domain=domain), index, read_only([1], "int64"), completions, verdicts, rewards)


def of(groups, group_size, contamination=None, compares=True, **limits):
    return conditions_of(
        groups,
        group_size=group_size,
        compares=compares,
        config=ConditionsConfig.model_validate(limits),
        contamination=contamination or {},
    )


SHOWN, PLAIN = "<think>2 + 3 = 5</think> 5", "5"


def test_groups_of_an_algorithm_that_compares_none_need_not_be_mixed():
    samples = [group(index, [1.0, 0.0, 0.0, 0.0]) for index in range(20)]
    (compared,), (alone,) = of(samples, 1), of(samples, 1, compares=False)
    assert [line for line in compared.problems if "hold right and wrong samples" in line]
    assert (alone.mixed_rate, alone.problems) == (None, ())


def test_conditions_by_hand():
    samples = [
        group(0, [1.0, 0.0, 0.0, 0.0], texts=[SHOWN, PLAIN, PLAIN, PLAIN]),
        group(1, [0.0] * 4),
        group(2, [1.0] * 4, texts=[SHOWN, SHOWN, PLAIN, PLAIN]),
        group(3, [None, 1.0, 0.0, 0.0], texts=[SHOWN, PLAIN, SHOWN, PLAIN]),
    ]
    (found,) = of(samples, 2)
    assert (found.domain, found.num_tasks, found.num_samples, found.group_size) == ("tiny", 4, 4, 2)
    # 1/4, 0, 1 and, of the scored, 1/3
    assert found.pass_at_1.mean == pytest.approx((0.25 + 0 + 1 + 1 / 3) / 4)
    # tasks 0, 1 and 2 have 4 scored samples; two of them have a right one
    assert found.pass_at_k.mean == pytest.approx(2 / 3)
    # of the 6 pairs of task 0 hold 3 right and wrong, of the 3 pairs of task 3 hold 2; tasks 1 and 2 have none
    assert found.mixed_rate.mean == pytest.approx((3 / 6 + 0 + 0 + 2 / 3) / 4)
    for rate in (found.pass_at_1, found.pass_at_k, found.mixed_rate):
        assert 0 <= rate.low < rate.mean < rate.high <= 1
    # 15 samples were scored; with working: 1 of task 0, 2 of task 2, 1 of task 3
    assert found.working_rate == pytest.approx(4 / 15)
    # tasks 0, 2 and 3 have both kinds: right with working 1, 1 and 0, without it 0, 1 and 1/2
    assert found.working.num_tasks == 3
    assert found.working.shown == pytest.approx(2 / 3)
    assert found.working.hidden == pytest.approx(0.5)
    assert found.working.gain.mean == pytest.approx((1 + 0 - 0.5) / 3)
    assert found.problems == ()


def test_tasks_of_one_kind_only_lend_working_nothing():
    # Pooled, working would be right in 9 of 10 and the rest in 1 of 10: the easy tasks are those that are worked.
    easy = [group(i, [1.0, 1.0], texts=[SHOWN, SHOWN]) for i in range(4)]
    hard = [group(i, [0.0, 0.0], texts=[PLAIN, PLAIN]) for i in range(4, 8)]
    both = [group(8, [1.0, 1.0], texts=[SHOWN, PLAIN]), group(9, [0.0, 0.0], texts=[SHOWN, PLAIN])]
    (found,) = of([*easy, *hard, *both], 2)
    assert (found.working.num_tasks, found.working.shown, found.working.hidden) == (2, 0.5, 0.5)
    assert found.working.gain.mean == 0
    (apart,) = of([*easy, *hard], 2)
    assert (apart.working, apart.working_rate) == (None, 0.5)


def test_where_no_task_has_enough_scored_samples_nothing_is_known():
    (found,) = of([group(0, [1.0, None, None, None])], 2)
    assert (found.pass_at_k, found.mixed_rate) == (None, None)
    # what was not measured is no condition that fails
    assert found.problems == ()


def test_a_domain_that_nobody_could_score_is_named_and_fails():
    lost, fine = group(0, [None, None], texts=[SHOWN, PLAIN]), group(1, [1.0, 0.0], "other")
    other, found = of([lost, fine], 2)
    assert (other.domain, other.problems) == ("other", ())
    assert (found.domain, found.num_tasks, found.histogram) == ("tiny", 1, (0, 0, 0, 0, 0, 0))
    assert (found.pass_at_1, found.pass_at_k, found.mixed_rate, found.working_rate) == (None, None, None, 0.5)
    assert found.problems == ("no sample of its 1 tasks has an outcome, so nothing can be told",)
    with pytest.raises(TrainingError, match="tiny fails a condition for RL: no sample"):
        require([other, found])
    assert read_condition(json.loads(json.dumps(asdict(found)))) == found
    drawn = Console(width=120, record=True, file=io.StringIO())
    drawn.print(condition_table([found]))
    assert drawn.export_text().count("–") >= 3


def test_what_is_required_must_be_measured():
    with pytest.raises(ValidationError, match="conditions are required, but tasks = 0 measures none"):
        ConditionsConfig.model_validate({"tasks": 0, "required": True})


def test_right_is_what_reaches_the_threshold_of_its_task():
    half = group(0, [0.5, 0.25, 0.25], texts=[SHOWN, SHOWN, PLAIN])
    (found,) = of([replace(half, task=replace(half.task, threshold=0.5))], 2)
    assert (found.working.shown, found.working.hidden, found.working_rate) == (0.5, 0.0, pytest.approx(2 / 3))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>a</think>", True),
        ("so <think>\n 2 + 3\n</think> 5", True),
        ("<think></think><think>a</think>", True),
        ("<think></think> 5", False),
        ("<think> \n\t</think> 5", False),
        ("<think></think> 2 + 3 = 5", False),
        ("<think><think></think>", False),
        # Cut off at the length limit: it is working that did not come to an end.
        ("<think>a", True),
        ("<think>", False),
        ("<think>  ", False),
        ("a</think> 5", False),
        ("", False),
    ],
)
def test_working_is_what_stands_inside_a_thinking_part_even_where_it_is_cut_off(text, shown):
    assert shows_working(text) == shown


def worth(*gains):
    """Gives the conditions of tasks with 4 samples with working and 4 without; 2 of the latter are right."""
    texts = [SHOWN] * 4 + [PLAIN] * 4
    outcomes = [[1.0] * (2 + gain) + [0.0] * (2 - gain) + [1.0, 1.0, 0.0, 0.0] for gain in gains]
    return of([group(i, o, texts=texts) for i, o in enumerate(outcomes)], 4)[0]


@pytest.mark.parametrize(
    ("gains", "fails"),
    [
        ([0] * 10, True),
        ([-1] * 10, True),
        # 2 samples of 4 in one task of 10 are 5 points
        ([2, *([0] * 9)], True),
        # 25 points everywhere
        ([1] * 10, False),
        # 12.5 points on average, but they may be chance
        ([2, 2, 2, 2, -2, -1, 0, 0], True),
        # too few tasks: not judged
        ([-1] * 7, False),
        ([-1] * 8, True),
    ],
)
def test_working_must_pay_by_more_than_5_points_and_by_more_than_chance_in_8_tasks_with_both_kinds(gains, fails):
    found = worth(*gains)
    assert found.working.gain.mean == pytest.approx(sum(gains) / 4 / len(gains))
    assert any(sentence.startswith("working is not shown to pay") for sentence in found.problems) == fails


def test_each_condition_that_fails_is_a_sentence_and_equal_rates_are_a_failure():
    always = of([group(i, [1.0, 1.0], texts=[SHOWN, PLAIN]) for i in range(8)], 2)
    assert [sentence.split(" (")[0] for sentence in always[0].problems] == [
        "working is not shown to pay",
        "2 samples solve hardly more tasks than one does",
        "few groups of 2 hold right and wrong samples",
    ]
    assert "100% right with it, 100% without, in 8 tasks: +0 points [" in always[0].problems[0]
    assert problem_lines(always)[0].startswith("tiny fails a condition for RL: working is not shown to pay")
    with pytest.raises(TrainingError, match="the conditions for RLVR do not hold; tiny fails a condition for RL"):
        require(always)


def test_the_limits_themselves_are_good_enough():
    # 1 of 5 groups is mixed: 20%; pass@1 = 0.5/5 = 0.1, pass@2 = 1/5 = 0.2: 10 points between
    samples = [group(0, [1.0, 0.0]), *(group(i, [0.0, 0.0]) for i in range(1, 5))]
    (found,) = of(samples, 2)
    assert (found.mixed_rate.mean, found.working, found.problems) == (pytest.approx(0.2), None, ())
    require([found])


def test_the_stage_looks_at_so_many_tasks_of_each_domain_and_keeps_what_it_saw(base, tmp_path):
    run = make_run(tmp_path / "run")
    rlvr(parts(base), config(), run)
    tiny, other = sorted(read_conditions(run), key=lambda c: c.domain != "tiny")
    assert [(c.domain, c.num_tasks, c.num_samples) for c in (tiny, other)] == [("tiny", 5, 16), ("other", 3, 16)]
    rows = read_rollouts(run.path / "conditions" / "rollouts").to_pylist()
    assert {r["split"] for r in rows} == {"conditions"}
    assert len(rows) == (5 + 3) * 16
    assert {c.group_size for c in (tiny, other)} == {4}
    rates = [r["outcome"] for r in rows if r["domain"] == "tiny"]
    assert tiny.pass_at_1.mean == pytest.approx(sum(rates) / 80)
    (line,) = run.child("conditions").metrics()
    assert line["rollout/conditions_pass_at_1/tiny"] == tiny.pass_at_1.mean
    assert line["rollout/conditions_pass_at_k/tiny"] == tiny.pass_at_k.mean
    # the tiny tokenizer has no thinking part
    assert (tiny.working, tiny.working_rate) == (None, 0.0)
    assert line["rollout/conditions_working_rate/other"] == 0.0
    assert "rollout/conditions_working_gain/other" not in line


def test_a_larger_group_is_sampled_whole(base, tmp_path):
    run = make_run(tmp_path / "run")
    rlvr(parts(base), config().model_copy(update={"group_size": 18, "steps": 1}), run)
    assert {(c.num_samples, c.group_size) for c in read_conditions(run)} == {(18, 18)}


def test_conditions_of_another_version_are_one_clear_error(tmp_path):
    run = make_run(tmp_path / "run")
    run.write_json("conditions.json", {"conditions": [{"domain": "tiny", "pass_at_1": 0.5}]})
    with pytest.raises(RunError, match="written by another version of rlvr") as caught:
        read_conditions(run)
    assert "delete it" in caught.value.hint


def test_measuring_changes_nothing_of_the_training(base, tmp_path):
    with_it, without = make_run(tmp_path / "with"), make_run(tmp_path / "without")
    rlvr(parts(base), config(), with_it)
    rlvr(parts(base), config(tasks=0), without)
    assert read_conditions(without) == ()
    assert differences(with_it.path, without.path) == ["the run conditions is only in the first"]


class StopError(Exception):
    """Ends a stage in the middle."""


@pytest.mark.parametrize("stop_at", ["measuring", "training"])
def test_a_stage_that_stopped_keeps_or_repeats_the_conditions_of_an_undisturbed_one(
    stop_at, base, tmp_path, monkeypatch
):
    whole, stopped = make_run(tmp_path / "whole"), make_run(tmp_path / "stopped")
    rlvr(parts(base), config(), whole)

    def stop_measuring(groups, **rest):
        assert len(groups) == 5 + 3
        raise StopError

    def stop(step, metrics):
        if step == 2:
            raise StopError

    if stop_at == "training":
        stopped.listeners.append(stop)
    with monkeypatch.context() as patch:
        if stop_at == "measuring":
            patch.setattr("rlvr.stages.conditions.conditions_of", stop_measuring)
        with pytest.raises(StopError):
            rlvr(parts(base), config(), stopped)
    stopped.listeners.clear()
    assert (stopped.path / "conditions.json").is_file() == (stop_at == "training")
    found = latest_whole(stopped.checkpoints)
    rlvr(parts(base, start=found[0] if found else None), config(), stopped)
    assert differences(whole.path, stopped.path) == []
    assert (whole.path / "conditions.json").read_bytes() == (stopped.path / "conditions.json").read_bytes()


def test_a_condition_that_is_required_stops_the_stage_before_its_first_step(base, tmp_path):
    run = make_run(tmp_path / "run")
    announced = []
    wrong = parts(
        base,
        scores=scorer(lambda t, c: Verdict(0.0, "ok")),
        announce=lambda steps, first: announced.append(len(read_conditions(run))),
    )
    with pytest.raises(TrainingError, match="tiny fails a condition for RL: 16 samples") as caught:
        rlvr(wrong, config(required=True), run)
    assert "conditions.required=false" in caught.value.hint
    assert run.metrics() == []
    # whoever listens could show both domains before the stage stopped
    assert announced == [2]
    rlvr(wrong, config(required=False), make_run(tmp_path / "lenient"))


def test_conditions_are_stored_as_they_are_reported(base, tmp_path):
    run = make_run(tmp_path / "run")
    rlvr(parts(base), config(), run)
    stored = json.loads((run.path / "conditions.json").read_text())["conditions"]
    assert [entry["domain"] for entry in stored] == ["other", "tiny"]
    assert set(stored[0]) == {
        *("domain", "num_tasks", "num_samples", "group_size", "pass_at_1", "pass_at_k", "mixed_rate"),
        *("working_rate", "working", "problems", "histogram", "lengths", "contamination"),
    }
    assert all(set(entry["pass_at_1"]) == {"mean", "low", "high"} for entry in stored)


def cut(index, outcomes, finishes, lengths):
    """A group whose completions have so many tokens and end in that way."""
    made = group(index, outcomes)
    completions = tuple(completion([5] * n, finish=f) for n, f in zip(lengths, finishes, strict=True))
    return replace(made, completions=completions)


def test_tasks_are_counted_by_the_share_right_of_their_samples():
    rights = [0, 1, 2, 2, 3, 3, 3, 4]  # of 4: none, a quarter, a half twice, three quarters three times, all
    samples = [group(i, [1.0] * n + [0.0] * (4 - n)) for i, n in enumerate(rights)]
    # 4 of 5 lie between three quarters and all; of 3 scored ones 1 is up to a half
    samples += [group(8, [1.0] * 4 + [0.0]), group(9, [None, 1.0, 0.0, 0.0])]
    (found,) = of(samples, 2)
    assert found.histogram == (1, 1, 3, 3, 1, 1)


def test_lengths_and_the_truncated_share_by_hand():
    samples = [
        cut(0, [1.0, 0.0], ["stop", "length"], [10, 40]),
        cut(1, [0.0, 0.0], ["length", "length"], [40, 40]),
        cut(2, [1.0, 1.0], ["stop", "stop"], [20, 30]),
        cut(3, [1.0, 0.0], ["stop", "stop"], [20, 40]),
    ]
    (found,) = of(samples, 2)
    # 1/2, 1, 0 and 0 of each task's samples; 240 tokens of 8 samples; 95% of 7 steps lie between the 7th and the 8th
    assert found.lengths.truncated_rate.mean == pytest.approx(0.375)
    assert (found.lengths.mean_tokens, found.lengths.p95_tokens) == (30.0, 40.0)
    assert found.lengths.truncated_rate.low < 0.375 < found.lengths.truncated_rate.high


@pytest.mark.parametrize(("limit", "fails"), [(0.2, True), (0.25, False), (0.5, False)])
def test_more_samples_cut_off_than_the_recipe_bears_are_a_problem(limit, fails):
    samples = [cut(i, [1.0, 0.0], ["stop", "length" if i < 2 else "stop"], [3, 3]) for i in range(4)]
    (found,) = of(samples, 2, max_truncated_rate=limit)  # 2 of 8 samples: 25%
    assert [text.split(" (")[0] for text in found.problems] == (
        ["25% of the samples are cut off at the length limit"] if fails else []
    )


LONG = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"]


def posed(index, words):
    return replace(task(index), messages=({"role": "user", "content": " ".join(words)},))


def test_contamination_by_hand():
    # 15 words have 3 runs of 13: all, two and none of them stand in the held-out problem
    tasks = [posed(0, LONG), posed(1, [*LONG[:14], "x"]), posed(2, LONG[::-1])]
    found = contamination_of(tasks, [posed(3, LONG)])
    assert found == {"tiny": Contamination(3, pytest.approx(1 / 3), pytest.approx((1 + 2 / 3 + 0) / 3))}
    assert contamination_of(tasks, []) == {}


@pytest.mark.parametrize(("limit", "fails"), [(0.01, True), (0.04, False)])
def test_more_near_copies_than_the_recipe_bears_are_a_problem(limit, fails):
    known = {"tiny": Contamination(50, 0.02, 0.1)}
    (found,) = of([group(0, [1.0, 0.0])], 2, known, max_contaminated_rate=limit)
    said = "2.0% of 50 tasks are near copies of held-out ones (expected at most 1.0%); a gain on those is partly recall"
    assert found.problems == ((said,) if fails else ())
    assert found.contamination == known["tiny"]


def test_a_stage_looks_for_near_copies_of_all_that_is_held_out(base, tmp_path):
    run = make_run(tmp_path / "run")
    rlvr(parts(base, held_out=lambda: [task(99)]), config(), run)
    # prompts of one word have no n-gram to share
    assert {c.domain: c.contamination for c in read_conditions(run)} == {
        "tiny": Contamination(12, 0.0, 0.0),
        "other": Contamination(3, 0.0, 0.0),
    }
    (line,) = run.child("conditions").metrics()
    tiny = next(c for c in read_conditions(run) if c.domain == "tiny")
    assert isinstance(tiny.lengths, Lengths)
    assert line["rollout/conditions_truncated_rate/tiny"] == tiny.lengths.truncated_rate.mean
    assert sum(tiny.histogram) == 5


def test_conditions_of_a_run_before_there_were_lengths_are_read_without_them(base, tmp_path):
    run = make_run(tmp_path / "run")
    rlvr(parts(base), config(), run)
    content = json.loads((run.path / "conditions.json").read_text())
    for entry in content["conditions"]:
        for name in ("histogram", "lengths", "contamination"):
            del entry[name]
    run.write_json("conditions.json", content)
    assert [(c.histogram, c.lengths, c.contamination) for c in read_conditions(run)] == [((), None, None)] * 2
