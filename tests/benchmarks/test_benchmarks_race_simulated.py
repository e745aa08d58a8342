"""The page of simulated races: every cell is on it, and what it says of a rule is what that rule does."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlvr.stages.race.simulate import Result
from rlvr.statistics.intervals import Interval

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("race_simulated")
    sys.modules.pop("race_simulated", None)


def test_the_page_has_every_setting_and_each_rule_spends_what_it_must(script: Any, tmp_path: Path) -> None:
    script.main(["--races", "2", "--out", str(tmp_path / "page.md")])
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|")]
    # 3 spreads, 5 correlations; 8 to a tenth, 4 to three tenths, 2 to the end: 8 * 0.1 + 4 * 0.2 + 2 * 0.7 = 3 of 8
    assert [row[-1] for row in rows if "`halving`" in row] == ["37.5 %"] * 15
    assert len([row for row in rows if "Ray's ASHA" in row]) == 15
    # 3 of 8 seeds: the count is drawn only where it is broken
    assert [row[-1] for row in rows if "fewer seeds in full" in row] == ["37.5 %"] * 15
    assert [row[:2] for row in rows if re.fullmatch("256|1,024", row[1])] == [
        [spread, tasks] for spread in ("2", "5", "10", "15") for tasks in ("256", "1,024")
    ]
    # no pause in 10 races: Wilson's upper end 3.84 / 13.84
    assert rows[-3:] == [[error, "10", "0", "0.00 to 27.75 %"] for error in ("5 %", "10 %", "30 %")]


def test_cells_are_the_numbers_of_a_result(script: Any) -> None:
    result = Result(Interval(0.0123, 0.011, 0.0136), 0.25, 1.0, 0.375, (), ())
    assert script.cells(result) == ["1.23 [1.10, 1.36]", "25.0 %", "100.0 %", "37.5 %"]


def test_one_race_gives_no_interval(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script.main(["--races", "1"])
    assert "2 races at least" in capsys.readouterr().err
