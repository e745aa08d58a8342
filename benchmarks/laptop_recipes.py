"""RLVR straight from the base, RLHF and iterative RLVR on the laptop's tasks: equal rollouts, three seeds.

    python benchmarks/laptop_recipes.py --jobs 2

As many rollouts, and measured on the same tasks, as the rows of laptop_rows.py. Each has its control: iterative RLVR
the same steps without rounds, RLHF the same PPO with the verifier in the reward model's place, whose completions that
seed's reward model then reads too. Of the recipe from the base only the RLVR stage is run, of iterative RLVR only the
rounds, from the rows' DPO checkpoint. Writes docs/lab/laptop-recipes.md.
"""

import argparse
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from laptop_rows import SAMPLES, SEEDS, STEPS, TASKS, head_of, line_of, measured, trained_in
from transformers import AutoTokenizer
from trials import ROOT, Arm, Outcome, Trial, by_arm, run_all

from rlvr.app.ended import made_by
from rlvr.models.heads import load_value_model
from rlvr.runs.folder import ROLLOUTS, Run, rollout_name
from rlvr.runs.rollouts import read_rollouts
from rlvr.stages.iterate import measuring_lines, round_lines
from rlvr.training.reward_scores import measure_rewards, scored_row

ROUNDS, WINDOW = 3, 10
TASTE = "2-taste"
CONTROLS = {"iterate": "one-round", "rlhf": "ppo-verifier"}
"""What a way is held against."""
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
    of_rounds = f'kind = "iterate"\nrounds = {ROUNDS}\ncandidates = 1024\nkept_share = 0.5'
    assert of_rounds in iterate, "the keys of rounds are left out of the same steps in one"
    at_once = iterate.replace(of_rounds, 'kind = "rlvr"')
    alike, chat = (f"rlvr.steps={STEPS}", "rlvr.conditions.tasks=0"), 'evaluation.prompts=["chat"]'
    plain, eight = 'evaluation.prompts=["Q: {problem}\\nA:"]', "rlvr.group_size=8"
    return {
        "zero": Way(zero, (*alike, plain), BASE, 1),
        "one-round": Way(at_once, (*alike, chat), None, 1),
        "iterate": Way(iterate, (f"iterate.steps={STEPS // ROUNDS}", chat), None, 1),
        "ppo-verifier": Way(rlhf.replace('scorer = { reward_model = "taste" }\n', ""), (*alike, eight, chat), BASE, 2),
        "rlhf": Way(rlhf, (*alike, eight, chat), BASE, 2),
    }


def curve(run: Path) -> dict[str, Any]:
    """Gives what a run's last stage took, in CPU-seconds with all that was sampled around rounds, its steps and the
    rounds' verdicts, and along it what the reward model thought and what was true, means over WINDOW steps each."""
    stage, taste = Run.open(run).stages[-1], run / TASTE
    lines = [dict(line) for line in stage.metrics()]
    cost = math.fsum(line[COST] for line in [*lines, *measuring_lines(stage)])
    if taste.is_dir() and SCORE not in lines[0]:
        lines = [{**line, **scored(stage, int(line["step"]), made_by(taste))} for line in lines]
    parts = [lines[at : at + WINDOW] for at in range(0, len(lines), WINDOW)]
    found = {key: [_mean([line.get(key, math.nan) for line in part]) for part in parts] for key in FIGURES}
    return {COST: cost, "steps": len(lines), "rounds": round_lines(stage), **found}


def scored(stage: Run, step: int, reward_model: Path) -> dict[str, float]:
    """Gives what a reward model thinks of a step's completions that were trained on another word: the mean score, and
    how often a right one has a higher score than a wrong one of the same task."""
    columns = ("draw_index", "prompt_ids", "token_ids", "outcome", "threshold")
    path = stage.path / ROLLOUTS / rollout_name("train", step)
    rows = read_rollouts(path, columns=columns).to_pylist()
    tokenizer = AutoTokenizer.from_pretrained(reward_model)
    model = load_value_model(reward_model, tokenizer=tokenizer, device=torch.device("cpu"))
    tokens = [np.array(row["prompt_ids"] + row["token_ids"]) for row in rows]
    ends = [scored_row(ids, len(ids) - 1) for ids in tokens]
    scores = np.array(measure_rewards(model, ends, microbatch_tokens=4096, layout="padded", dtype="float32"))
    groups = np.array([row["draw_index"] for row in rows])
    right = np.array([row["outcome"] is not None and row["outcome"] >= row["threshold"] for row in rows])
    wrong = np.array([row["outcome"] is not None for row in rows]) & ~right
    wins = [
        np.sign(scores[right & (groups == group), None] - scores[wrong & (groups == group)]).ravel() / 2 + 0.5
        for group in np.unique(groups)
    ]
    pairs = np.concatenate(wins)
    return {SCORE: float(scores.mean()), **({AGREES: float(pairs.mean())} if pairs.size else {})}


def _mean(values: list[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return statistics.mean(known) if known else None


def page(found: Mapping[str, Mapping[str, Outcome]]) -> str:
    """Gives the lab page."""
    arms = {name: by_arm(made)[name] for name, made in found.items() if made}
    trained = trained_in(next(iter(next(iter(arms.values())).values())).stage)
    lines = [
        "# RLVR from the base, RLHF and iterative RLVR on the laptop's tasks",
        "",
        f"`python benchmarks/laptop_recipes.py` made this page: {STEPS} rollouts of 64 prompts × 8 completions, seeds",
        f"{', '.join(map(str, SEEDS))}; {TASKS} held-out tasks per domain, {SAMPLES} samples, as in laptop-rows.md.",
        'Gains are over what each starts from: zero over the base (both asked as "Q: …"); iterate',
        f"({ROUNDS} rounds at most of {STEPS // ROUNDS} steps) and the same steps in one round over the rows' DPO",
        "checkpoint; rlhf, and the same PPO with the verifier in the reward model's place, over an SFT model of that",
        "seed. CPU-s are those of the training steps and, of iterate, of its candidates and of the evaluations by",
        "which it stops; for the two with PPO the reward model, from which the critic starts, comes on top. An",
        "interval is that of the tasks alone; the column of the control is paired by task, each seed's difference",
        "beside it. iterate gives up a round and stops by the held-out tasks that are reported here, which favours it",
        "a little; its candidates (8 samples each) are not among the rollouts.",
        "",
        *head_of("recipe | passes", "against its control: each seed", trained),
    ]
    known = ways()
    arms = {name: {seed: _with_cost(outcome) for seed, outcome in arm.items()} for name, arm in arms.items()}
    for name, arm in arms.items():
        lines.append(line_of(name, known[name].updates, arm, arms.get(CONTROLS.get(name, ""), {}), trained))
    if "iterate" in arms:
        lines += _rounds(arms["iterate"])
    for name, title in (("rlhf", "RLHF"), ("ppo-verifier", "PPO on the verifier's word")):
        if name in arms:
            lines += _proxy(arms[name], title)
    return "\n".join(lines) + "\n"


def _with_cost(outcome: Outcome) -> Outcome:
    """Gives the outcome with the cost that `curve` found."""
    return replace(outcome, stage=replace(outcome.stage, cpu_seconds=outcome.more[COST]))


def _rounds(arm: Arm) -> list[str]:
    """Gives the steps that each seed made, and what was said of its rounds."""
    lines = ["", "## Rounds", ""]
    for seed, outcome in sorted(arm.items()):
        lines.append(f"- seed {seed}, {outcome.more['steps']} steps: {'; '.join(outcome.more['rounds'])}")
    return lines


def _proxy(arm: Arm, title: str) -> list[str]:
    """Gives the reward model's score, right answers and the KL along PPO, means over the seeds."""
    lines = [
        "",
        f"## {title}: what the reward model thinks, and what is true",
        "",
        "Means over the seeds and ten steps each: the score, answers right, how often a right completion has a higher",
        "score than a wrong one of the same task, and the KL to the SFT model in nats a token.",
        "",
        "| steps | score | right | right scores higher | KL |",
        "|---|---|---|---|---|",
    ]
    curves = [dict[str, Any](outcome.more) for outcome in arm.values()]
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
            f"recipes/{name}",
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
