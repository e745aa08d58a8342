"""What each rule of a race loses and saves in races that are made up; writes docs/lab/race-simulated.md.

python benchmarks/race_simulated.py                                 4 CPU-minutes
python benchmarks/race_simulated.py --races 50 --out /tmp/page.md   a look at it
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from rlvr.runs.atomic import replace_file
from rlvr.stages.race.policy import halving, safe
from rlvr.stages.race.simulate import Result, World, break_even, gain_over, rung_correlations, simulate
from rlvr.statistics.intervals import proportion_interval

PAGE = Path(__file__).parent.parent / "docs" / "lab" / "race-simulated.md"
RACES, RACERS, TASKS, SAMPLES = 2000, 8, 256, 4
SPREADS = (0.01, 0.02, 0.05)
CORRELATIONS = (0.0, 0.3, 0.5, 0.7, 0.9)
SAFE_SPREADS, SAFE_TASKS, SAFE_CORRELATIONS = (0.02, 0.05, 0.1, 0.15), (256, 1024), (0.7, 0.8, 0.9)
NULL_ERRORS, NULL_TIMES = (0.05, 0.1, 0.3), 5
"""The case without a difference has so many times the races."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One cell of the grid: by rule what it does."""

    spread: float
    correlation: float
    results: dict[str, Result]


def grid(races: int) -> Iterator[Setting]:
    """Gives each cell: halving, Ray's rule and fewer seeds see the same races, safe with its further rung its own."""
    policy, careful = halving(RACERS), safe()
    for spread, correlation in product(SPREADS, CORRELATIONS):
        early, more = (rung_correlations(correlation, len(rule.shares)) for rule in (policy, careful))
        world, wider = (World(spread, told, num_tasks=TASKS, samples=SAMPLES) for told in (early, more))
        own = simulate(policy, world, num_racers=RACERS, num_races=races)
        results = {
            "`halving`": own,
            "Ray's ASHA": simulate("asha", world, num_racers=RACERS, num_races=races, shares=policy.shares),
            "fewer seeds in full": simulate("fewer", world, num_racers=RACERS, num_races=races, budget=own.cost),
            "`safe`": simulate(careful, wider, num_racers=RACERS, num_races=races),
        }
        yield Setting(spread, correlation, results)


def cells(result: Result) -> list[str]:
    """Gives regret with its interval, how often the best is lost, how often anyone is paused, and the cost."""
    regret = result.regret
    return [
        f"{100 * regret.mean:.2f} [{100 * regret.low:.2f}, {100 * regret.high:.2f}]",
        f"{100 * result.lost_rate:.1f} %",
        f"{100 * result.paused_rate:.1f} %",
        f"{100 * result.cost:.1f} %",
    ]


def row(*parts: str) -> str:
    """Gives a line of a Markdown table."""
    return f"| {' | '.join(parts)} |"


def grid_table(found: Sequence[Setting]) -> str:
    """Gives a Markdown table of the grid."""
    lines = [
        row("spread", "correlation", "rule", "lacks of the best, points", "loses it", "pauses anyone", "spends"),
        row(*["---"] * 7),
    ]
    for one in found:
        for place, (rule, result) in enumerate(one.results.items()):
            head = (f"{100 * one.spread:g}", f"{one.correlation:g}") if place == 0 else ("", "")
            lines.append(row(*head, rule, *cells(result)))
    return "\n".join(lines) + "\n"


def gains_table(found: Sequence[Setting]) -> str:
    """Gives a Markdown table of what halving gains over fewer seeds in full for the same steps."""
    head = row("spread", *(f"correlation {one:g}" for one in CORRELATIONS))
    lines = [head, row(*["---"] * (1 + len(CORRELATIONS)))]
    for spread in SPREADS:
        settings = [one for one in found if one.spread == spread]
        gains = [gain_over(one.results["fewer seeds in full"], one.results["`halving`"]) for one in settings]
        said = [f"{100 * gain.mean:+.2f} [{100 * gain.low:+.2f}, {100 * gain.high:+.2f}]" for gain in gains]
        lines.append(row(f"{100 * spread:g}", *said))
    return "\n".join(lines) + "\n"


def told(found: Sequence[Setting], races: int) -> str:
    """Says from which correlation on halving does better, and what safe loses and spends at the worst."""
    even = break_even(halving(RACERS), num_racers=RACERS, num_races=10 * races)
    careful = [one.results["`safe`"] for one in found]
    lost, spent = max(one.lost_rate for one in careful), min(one.cost for one in careful)
    return (
        f"\nWithout noise of evaluation `halving` does better from a correlation of {even:.2f} on (`break_even`, "
        f"{10 * races:,} races).\nIn the grid above `safe` loses the best seed in {100 * lost:.1f} % of the races at "
        f"most, of the {100 * safe().error:g} % that it may, and spends {100 * spent:.1f} % of the steps or more.\n"
    )


def safe_table(races: int) -> str:
    """Gives a Markdown table of safe where seeds lie far apart and its rungs tell the end well."""
    lines = [
        row("spread", "tasks", "lacks of the best, points", "loses it", "pauses anyone", "spends"),
        row(*["---"] * 6),
    ]
    for spread, tasks in product(SAFE_SPREADS, SAFE_TASKS):
        world = World(spread, SAFE_CORRELATIONS, num_tasks=tasks, samples=SAMPLES)
        result = simulate(safe(), world, num_racers=RACERS, num_races=races)
        lines.append(row(f"{100 * spread:g}", f"{tasks:,}", *cells(result)))
    return "\n".join(lines) + "\n"


def null_table(races: int) -> str:
    """Gives a Markdown table of how often safe pauses anyone where seeds do not differ."""
    lines = [row("chosen error", "races", "with a pause", "95 % interval of the chance"), row(*["---"] * 4)]
    alike = World(0.0, (1.0, 1.0, 1.0), num_tasks=TASKS, samples=SAMPLES)
    for error in NULL_ERRORS:
        result = simulate(safe(error), alike, num_racers=RACERS, num_races=races)
        paused = round(result.paused_rate * races)
        chance = proportion_interval(paused, races)
        lines.append(
            row(
                f"{100 * error:g} %",
                f"{races:,}",
                f"{paused:,}",
                f"{100 * chance.low:.2f} to {100 * chance.high:.2f} %",
            )
        )
    return "\n".join(lines) + "\n"


HEAD = """# Races that are made up: what each rule loses and saves

`python benchmarks/race_simulated.py --races {races}`, {seconds:.0f} CPU-seconds. {racers} seeds whose true rates at the
end deviate by the spread, in points, around 60 %; {tasks} held-out tasks of unequal difficulty, {samples} samples of
each; {races:,} races a line. Correlation is that of the last rung's true rates with those at the end; rungs before it
tell less (`rung_correlations`). A rule lacks what its choice has less than the best of the {racers} seeds, with a 95 %
interval over races. It spends a share of the steps of running all to the end.

`halving` keeps 4 seeds at a tenth of the steps and 2 at three tenths; Ray's ASHA is its asynchronous rule with the same
rungs, seeds arriving one by one; fewer seeds in full are as many as `halving`'s steps pay for, on average. These three
see the same races. `safe` has its default error of 10 % and rungs at one, two and three fifths, and is told exactly how
far they tell the end.

"""
GAINS = """
## What `halving` gains over fewer seeds in full

For the same steps and in the same races, in points, with a 95 % interval over races.

"""
BETWEEN = """
## `safe` where seeds lie further apart

Its three rungs correlate by 0.7, 0.8 and 0.9 with the end, which it knows exactly.

"""
NULL = """
## Seeds that do not differ

All have one true rate, at every rung and at the end, and `safe` is told that rungs foretell the end exactly, which lets
it pause on the least lack that it is sure of. Every pause is then an error of what was measured.

"""
FOOT = """
`safe` shares its error among every ordered pair of seeds and every rung, holds at any time and without a normal
distribution, and gives half of it to the future: so it pauses more seldom than the chosen error allows, and saves only
where seeds lie far apart. A race or recorded curves give the correlation of a recipe
(`rlvr race --simulate --curves`); nobody knows it beforehand.
"""


def page(races: int) -> str:
    """Gives the page, with so many races a line; says on the way how far it is."""
    began, found = time.process_time(), []
    for number, setting in enumerate(grid(races), start=1):
        found.append(setting)
        seconds = time.process_time() - began
        print(f"{number}/{len(SPREADS) * len(CORRELATIONS)} of the grid after {seconds:.0f} CPU-s", flush=True)
    tables = [grid_table(found), GAINS, gains_table(found), told(found, races), BETWEEN, safe_table(races), NULL]
    print(f"{NULL_TIMES * races:,} races of seeds that do not differ, {len(NULL_ERRORS)} times", flush=True)
    tables += [null_table(NULL_TIMES * races), FOOT]
    seconds = time.process_time() - began
    head = HEAD.format(races=races, seconds=seconds, racers=RACERS, tasks=TASKS, samples=SAMPLES)
    return head + "".join(tables)


def main(words: Sequence[str] | None = None) -> None:
    """Simulates and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--races", type=int, default=RACES, help="of each line, 2 at least; without a difference 5 times"
    )
    parser.add_argument("--out", type=Path, default=PAGE)
    options = parser.parse_args(words)
    if options.races < 2:
        parser.error("an interval needs 2 races at least: --races 2000")
    replace_file(options.out, page(options.races).encode())


if __name__ == "__main__":
    main()
