"""Curves of many seeds of the laptop recipe's RLVR, from one DPO checkpoint, for `rlvr race --simulate --curves`.

    python benchmarks/record_curves.py --jobs 2

Each seed is measured at every tenth of its steps on held-out tasks of the domains that are trained. Writes
docs/lab/curves/laptop.jsonl, a line per seed; a seed that is kept in docs/lab/laptop-curves is not trained again.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from trials import LAST_STAGE, RECIPE, ROOT, Trial, run_all

from rlvr.app.race.curves import as_json, curve_of_run
from rlvr.runs.atomic import replace_file

SEEDS, STEPS, TASKS, SAMPLES, TASK_SEED = 24, 80, 96, 4, 2026
TOPIC = "laptop-curves"
CURVES = ROOT / "docs" / "lab" / "curves" / "laptop.jsonl"
UNTRAINED = ("facts",)


def recipe(*, tasks: int = TASKS) -> str:
    """Gives the laptop recipe's RLVR stage with an evaluation of the trained domains, so many tasks of each."""
    text = RECIPE.read_text(encoding="utf-8")
    rows = re.findall(r"^    (\{.*\}),", text[text.index("[evaluation]") : text.index("text = [")], re.MULTILINE)
    rows = [re.sub(r"limit = \d+", f"limit = {tasks}", row) for row in rows]
    kept = [row for row in rows if not any(f'"{name}"' in row for name in UNTRAINED)]
    data = "".join(f"    {row},\n" for row in kept)
    head = f"{text[: text.index('[evaluation]')]}[evaluation]\ndata = [\n{data}]\nsamples = {SAMPLES}\n"
    return f"{head}max_completion_tokens = 88\n\n{text[text.index(LAST_STAGE) :]}"


def trials(*, seeds: int = SEEDS, steps: int = STEPS) -> list[Trial]:
    """Gives every seed."""
    words = (f"rlvr.steps={steps}", f"rlvr.evaluate_every={max(1, steps // 10)}", "rlvr.conditions.tasks=0")
    return [Trial(f"seed{seed}", (f"seed={seed}", *words)) for seed in range(1, seeds + 1)]


def curve(run: Path) -> dict[str, Any]:
    """Gives the curve of a trial's run, as JSON."""
    return as_json(curve_of_run(run))


def main() -> None:
    """Trains what is not kept yet, and writes the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, each on one core")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--tasks", type=int, default=TASKS, help="of each domain")
    parser.add_argument("--parent", type=Path, help="start from this checkpoint (default: made with the recipe)")
    parser.add_argument("--topic", default=TOPIC, help="the folder of docs/lab with what is kept")
    parser.add_argument("--out", type=Path, default=CURVES)
    options = parser.parse_args()
    found = run_all(
        options.topic,
        recipe(tasks=options.tasks),
        trials(seeds=options.seeds, steps=options.steps),
        at_once=options.jobs,
        more=curve,
        start=options.parent,
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({**found[name].more, "racer": name}, ensure_ascii=False) for name in found]
    replace_file(options.out, "".join(f"{line}\n" for line in lines).encode())
    print(f"rlvr race --simulate --curves {options.out} --seeds 8")


if __name__ == "__main__":
    main()
