"""RLVR straight from the base, RLHF and iterative RLVR on the laptop's tasks: equal rollouts, three seeds.

    python benchmarks/laptop_recipes.py --jobs 2

As many rollouts, and measured on the same tasks, as the rows of laptop_rows.py. Each has its control: iterative RLVR
the same steps without rounds, RLHF the same PPO with the verifier in the reward model's place. Of the recipe from the
base only the RLVR stage is run, of iterative RLVR only the rounds, from the rows' DPO checkpoint. Writes
docs/lab/laptop-recipes.md.
"""

import argparse
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from laptop_rows import SAMPLES, SEEDS, STEPS, TASKS, head_of, line_of, measured
from trials import ROOT, Outcome, Trial, run_all

from rlvr.runs.folder import Run
from rlvr.runs.report import StageReport

ROUNDS, WINDOW = 3, 10
BASE = ROOT / "models" / "laptop-base"
COST = "time/cpu_seconds"
FIGURES = SCORE, SOLVED, AGREES, KL = (
    "rollout/score_mean",
    "rollout/outcome_mean",
    "rollout/score_agreement_rate",
    "train/kl",
)


@dataclass(frozen=True, slots=True)
class Way:
    """A recipe's text, the overrides of a run of it, where it starts (None: at the rows' parent), and its passes."""

    recipe: str
    words: tuple[str, ...]
    start: Path | None
    updates: int

    def trials(self, name: str) -> list[Trial]:
        """Gives the way with every seed."""
        how = measured()
        return [Trial(f"{name}-seed{seed}", (f"seed={seed}", *how, *self.words)) for seed in SEEDS]


def ways() -> dict[str, Way]:
    """Gives every recipe by its name."""
    zero, rlhf, iterate = (
        (ROOT / "recipes" / f"laptop-{name}.toml").read_text(encoding="utf-8") for name in ("zero", "rlhf", "iterate")
    )
    zero = zero[: zero.index("# Pairs that differ")]
    iterate = iterate[: iterate.index("[[stage]]")] + iterate[iterate.rindex("[[stage]]") :]
    at_once = iterate.replace(f'kind = "iterate"\nrounds = {ROUNDS}\ncandidates = 1024', 'kind = "rlvr"')
    alike, chat = (f"rlvr.steps={STEPS}", "rlvr.conditions.tasks=0"), 'evaluation.prompts=["chat"]'
    plain, eight = 'evaluation.prompts=["Q: {problem}\\nA:"]', "rlvr.group_size=8"
    return {
        "zero": Way(zero, (*alike, plain), BASE, 1),
        "one round": Way(at_once, (*alike, chat), None, 1),
        "iterate": Way(iterate, (f"iterate.steps={STEPS // ROUNDS}", chat), None, 1),
        "PPO, verifier": Way(rlhf.replace('scorer = { reward_model = "taste" }\n', ""), (*alike, eight, chat), BASE, 2),
        "rlhf": Way(rlhf, (*alike, eight, chat), BASE, 2),
    }


def curve(run: Path) -> dict[str, Any]:
    """Gives what a run's last stage took to train, in CPU-seconds, and along it what the reward model thought and what
    was true, means over WINDOW steps each."""
    lines = Run.open(run).stages[-1].metrics()
    parts = [lines[at : at + WINDOW] for at in range(0, len(lines), WINDOW)]
    found = {key: [_mean([line.get(key, math.nan) for line in part]) for part in parts] for key in FIGURES}
    return {COST: math.fsum(line[COST] for line in lines), **found}


def _mean(values: list[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return statistics.mean(known) if known else None


def page(found: Mapping[str, Mapping[str, Outcome]]) -> str:
    """Gives the lab page."""
    first = next(iter(next(iter(found.values())).values())).stage
    trained = [name for name, domain in first.domains.items() if domain.trained]
    lines = [
        "# RLVR from the base, RLHF and iterative RLVR on the laptop's tasks",
        "",
        f"`python benchmarks/laptop_recipes.py` made this page: {STEPS} rollouts of 64 prompts × 8 completions, seeds",
        f"{', '.join(map(str, SEEDS))}; {TASKS} held-out tasks per domain, {SAMPLES} samples, as in laptop-rows.md.",
        'Gains are over what each starts from: zero over the base (both asked as "Q: …"); iterate',
        f"({ROUNDS} rounds at most of {STEPS // ROUNDS} steps) and the same steps in one round over the rows' DPO",
        "checkpoint; rlhf, and the same PPO with the verifier in the reward model's place, over an SFT model of that",
        "seed. CPU-s are those of the training steps; the candidates of iterate, 8 samples each a round, and its",
        "evaluations, by which it stops, come on top, and for the two with PPO the reward model, from which the critic",
        "starts. An interval is that of the tasks alone; the seeds stand beside it.",
        "",
        *head_of("recipe | passes", trained),
    ]
    known = ways()
    lines += [
        line_of(name, known[name].updates, [_trained_for(outcome) for outcome in made.values()], trained)
        for name, made in found.items()
    ]
    if "rlhf" in found:
        lines += _proxy(found["rlhf"])
    return "\n".join(lines) + "\n"


def _trained_for(outcome: Outcome) -> StageReport:
    """Gives the report with the cost of the training steps alone."""
    return replace(outcome.stage, cpu_seconds=outcome.more[COST])


def _proxy(made: Mapping[str, Outcome]) -> list[str]:
    """Gives the reward model's score, right answers and the KL along RLHF, means over the seeds."""
    lines = [
        "",
        "## RLHF: what the reward model thinks, and what is true",
        "",
        "Means over the seeds and ten steps each: the score, answers right, how often a right completion has a higher",
        "score than a wrong one of the same task, and the KL to the SFT model in nats a token.",
        "",
        "| steps | score | right | right scores higher | KL |",
        "|---|---|---|---|---|",
    ]
    curves = [dict[str, Any](outcome.more) for outcome in made.values()]
    for part in range(min(len(one[SOLVED]) for one in curves)):
        score, solved, agrees, kl = (
            _mean([math.nan if one[key][part] is None else one[key][part] for one in curves])
            for key in (SCORE, SOLVED, AGREES, KL)
        )
        cells = (_cell(score, ".2f"), _cell(solved, ".1%"), _cell(agrees, ".1%"), _cell(kl, ".3f"))
        lines.append(f"| {part * WINDOW + 1}–{(part + 1) * WINDOW} | {' | '.join(cells)} |")
    return lines


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="how many runs at once (default: %(default)s)")
    given = parser.parse_args()
    found = {
        name: run_all(
            f"recipes/{name.replace(', ', '-').replace(' ', '-')}",
            way.recipe,
            way.trials(name),
            at_once=given.jobs,
            more=curve,
            start=way.start,
        )
        for name, way in ways().items()
    }
    path = ROOT / "docs" / "lab" / "laptop-recipes.md"
    path.write_text(page(found))
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
