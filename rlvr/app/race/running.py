"""The course of a race: all that run go from rung to rung, are decided on there, and what breaks is replaced.

Whatever is decided follows from what lies on the disk, never from when somebody looked.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rlvr.app.race.local import log_of
from rlvr.app.race.spending import is_paid, left_of
from rlvr.app.race.standing import DECISIONS, measured_at, metrics_of, raced_stage, rates_at, stage_folder
from rlvr.app.race.state import Fault, RacePlan, State
from rlvr.errors import RunError
from rlvr.runs.folder import Run
from rlvr.runs.glossary import trained_domains
from rlvr.stages.conditions import problem_lines, read_conditions
from rlvr.stages.race.budget import Budget, cut, num_paid
from rlvr.stages.race.executor import Ended, Executor, Job
from rlvr.stages.race.policy import decide, first_fault

POLL_SECONDS = 0.5
LINE_SECONDS = 15.0
"""So often a line says how far the racers are."""
TRIES = 3
"""How often a job whose process failed is started in all."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Course:
    """A race that runs: its folder, what was asked, how it stands, where the racers' runs lie, who runs them, and
    where its words go. `state` changes with the race, and is stored after each change."""

    race: Run
    plan: RacePlan
    state: State
    places: Mapping[str, Path]
    executor: Executor
    say: Say

    def left(self) -> list[str]:
        """Gives who goes on. Raises RunError where nobody does."""
        left = self.state.running(self.plan)
        if not left:
            raise RunError("no racer is left: " + "; ".join(f"{n}: {f.why}" for n, f in self.state.faults.items()))
        return left

    def store(self) -> None:
        """Writes how the race stands."""
        self.race.write_json(DECISIONS, asdict(self.state))


def run_rungs(course: Course) -> None:
    """Takes all that run from rung to rung, decides at each, and takes them to the end.

    Where the recipe requires the conditions for RL, the first racer, which measures them, goes to the first rung alone.
    """
    plan, state = course.plan, course.state
    first = plan.racers[0].name
    if not state.decisions and first not in state.faults and raced_stage(course.places[first]).conditions.required:
        bring(course, {first: Job(first, plan.rungs[0])})
    for number, step in enumerate((*plan.rungs, plan.steps)):
        if number < len(state.decisions):
            continue
        bring(course, {name: Job(name, step) for name in state.running(plan)})
        while _replaced(course):
            bring(course, {name: Job(name, step) for name in state.running(plan)})
        running = {name: course.places[name] for name in course.left()}
        state.domains = state.domains or _trained(running, step)
        if number < len(plan.rungs):
            _decide(course, running, number, step)
        course.store()


def _decide(course: Course, running: Mapping[str, Path], number: int, step: int) -> None:
    """Decides who goes on after a rung. Raises RunError where the budget brings nobody to the end."""
    plan, say = course.plan, course.say
    rates = rates_at(running, step, course.state.domains)
    found = decide(plan.policy, number, rates, num_racers=len(plan.racers), foresight=plan.foresight[number])
    if plan.budget is not None:
        following = (*plan.rungs, plan.steps)[number + 1]
        left, prices = left_of(plan, course.state, course.places)
        paid = num_paid(left, prices, until_next=following - step, until_end=plan.steps - following)
        if not paid:
            raise _spent(course, plan.budget, f"at step {step} what is left brings no racer to the end")
        found = cut(found, paid, plan.budget)
    course.state.decisions.append(found)
    say(f"rung {number + 1} of {len(plan.rungs)}, step {step}, {len(next(iter(rates.values())))} tasks:")
    for name, decision in found.items():
        say(f"  {name} {'goes on' if decision.goes_on else 'pauses'}: {decision.reason}")


def _spent(course: Course, budget: Budget, what: str) -> RunError:
    left, _ = left_of(course.plan, course.state, course.places)
    return RunError(
        f"{budget.amount - left:,.0f} of the budget of {budget} are spent: {what}",
        hint=f"rlvr resume {course.race.path} --budget {2 * budget.amount:.0f}{budget.unit} goes on with the race",
    )


def _replaced(course: Course) -> bool:
    """Takes back the best paused racer for each that went on and then had a fault, as far as the budget goes; says
    whether there was one."""
    state = course.state
    kept = {name for found in state.decisions[-1:] for name, one in found.items() if one.goes_on}
    went_on = kept | state.taken_back.keys()
    due = [name for name in sorted(state.faults.keys() & went_on) if name not in state.replaced]
    for name in due:
        state.replaced[name] = ""
        if (other := state.best_paused()) and is_paid(course.plan, state, course.places, [other]):
            state.taken_back[other] = len(state.decisions)
            state.replaced[name] = other
            course.say(f"  {other} is taken back for {name}")
        course.store()
    return any(state.replaced[name] for name in due)


def steps_to_cook(course: Course, winner: str) -> int:
    """Gives for how many steps the winner goes on: what was asked, or its share of the steps that were saved, as far as
    the budget goes. Decided once for each winner."""
    plan, state = course.plan, course.state
    if winner not in state.cooking:
        stopped = [plan.rungs[rung] for rung, _ in state.paused().values()]
        stopped += [fault.steps for fault in state.faults.values()]
        wanted = plan.cook or int(plan.cook_share * sum(plan.steps - step for step in stopped))
        if plan.budget is not None:
            left, prices = left_of(plan, state, course.places)
            wanted = min(wanted, max(0, int((left - prices.measuring) / prices.step + 1e-9)))
        state.cooking[winner] = wanted
        course.store()
    return state.cooking[winner]


def _trained(places: Mapping[str, Path], step: int) -> tuple[str, ...]:
    """Gives the domains that are trained and measured; all that are measured where none is trained."""
    trained = set(trained_domains(line for place in places.values() for line in metrics_of(place)[:step]))
    known = {domain for place in places.values() if (made := measured_at(place, step)) for domain in made.sampled}
    return tuple(sorted(trained & known or known))


def bring(course: Course, jobs: Mapping[str, Job]) -> None:
    """Has the jobs done; a racer with a fault is killed, a job whose process fails is started again.

    Raises RunError for one that fails again and again, such as on a full disk, and where the budget is spent: then the
    race can be taken up later.
    """
    state, places, say = course.state, course.places, course.say
    missing = {name: job for name, job in jobs.items() if not _is_done(places[name], job)}
    tries, sound = dict.fromkeys(missing, 1), dict.fromkeys(jobs, 0)
    for job in missing.values():
        course.executor.submit(job)
    began = spoken = time.monotonic()
    first = {name: len(metrics_of(places[name])) for name in missing}
    while missing:
        for ended in course.executor.report():
            _take(course, ended, missing, tries, sound)
        _find_faults(course, missing, sound)
        for name in sorted(missing.keys() & state.faults.keys()):
            _out(name, state, say)
            del missing[name]
        _watch_budget(course, missing)
        if missing and time.monotonic() - spoken > LINE_SECONDS:
            spoken = time.monotonic()
            say(_progress(missing, places, first, spoken - began))
        time.sleep(POLL_SECONDS if missing else 0)
    # What was too quick to be seen on the way is seen here, so that a race does not depend on when it looked.
    known = set(state.faults)
    _find_faults(course, jobs, sound)
    for name in sorted(state.faults.keys() - known):
        _out(name, state, say)
    if state.faults:
        course.store()


def _watch_budget(course: Course, missing: Mapping[str, Job]) -> None:
    """Raises RunError where another step of all that train would spend more than the budget.

    Steps are counted at rungs, before they are made.
    """
    budget = course.plan.budget
    if budget is None or budget.unit == "steps":
        return
    training = sum(not job.fresh and len(metrics_of(course.places[name])) < job.until for name, job in missing.items())
    left, prices = left_of(course.plan, course.state, course.places)
    if training and left < min(training, course.plan.at_once) * prices.step:
        for name in missing:
            course.executor.kill(name)
        raise _spent(course, budget, f"{', '.join(sorted(missing))} would go on")


def _is_done(place: Path, job: Job) -> bool:
    return measured_at(place, job.until, fresh=job.fresh) is not None


def _take(course: Course, ended: Ended, missing: dict[str, Job], tries: dict[str, int], sound: dict[str, int]) -> None:
    """Takes note of a job that ended.

    Of a fault that its metrics show the process may say something else, or nothing; they are asked first, so that the
    same one is recorded whoever saw it first.
    """
    name, places = ended.job.racer, course.places
    _find_faults(course, {name: ended.job}, sound)
    if name in course.state.faults:
        return
    if not ended.problem and _is_done(places[name], ended.job):
        del missing[name]
    elif ended.is_final and _lacks_conditions(places[name]):
        raise RunError(ended.problem, hint="the recipe asks for it (conditions.required); all racers begin alike")
    elif ended.is_final:
        course.state.faults[name] = Fault(len(metrics_of(places[name])), ended.problem)
    elif tries[name] < TRIES:
        tries[name] += 1
        course.executor.submit(ended.job)
    else:
        raise RunError(
            f"{name} failed {TRIES} times: {ended.problem or 'it ended without a measurement'}",
            hint=f"its words stand in {log_of(places[name])}; rlvr resume goes on with the race",
        )


def _lacks_conditions(place: Path) -> bool:
    """Whether a racer ended because the conditions for RL do not hold, which its recipe requires."""
    required = raced_stage(place).conditions.required
    return required and bool(problem_lines(read_conditions(Run(stage_folder(place)))))


def _find_faults(course: Course, jobs: Mapping[str, Job], sound: dict[str, int]) -> None:
    """Kills whoever has a fault; `sound` says of how many steps of each it is known that they have none."""
    for name, job in jobs.items():
        if name in course.state.faults:
            continue
        lines = metrics_of(course.places[name])[: job.until]
        steps, why = first_fault(lines, known=sound[name])
        sound[name] = len(lines)
        if why:
            course.executor.kill(name)
            course.state.faults[name] = Fault(steps, why)


def _out(name: str, state: State, say: Say) -> None:
    say(f"  {name} is out: {state.faults[name].why}")


def _progress(missing: Mapping[str, Job], places: Mapping[str, Path], first: Mapping[str, int], seconds: float) -> str:
    at = {name: len(metrics_of(places[name])) for name in missing}
    made = sum(at[name] - first[name] for name in missing)
    left = sum(max(0, missing[name].until - at[name]) for name in missing)
    where = f"{len(missing)} on their way to step {max(job.until for job in missing.values())}"
    rate = made / seconds
    rest = f", {left / rate / 60:.0f} min to go" if rate > 0 else ""
    return f"  {where}, at {min(at.values())} to {max(at.values())}; {rate:.2f} steps/s{rest}"
