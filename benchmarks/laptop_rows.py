"""Every algorithm on the laptop's tasks: equal rollouts, three seeds, each row with its own updates per rollout.

    python benchmarks/laptop_rows.py --jobs 2

All start from one DPO checkpoint. With n updates per rollout the learning rate is the laptop recipe's over the root of
n, and so is the pull back to the start, so that rows with many updates neither go further nor are held back more; a
critic learns at 1e-3. Adam's epsilon is so small, and the norm to which a gradient is clipped so large, that the size
of a row's loss does not count. DAPO and CISPO draw no other groups in the place of those without a signal, so that
their rollouts are as many as the others'. tulu3's critic starts from zero, not from a reward model as in its paper, and
its rewards are 10: its value clip, which would keep it low for half of the steps, is off. Writes
docs/lab/laptop-rows.md.
"""

import argparse
import math
import statistics
from collections.abc import Mapping, Sequence

from trials import LAST_STAGE, RECIPE, ROOT, Arm, Outcome, Trial, against, by_arm, run_all

from rlvr.algorithms.presets import PRESETS
from rlvr.config.optimizer import OptimizerConfig
from rlvr.config.reading import read_recipe
from rlvr.config.rlvr import RlvrConfig
from rlvr.runs.report import StageReport
from rlvr.statistics.intervals import mean_of

SEEDS = (1, 2, 3)
STEPS, TASKS, SAMPLES, TASK_SEED = 60, 128, 8, 90210
COSTS = ("tokens", "KL", "CPU-s", "facts", "stories")
REFERENCE = "dr_grpo"
"""The laptop recipe's row, against which the others are held."""
CRITIC_RATE = 1e-3
DIRECTION_ONLY = ("rlvr.optimizer.epsilon=1e-12", "rlvr.optimizer.clip_norm=1e9")
"""Overrides with which the size of a loss does not count, only the direction of its gradient."""


def optimizer() -> OptimizerConfig:
    """Gives how the laptop recipe's RLVR turns gradients into updates."""
    stage = read_recipe(RECIPE).recipe.stage[-1]
    assert isinstance(stage, RlvrConfig), "the laptop recipe ends with RLVR"
    return stage.optimizer


def recipe() -> str:
    """Gives the laptop recipe without the stages before RLVR."""
    text = RECIPE.read_text(encoding="utf-8")
    return text[: text.index("[[stage]]")] + text[text.index(LAST_STAGE) :]


def measured() -> list[str]:
    """Gives the overrides that have a recipe with the laptop recipe's [evaluation] measured alike."""
    sources = read_recipe(RECIPE).recipe.evaluation
    assert sources is not None, "the laptop recipe measures"
    words = ["evaluation.low_temperature=0", f"evaluation.samples={SAMPLES}"]
    for number, data in enumerate(sources.data, start=1):
        words.append(f"evaluation.data.{number}.limit={TASKS}")
        if "seed" in data.options:
            words.append(f"evaluation.data.{number}.options.seed={TASK_SEED}")
    return words


def trials() -> list[Trial]:
    """Gives every preset with every seed."""
    how, found, usual = ['evaluation.prompts=["chat"]', *measured()], [], optimizer()
    for name, row in PRESETS.items():
        cells = [
            f'preset="{name}"',
            *(["refill=false"] if row.refill else []),
            *(["value_clip=0"] if name == "tulu3" else []),
        ]
        root = math.sqrt(row.updates_per_step * row.epochs_per_step)
        words = [
            f"rlvr.algorithm={{{', '.join(cells)}}}",
            *DIRECTION_ONLY,
            f"rlvr.steps={STEPS}",
            "rlvr.conditions.tasks=0",
            f"rlvr.optimizer.learning_rate={usual.learning_rate / root:.3g}",
            f"rlvr.optimizer.start_pull={usual.start_pull / root:.3g}",
        ]
        if row.needs_reference:
            words.append("rlvr.kl_groups=0")  # such a row measures its KL on every token anyway
        if row.needs_values:
            words.append(f"rlvr.critic.optimizer.learning_rate={CRITIC_RATE}")
        found += [Trial(f"{name}-seed{seed}", (f"seed={seed}", *how, *words)) for seed in SEEDS]
    return found


def page(found: Mapping[str, Outcome]) -> str:
    """Gives the lab page."""
    trained = trained_in(next(iter(found.values())).stage)
    lines = [
        "# Every algorithm on the laptop's tasks",
        "",
        f"`python benchmarks/laptop_rows.py` made this page: {STEPS} rollouts of 64 prompts × 8 completions from one",
        f"DPO checkpoint, seeds {', '.join(map(str, SEEDS))}; {TASKS} held-out tasks per domain, {SAMPLES} samples.",
        f"With n updates per rollout the rate is {optimizer().learning_rate:g} / √n and the pull to the start",
        f"{optimizer().start_pull:g} / √n; a critic's rate is {CRITIC_RATE:g}. Adam's ε is 1e-12 and no gradient is",
        "clipped, so that the size of a loss does not count. tulu3's value clip is off, because its critic starts",
        "from zero here and not from a reward model. The refill of DAPO and CISPO is off, so that all have the same",
        "rollouts. pass@1 and gains over the checkpoint are means over the trained domains and the seeds, in per cent",
        f"and points; an interval is of the tasks alone. Whether a row differs from {REFERENCE} stands in the column",
        "for it: paired by task, and each seed's difference beside it, by which chance between seeds is seen. Tokens",
        "are of a held-out completion, KL to the checkpoint in nats a token, CPU-s of the training.",
        "",
        *head_of("row | updates", f"against {REFERENCE}: each seed", trained),
    ]
    arms = by_arm(found)
    for name, row in PRESETS.items():
        if name in arms:
            updates = row.updates_per_step * row.epochs_per_step
            lines.append(line_of(name, updates, arms[name], arms.get(REFERENCE, {}), trained))
    return "\n".join(lines) + "\n"


def trained_in(stage: StageReport) -> list[str]:
    """Gives the domains that a stage was trained in."""
    return [name for name, domain in stage.domains.items() if domain.trained]


def head_of(first: str, last: str, trained: Sequence[str]) -> tuple[str, str]:
    """Gives a table's head, of which `first` names the first two columns and `last` the comparison; `line_of` gives
    its lines."""
    names = f"| {first} | pass@1 | mean gain | each seed | {last} | {' | '.join(trained)} | {' | '.join(COSTS)} |"
    return names, f"|{'---|' * (6 + len(trained) + len(COSTS))}"


def line_of(name: str, updates: int, arm: Arm, reference: Arm, trained: Sequence[str]) -> str:
    """Gives a table's line: the means over the seeds of one row, and how it stands against another."""

    def gain(stage: StageReport, domain: str) -> float:
        found = stage.domains[domain].gain
        assert found is not None, "RLVR has a stage before it"
        return 100 * found.mean

    stages = [arm[seed].stage for seed in sorted(arm)]
    means = [mean_of([g for d in trained if (g := stage.domains[d].gain)]) for stage in stages]
    mean, low, high = (100 * statistics.mean(getattr(m, part) for m in means) for part in ("mean", "low", "high"))
    seeds = ", ".join(f"{seed}: {100 * m.mean:+.1f}" for seed, m in zip(sorted(arm), means, strict=True))
    rates = [mean_of([stage.domains[d].pass_at_1 for d in trained]) for stage in stages]
    solved = [100 * statistics.mean(getattr(rate, part) for rate in rates) for part in ("mean", "low", "high")]
    cells = [f"{statistics.mean(gain(stage, d) for stage in stages):+.1f}" for d in trained]
    tokens = statistics.mean(stage.domains[d].tokens for stage in stages for d in trained)
    kl = statistics.mean(stage.kl or math.nan for stage in stages)
    others = [d for d in stages[0].domains if d not in trained]
    facts = statistics.mean(gain(stage, d) for stage in stages for d in others)
    stories = statistics.mean(stage.perplexity or math.nan for stage in stages)
    cpu = statistics.mean(stage.cpu_seconds for stage in stages)
    end = f"{tokens:.1f} | {kl:.3f} | {cpu:.0f} | {facts:+.1f} | {stories:.3f}"
    first = f"{name} | {updates} | {solved[0]:.1f} [{solved[1]:.1f}, {solved[2]:.1f}]"
    held = against(arm, reference, trained)
    return f"| {first} | {mean:+.1f} [{low:+.1f}, {high:+.1f}] | {seeds} | {held} | {' | '.join(cells)} | {end} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="how many runs at once (default: %(default)s)")
    given = parser.parse_args()
    found = run_all("rows", recipe(), trials(), at_once=given.jobs)
    path = ROOT / "docs" / "lab" / "laptop-rows.md"
    path.write_text(page(found))
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
