"""Length bias, measured: three aggregations on word problems whose right workings vary tenfold in length.

    python benchmarks/laptop_length.py --jobs 2

Dr. GRPO's row from one DPO checkpoint, equal rollouts, three seeds; only the aggregation differs. Adam's epsilon is so
small, and the norm to which a gradient is clipped so large, that the size of a loss, in which the aggregations differ
too, does not count. Then the token mean and the constant length, which weigh all tokens of an update alike, differ by
little more than chance: that pair shows what a difference of the third is worth. Writes docs/lab/laptop-length.md.
"""

import argparse
import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from laptop_rows import DIRECTION_ONLY
from trials import LAST_STAGE, RECIPE, ROOT, Arm, Outcome, Trial, against, by_arm, run_all

from rlvr.app.analyze.length import analyze_length

DOMAIN = "arithmetic"
AGGREGATIONS = ("token_mean", "sequence_mean", "constant")
REFERENCE = "constant"
"""The laptop recipe's own, against which the others are held."""
SEEDS = (1, 2, 3)
STEPS, TASKS, SAMPLES, TASK_SEED = 120, 512, 8, 90210


def recipe() -> str:
    """Gives the laptop recipe's evaluation and RLVR stage, with the word problems alone, every rung alike."""
    text = RECIPE.read_text(encoding="utf-8")
    stage = text[text.index(LAST_STAGE) :]
    before, rest = stage[: stage.index("data = [")], stage[stage.index("steps = ") :]
    options = f"options = {{ seed = {TASK_SEED}, max_rung = 10 }}"
    return f"""{text[: text.index("[evaluation]")]}[evaluation]
data = [{{ source = "{DOMAIN}", split = "evaluation", limit = {TASKS}, {options} }}]
samples = {SAMPLES}
max_completion_tokens = 88

{before}data = [{{ source = "{DOMAIN}", split = "train", limit = 8000, options = {{ seed = 7, max_rung = 10 }} }}]
{rest}"""


def trials() -> list[Trial]:
    """Gives every aggregation with every seed."""
    return [
        Trial(
            f"{name}-seed{seed}",
            (
                f"seed={seed}",
                f"rlvr.algorithm.aggregation={name}",
                f"rlvr.steps={STEPS}",
                *DIRECTION_ONLY,
            ),
        )
        for name in AGGREGATIONS
        for seed in SEEDS
    ]


def lengths(run: Path) -> dict[str, Any]:
    """Gives what `rlvr analyze length` finds in the run, what is not a number being null."""
    report = asdict(analyze_length(run)[1])
    return dict(_plain(report))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def page(found: Mapping[str, Outcome]) -> str:
    """Gives the lab page."""
    made = by_arm(found)
    arms = {name: made[name] for name in AGGREGATIONS if name in made}
    head = (
        f"aggregation | gain | against {REFERENCE}: each seed | right: first → last (each seed) | wrong: first → last "
        "(each seed) | part of the push on the longest | a token of the longest wrong against one of the shortest"
    )
    lines = [
        "# Length bias: three aggregations on word problems of 1 to 10 steps",
        "",
        "`python benchmarks/laptop_length.py` made this page: Dr. GRPO's row from one DPO checkpoint,",
        f"{STEPS} steps of 64 prompts × 8 completions, seeds {', '.join(map(str, SEEDS))}, one rate for all, Adam's ε",
        "at 1e-12 and no gradient clipped, so that only directions differ. The token mean and the constant length",
        "weigh all tokens of an update alike, by numbers that Adam takes out again: what parts these two is chance,",
        f"and what the third differs by has to be more than that. {TASKS} held-out problems, {SAMPLES} samples; a gain",
        "is over the checkpoint, its interval of the tasks alone; the difference is paired by task. Lengths are tokens",
        "of training completions in the first and the last twentieth of the steps. The push is |advantage| × weight on",
        "the tokens of wrong answers, its part on the longest that on the longest fifth of all completions.",
        "",
        f"| {head} |",
        f"|{'---|' * 7}",
    ]
    lines += [_line(name, arm, arms.get(REFERENCE, {})) for name, arm in arms.items()]
    lines += ["", "pass@1 by rung (steps of the problem), means over the seeds:", ""]
    rungs = sorted(next(iter(found.values())).stage.domains[DOMAIN].rungs)
    lines += [f"| aggregation | {' | '.join(map(str, rungs))} |", f"|{'---|' * (1 + len(rungs))}"]
    for name, arm in arms.items():
        domains = [outcome.stage.domains[DOMAIN] for outcome in arm.values()]
        cells = [f"{100 * statistics.mean(domain.rungs[rung].mean for domain in domains):.0f}" for rung in rungs]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _line(name: str, arm: Arm, reference: Arm) -> str:
    made = [arm[seed] for seed in sorted(arm)]
    gains = [gain for outcome in made if (gain := outcome.stage.domains[DOMAIN].gain)]
    mean, low, high = (100 * statistics.mean(getattr(gain, end) for gain in gains) for end in ("mean", "low", "high"))
    moved = []
    for side in ("right", "wrong"):
        first, last = ([outcome.more["lengths"][side][place] for outcome in made] for place in (0, -1))
        each = ", ".join(f"{tokens:.1f}" for tokens in last)
        moved.append(f"{statistics.mean(first):.1f} → {statistics.mean(last):.1f} ({each})")
    longest = statistics.mean(outcome.more["shares"][name]["wrong"][-1] for outcome in made)
    weights = [outcome.more["weights"][name]["wrong"] for outcome in made]
    ratio = statistics.mean(weight[-1] / weight[0] for weight in weights)
    held = against(arm, reference, [DOMAIN])
    return (
        f"| {name} | {mean:+.1f} [{low:+.1f}, {high:+.1f}] | {held} | {' | '.join(moved)} "
        f"| {100 * longest:.0f} % | {ratio:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="how many runs at once (default: %(default)s)")
    given = parser.parse_args()
    found = run_all("length", recipe(), trials(), at_once=given.jobs, more=lengths)
    path = ROOT / "docs" / "lab" / "laptop-length.md"
    path.write_text(page(found))
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
