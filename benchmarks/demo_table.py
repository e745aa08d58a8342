"""Writes what `make demo` has found into both READMEs: the table, the report's first line, the cost.

make demo && .venv/bin/python benchmarks/demo_table.py
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from evidence_readme import write_between

from rlvr.app.export import ORIGIN
from rlvr.app.memory import bytes_text
from rlvr.runs.folder import PROVENANCE, Run
from rlvr.runs.report import Beyond, StageReport, read_report
from rlvr.runs.summary import headline
from rlvr.statistics.intervals import Interval

ROOT = Path(__file__).parent.parent
NAME = "demo: written by benchmarks/demo_table.py"
WITH_INTERVAL = ("dpo", "rlvr")

WORDS: Mapping[str, Mapping[str, str]] = {
    "README.md": {
        "domain": "domain",
        "beyond": "strongest earlier readout → RLVR, greedy",
        "stories": "story perplexity",
        "cpu": "CPU-seconds of training",
        "cost": (
            "RLVR took {minutes} minutes ({cpu:.0f} CPU-seconds, {steps} steps) on one core of this machine "
            "({processor}), the whole run {whole} minutes with {tasks} held-out tasks a domain; the process held "
            "{memory} at most, the sandboxes beside it not counted; pretraining the base that it starts from took "
            "{base:.0f} CPU-minutes (`rlvr train recipes/laptop-base.toml export=another-base`, "
            "models/laptop-base/origin.json). Made with commit {commit}. The run's first line: *{headline}*"
        ),
    },
    "README.zh-CN.md": {
        "domain": "领域",
        "beyond": "此前最强读出 → RLVR 贪心",
        "stories": "故事困惑度",
        "cpu": "训练的 CPU 秒",
        "cost": (
            "RLVR 在这台机器({processor})的一个核上用了 {minutes} 分钟({cpu:.0f} CPU 秒,{steps} 步),"
            "整个运行 {whole} 分钟(每个领域 {tasks} 道留出题);"
            "进程最多占 {memory} 内存(不含旁边的沙箱);预训练所用的基座花了 {base:.0f} CPU 分钟"
            "(`rlvr train recipes/laptop-base.toml export=another-base`,models/laptop-base/origin.json)。"
            "所用提交:{commit}。"
            "运行的第一行:*{headline}*"
        ),
    },
}
"""The words of each README."""


def table(stages: Sequence[StageReport], words: Mapping[str, str]) -> str:
    """Gives pass@1 by stage, the strongest earlier readout beside RLVR's greedy answers, and the cost."""
    heads = [words["domain"], *(stage.name for stage in stages), words["beyond"]]
    rows = [heads, ["---"] * len(heads)]
    for domain in stages[0].domains:
        cells = [_rate(stage.domains[domain].pass_at_1, stage.name in WITH_INTERVAL) for stage in stages]
        over = stages[-1].beyond.get(domain)
        rows.append([domain, *cells, "" if over is None else _from_to(over)])
    stories = ["–" if stage.perplexity is None else f"{stage.perplexity:.3f}" for stage in stages]
    rows.append([words["stories"], *stories, ""])
    rows.append([words["cpu"], *(f"{stage.cpu_seconds:.0f}" for stage in stages), ""])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cost(run: Run, stages: Sequence[StageReport], words: Mapping[str, str]) -> str:
    """Gives what RLVR cost, on what machine, and the report's first line."""
    known, last = run.read_json(PROVENANCE), stages[-1]
    metrics = list(run.child(f"{len(stages) - 1}-{last.name}").metrics())
    places = [place for stage in run.stages for place in (stage, stage.child("evaluation"))]
    every = [line for place in places for line in place.metrics() if "memory/peak_bytes" in line]
    return words["cost"].format(
        minutes=_minutes(last.seconds),
        whole=_minutes(_whole_seconds(run)),
        tasks=max(domain.num_tasks for domain in last.domains.values()),
        cpu=last.cpu_seconds,
        steps=len(metrics),
        processor=known["cpu"]["model"],
        memory=bytes_text(max(line["memory/peak_bytes"] for line in every)),
        base=_base_cpu_minutes(Path(run.config()["recipe"]["model"]["path"])),
        commit=_commit(known),
        headline=headline(stages),
    )


def _whole_seconds(run: Run) -> float:
    """Gives how long the run took, from its start to its end. Raises SystemExit where it was taken up again."""
    events = run.events()
    ended = [event["time"] for event in events if event["kind"] == "ended"]
    if len(ended) != 1 or any(event["kind"] == "resume" for event in events):
        raise SystemExit(f"{run.path} has not ended, or was taken up again: how long it took is not known; make demo")
    started = datetime.fromisoformat(run.read_json(PROVENANCE)["started"])
    return (datetime.fromisoformat(ended[0]) - started).total_seconds()


def _base_cpu_minutes(base: Path) -> float:
    stages = json.loads((ROOT / base / ORIGIN).read_text(encoding="utf-8"))["stages"]
    return sum(stage["cpu_seconds"] for stage in stages) / 60


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _commit(known: Mapping[str, Any]) -> str:
    code = known["code"] or {}
    return f"{str(code.get('commit'))[:10]}{' and changes' if code.get('diff_bytes') else ''}"


def _from_to(over: Beyond) -> str:
    return f"{_points(over.accuracy.mean)} → {_points(over.accuracy.mean + over.gain.mean)}"


def _rate(rate: Interval, with_interval: bool) -> str:
    shown = _points(rate.mean)
    return f"{shown} [{100 * rate.low:.0f}, {100 * rate.high:.0f}]" if with_interval else shown


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def main() -> None:
    run = Run.open(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs" / "demo")
    stages = read_report(run)
    if stages[-1].kind != "rlvr":
        raise SystemExit(f"{run.path} has not ended; make demo")
    for readme, words in WORDS.items():
        write_between(ROOT / readme, f"{table(stages, words)}\n\n{cost(run, stages, words)}", NAME)
    print(json.dumps({"written": list(WORDS), "run": str(run.path)}))


if __name__ == "__main__":
    main()
