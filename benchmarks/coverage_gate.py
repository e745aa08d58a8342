"""How often a gate rejects a harmless stage, and one that lost twice the margin, on the tasks that it asks for."""

from itertools import product

import numpy as np

from rlvr.statistics.intervals import paired_difference_interval
from rlvr.statistics.noninferiority import decide, tasks_for_gate

MARGINS, TURNED, FIGURES = (0.02, 0.05, 0.1), (0.0, 0.05, 0.2, 0.4), (1, 5)
EVALUATIONS = 10_000


def rejected(loss: float, *, margin: float, turned: float, figures: int, seed: int = 0) -> tuple[float, float]:
    """Gives how often is rejected what is shown to be lost, and what is not shown to be kept."""
    tasks, answers = tasks_for_gate(margin, deviation=turned**0.5, num_figures=figures), {}
    rng = np.random.default_rng((seed, round(1000 * margin), round(1000 * turned), round(1000 * loss), figures))
    counts = rng.multinomial(tasks, [turned / 2 + loss, turned / 2, 1 - turned - loss], size=EVALUATIONS)
    for worse, better, rest in counts:
        if (worse, better) not in answers:
            before, after = (
                np.repeat([1.0, 0.0, 0.5], [worse, better, rest]),
                np.repeat([0, 1, 0.5], [worse, better, rest]),
            )
            change = paired_difference_interval(before, after, confidence=1 - 0.1 / figures)
            answers[worse, better] = decide(change, margin=margin)
    said = [answers[worse, better] for worse, better, _ in counts]
    return said.count("lost") / EVALUATIONS, 1 - said.count("kept") / EVALUATIONS


def gate_table() -> str:
    """Gives a Markdown table of all settings."""
    lines = [
        "| margin | turns | figures judged | tasks asked for | harmless | loss of the margin | of twice the margin |",
        "|---|---|---|---|---|---|---|",
    ]
    for margin, turned, figures in product(MARGINS, TURNED, FIGURES):
        tasks = tasks_for_gate(margin, deviation=turned**0.5, num_figures=figures)
        cells = [f"{margin:g}", f"{100 * turned:.0f} %", str(figures), f"{tasks:,}"]
        for times in (0, 1, 2):
            lost, not_kept = rejected(times * margin, margin=margin, turned=turned, figures=figures)
            cells.append(f"{100 * lost:.1f} / {100 * not_kept:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
