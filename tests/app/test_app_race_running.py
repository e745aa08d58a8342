"""What a race decides from what lies on the disk: the same whenever somebody looked, and never beyond its budget."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from rlvr.app.race import running
from rlvr.app.race.command import cooking, take_up
from rlvr.app.race.local import LocalExecutor
from rlvr.app.race.running import Course, steps_to_cook
from rlvr.app.race.spending import is_paid, left_of
from rlvr.app.race.standing import DECISIONS, PLAN
from rlvr.app.race.state import Fault, RacePlan, Racer, State
from rlvr.errors import UsageError
from rlvr.runs.folder import Run
from rlvr.stages.race.budget import Budget, read_budget
from rlvr.stages.race.executor import Ended, Job
from rlvr.stages.race.policy import Decision, Foresight, Policy

NAMES = ("a", "b", "c", "d")
RACED = RacePlan(
    racers=tuple(Racer(name, seed) for seed, name in enumerate(NAMES)),
    policy=Policy("halving", (0.2,), (2,)),
    rungs=(2,),
    steps=10,
    foresight=(Foresight(),),
    at_once=2,
    num_gpus=0,
    cook=0,
    cook_share=0.5,
    budget=Budget(30, "steps"),
)
# a and b go on after step 2, c and d pause there
HALVED = [{name: Decision(name in "ab", "", 0.9 - 0.1 * place) for place, name in enumerate(NAMES)}]
Made = Callable[[Mapping[str, int]], dict[str, Path]]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Gives places of racers that made so many steps, of which none was measured."""

    def of(steps: Mapping[str, int]) -> dict[str, Path]:
        def lines(place: Path) -> list[dict[str, float]]:
            return [{"step": step, "train/kl": 9.0 if step == 3 else 0.0} for step in range(steps[place.name])]

        for module in ("running", "spending"):
            monkeypatch.setattr(f"rlvr.app.race.{module}.metrics_of", lines)
        monkeypatch.setattr("rlvr.app.race.spending.measured_at", lambda *_, **__: None)
        monkeypatch.setattr("rlvr.app.race.spending.stage_folder", lambda place: place)
        return {name: tmp_path / name for name in steps}

    return of


def course(plan: RacePlan, state: State, places: Mapping[str, Path], folder: Path) -> Course:
    return Course(Run(folder), plan, state, places, LocalExecutor(places, at_once=1), lambda line: None)


def test_steps_after_a_fault_are_not_counted_however_many_were_made(made: Made) -> None:
    state = State(decisions=HALVED, faults={"a": Fault(4, "broken")})
    # 4 of a, 5 of b, 2 of each of c and d are 13 of 30
    for steps in (4, 9):
        left, prices = left_of(RACED, state, made({"a": steps, "b": 5, "c": 2, "d": 2}))
        assert (left, prices.step) == (17.0, 1.0)


@pytest.mark.parametrize("problem", ["", "loss is not finite", "its process was ended by signal 9"])
def test_the_fault_of_the_metrics_is_recorded_whatever_the_process_says(
    problem: str, made: Made, tmp_path: Path
) -> None:
    raced = course(RACED, State(), made({"a": 7}), tmp_path)
    job = Job("a", 10)
    running._take(raced, Ended(job, problem, is_final=bool(problem)), {"a": job}, {"a": 1}, {"a": 0})
    assert raced.state.faults == {"a": Fault(4, "train/kl is 9 nats a token at step 4, above 5")}


def test_of_two_replacements_the_second_is_judged_by_what_the_first_leaves(made: Made, tmp_path: Path) -> None:
    # a and b broke at step 4, each of c and d would take 8 steps: of 12 + 8 + 8 - 1 steps one is paid
    places = made({"a": 4, "b": 4, "c": 2, "d": 2})
    for budget, back in ((27, {"a": "c", "b": ""}), (28, {"a": "c", "b": "d"}), (19, {"a": "", "b": ""})):
        faults = {name: Fault(4, "broken") for name in "ab"}
        state = State(decisions=HALVED, faults=faults)
        raced = course(replace(RACED, budget=Budget(budget, "steps")), state, places, tmp_path)
        assert running._replaced(raced) == any(back.values())
        assert state.replaced == back


def test_those_that_run_are_paid_before_one_comes_back(made: Made) -> None:
    # 4 + 3 + 2 + 2 = 11 steps made; a needs 6 more, b 7, and c 8
    state, places = State(decisions=HALVED), made({"a": 4, "b": 3, "c": 2, "d": 2})
    assert is_paid(replace(RACED, budget=Budget(32, "steps")), state, places, ["c"])
    assert not is_paid(replace(RACED, budget=Budget(31, "steps")), state, places, ["c"])
    assert not is_paid(replace(RACED, budget=Budget(32, "steps")), state, places, ["c", "d"])
    assert is_paid(replace(RACED, budget=None), state, places, ["c", "d"])


def test_a_racer_is_taken_back_only_where_the_budget_pays_for_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on = list[Any]()
    monkeypatch.setattr("rlvr.app.race.command.go_on", went_on.append)
    made({"a": 10, "b": 10, "c": 2, "d": 2})
    race = Run(tmp_path)
    race.write_json(PLAN, {"plan": asdict(RACED)})
    race.write_json(DECISIONS, asdict(State(decisions=HALVED)))
    # 24 of 30 are spent, and c takes 8
    with pytest.raises(UsageError, match="of 30 training steps does not pay for c"):
        take_up(tmp_path, take_back=["c"], budget="")
    with pytest.raises(UsageError, match="of 39 training steps does not pay for c and d"):
        take_up(tmp_path, take_back=["c", "d"], budget="39steps")
    assert race.read_json(PLAN)["plan"]["budget"]["amount"] == 30
    take_up(tmp_path, take_back=["c"], budget="32steps")
    assert race.read_json(DECISIONS)["taken_back"] == {"c": 1}
    assert went_on == [tmp_path]


def test_a_winner_that_came_back_goes_on_for_no_more_than_is_left(made: Made, tmp_path: Path) -> None:
    state, places = State(decisions=HALVED), made({"a": 10, "b": 10, "c": 2, "d": 2})
    # c and d left out 16 steps, half of which are 8; of 30 steps 24 are spent
    assert steps_to_cook(course(RACED, state, places, tmp_path), "a") == 6
    assert steps_to_cook(course(replace(RACED, budget=None), state, places, tmp_path), "a") == 6
    state.taken_back["c"] = 1
    places = made({"a": 10, "b": 10, "c": 10, "d": 2})
    # with c back 32 steps are made; of 33 one is left
    assert steps_to_cook(course(replace(RACED, budget=Budget(33, "steps")), state, places, tmp_path), "c") == 1


def test_the_winner_goes_on_for_all_that_is_left_of_a_budget_where_nothing_else_was_asked(
    made: Made, tmp_path: Path
) -> None:
    places = made({"a": 10, "b": 10, "c": 2, "d": 2})
    # 24 steps are made and 16 left out; a tenth of 16 is 1, half of them are 8
    for asked, budget, cooked in (
        (None, "", 1),
        (None, "33steps", 9),
        (None, "40steps", 16),
        (None, "1000steps", 16),
        (0.5, "33steps", 8),
        (0, "33steps", 0),
        (3, "33steps", 3),
    ):
        steps, share = cooking(asked, budget=budget)
        plan = replace(RACED, budget=read_budget(budget) if budget else None, cook=steps, cook_share=share)
        state = State(decisions=HALVED)
        assert steps_to_cook(course(plan, state, places, tmp_path), "a") == cooked
        # a larger budget does not change what was decided
        assert steps_to_cook(course(replace(plan, budget=Budget(900, "steps")), state, places, tmp_path), "a") == cooked
