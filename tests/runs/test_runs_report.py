import io
import json

from rich.console import Console

from rlvr.runs.folder import Run
from rlvr.runs.report import DomainReport, StageReport, read_report, report_table, write_report
from rlvr.statistics.intervals import Interval

RATE = Interval(0.8125, 0.7701, 0.8494)
FULL = Interval(1.0, 0.9286, 1.0)


def stages() -> list[StageReport]:
    trained = DomainReport(True, RATE, FULL, FULL, None, 123.4)
    held_out = DomainReport(False, RATE, None, None, None, 45.6)
    return [
        StageReport("base", "base", "models/base", 0.0, 0.0, {"arithmetic": trained}, None, 5.25, None),
        StageReport(
            *("3-rlvr", "rlvr", "checkpoints/step-000100", 12345.6, 6000.0),
            *({"arithmetic": trained, "reasoning-gym/simple_equations": held_out}, 0.0213, 5.5, 0.4),
        ),
    ]


def shown(width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(report_table(stages(), width=width))
    return console.file.getvalue()


def test_the_report_has_the_published_shape_with_the_base_first(tmp_path):
    run = Run.create(tmp_path / "demo", config={}, provenance={})
    data = json.loads(write_report(run, stages()).read_text())
    assert list(data) == ["stages"]
    assert [stage["name"] for stage in data["stages"]] == ["base", "3-rlvr"]
    assert data["stages"][1] == {
        "name": "3-rlvr",
        "kind": "rlvr",
        "checkpoint": "checkpoints/step-000100",
        "cpu_seconds": 12345.6,
        "seconds": 6000.0,
        "domains": {
            "arithmetic": {
                "trained": True,
                "pass_at_1": {"mean": 0.8125, "low": 0.7701, "high": 0.8494},
                "pass_at_16": {"mean": 1.0, "low": 0.9286, "high": 1.0},
                "greedy": {"mean": 1.0, "low": 0.9286, "high": 1.0},
                "gain": None,
                "tokens": 123.4,
            },
            "reasoning-gym/simple_equations": {
                "trained": False,
                "pass_at_1": {"mean": 0.8125, "low": 0.7701, "high": 0.8494},
                "pass_at_16": None,
                "greedy": None,
                "gain": None,
                "tokens": 45.6,
            },
        },
        "kl": 0.0213,
        "perplexity": 5.5,
        "no_signal_rate": 0.4,
    }


def test_a_report_reads_back_as_it_was(tmp_path):
    run = Run.create(tmp_path / "demo", config={}, provenance={})
    write_report(run, stages())
    assert read_report(run) == stages()


def test_the_table_shows_each_number_within_100_columns():
    text = shown(100)
    assert max(map(len, text.splitlines())) <= 100
    row = next(line for line in text.splitlines() if line.startswith("3-rlvr"))
    cells = row.split()
    assert cells == [
        *("3-rlvr", "arithmetic", "81.2", "[77,85]", "100", "[93,100]", "100", "[93,100]"),
        *("123", "0.021", "40%", "12346"),
    ]
    assert "equations*" in text.replace(" ", "").replace("\n", "")


def test_the_table_fits_80_columns_without_losing_a_digit():
    text = shown(80)
    assert max(map(len, text.splitlines())) <= 80
    for part in ("81.2", "[77,85]", "[93,100]", "0.021", "40%", "12346"):
        assert part in text
