"""`rlvr compare`: pairs by task, counts its comparisons, and refuses what cannot be compared."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import domain, group

from rlvr.app.cli import main
from rlvr.app.comparing import PLOT_WIDTH, Comparison, DomainChange, drawn, sentences
from rlvr.config.reading import read_recipe, resolved_json
from rlvr.runs.folder import Run
from rlvr.runs.rollouts import write_rollouts
from rlvr.stages.evaluate import Measurement, Rates
from rlvr.statistics.intervals import Interval, paired_difference_interval
from rlvr.statistics.paired import bootstrap_interval, permutation_test

RECIPE = """
name = "run"
[model]
path = "base"
[evaluation]
data = [{source = "arithmetic", split = "evaluation", limit = 40, options = {seed = 7}}]
text = ["stories"]
samples = 4
[[stage]]
kind = "sft"
data = ["gsm8k:train"]
"""


def rates(seed: int, chance: float, count: int = 40) -> dict[str, float]:
    return {f"t{i}": float(x) / 4 for i, x in enumerate(np.random.default_rng(seed).binomial(4, chance, size=count))}


def measured(sampled: dict[str, dict[str, float]], *, perplexity: float = 2.0, prompt: str = "chat") -> Measurement:
    greedy = {name: {task: float(rate >= 0.5) for task, rate in found.items()} for name, found in sampled.items()}
    domains = {name: domain(0.5) for name in sampled}
    return Measurement(domains, (Rates(prompt, 1.0, sampled), Rates(prompt, 0.0, greedy)), None, perplexity)


def write_run(folder: Path, *stages: Measurement, words: tuple[str, ...] = ()) -> Path:
    """A run with a base and a stage for each further measurement."""
    folder.mkdir()
    (folder / "recipe.toml").write_text(RECIPE)
    run = Run.create(folder / "run", config=resolved_json(read_recipe(folder / "recipe.toml", words)), provenance={})
    for number, found in enumerate(stages):
        place = run.child(f"{number}-{'sft' if number else 'base'}").child("evaluation")
        place.write_json("result.json", asdict(found))
    return run.path


def compared(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, Any]:
    assert main(["compare", *map(str, words), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_the_last_stages_are_paired_by_task_and_the_comparisons_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {"arithmetic": rates(1, 0.3), "facts": rates(2, 0.5)}
    after = {"arithmetic": rates(3, 0.7), "facts": {**rates(2, 0.5), "t3": 0.0}, "more": rates(5, 0.5)}
    a = write_run(tmp_path / "a", measured({"arithmetic": rates(9, 0.1)}), measured(before, perplexity=2.0))
    b = write_run(tmp_path / "b", measured(after, perplexity=2.1), words=("sft.epochs=2", "seed=3"))
    found = compared(capsys, a, b)
    assert (found["first"], found["second"]) == ("run/1-sft", "run/0-base")
    pair = list(before["arithmetic"].values()), list(after["arithmetic"].values())
    arithmetic, facts = found["domains"]["arithmetic"], found["domains"]["facts"]
    assert arithmetic["change"] == pytest.approx(asdict(paired_difference_interval(*pair)))
    assert arithmetic["bootstrap"] == pytest.approx(asdict(bootstrap_interval(*pair)))
    assert (arithmetic["before"], arithmetic["after"]) == pytest.approx((np.mean(pair[0]), np.mean(pair[1])))
    # of two comparisons the smaller p-value counts twice
    assert arithmetic["p"] == pytest.approx(2 * permutation_test(*pair))
    assert facts["p"] == 1.0
    assert arithmetic["better"] > arithmetic["worse"]
    assert found["only"] == ["more was asked of run/0-base only"]
    assert found["perplexity"] == [2.0, 2.1]
    assert {"seed: 1 → 3", "stage.1.epochs: 1.0 → 2.0"} <= {
        line.replace("0 → 3", "1 → 3") for line in found["settings"]
    }
    assert main(["compare", str(a), str(b)]) == 0
    said = capsys.readouterr().out
    assert "arithmetic: the second is better, +" in said
    assert "facts: no difference can be told" in said
    assert "Perplexity of held-out text: 2.000 → 2.100 (+5.0 %)." in said
    assert "●" in said


def test_a_stage_s_folder_is_compared_with_its_base(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "a", measured({"d": rates(1, 0.3)}), measured({"d": rates(2, 0.8)}))
    found = compared(capsys, run / "0-base", run)
    assert (found["first"], found["second"]) == ("run/0-base", "run/1-sft")
    assert found["settings"] == []
    assert found["domains"]["d"]["change"]["mean"] > 0.2


def gate(run: Path, stage: str, handed_on: str, goes_on: str) -> None:
    found = {"failures": ["sums fell"], "checks": [], "handed_on": handed_on, "goes_on": goes_on}
    Run(run / stage).write_json("gate.json", found)


def test_a_run_is_compared_by_what_its_gate_let_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (
        write_run(tmp_path / name, *(measured({"arithmetic": rates(seed, 0.3)}) for seed in (1, 2))) for name in "ab"
    )
    gate(b, "1-sft", "start", "base")
    found = compared(capsys, a, b)
    assert (found["first"], found["second"]) == ("run/1-sft", "run/0-base")
    assert found["gates"] == ["run/0-base: 1-sft after it did not pass its gate"]
    # The stage itself can be looked at all the same.
    found = compared(capsys, a, b / "1-sft")
    assert found["gates"] == [f"{b / '1-sft'}: did not pass its gate, and nothing of it went on"]

    gate(b, "1-sft", "earlier", str(b / "1-sft" / "passed" / "step-000004"))
    passed = measured({"arithmetic": dict.fromkeys(rates(1, 0.3), 1.0)})
    (Run(b / "1-sft").child("evaluation-step-000004")).write_json("result.json", asdict(passed))
    found = compared(capsys, a, b)
    assert found["domains"]["arithmetic"]["after"] == 1.0
    assert found["gates"] == [f"{b}: this is its checkpoint step-000004, as its end did not pass its gate"]


def test_equal_checkpoints_differ_in_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "a", measured({"d": rates(1, 0.3)}))
    found = compared(capsys, run, run)["domains"]["d"]
    assert (found["change"]["mean"], found["p"], found["greedy_p"], found["needed"]) == (0.0, 1.0, 1.0, None)


def test_few_tasks_say_how_many_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_run(tmp_path / "a", measured({"d": rates(1, 0.5)}))
    b = write_run(tmp_path / "b", measured({"d": rates(2, 0.5)}))
    needed = compared(capsys, a, b)["domains"]["d"]["needed"]
    assert needed > 40
    assert main(["compare", str(a), str(b)]) == 0
    assert f"40 tasks are few: 2 points show on about {needed:,}." in capsys.readouterr().out.replace("\n", " ")


def test_what_is_not_alike_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_run(tmp_path / "a", measured({"d": rates(1, 0.5)}))
    plain = measured({"d": rates(2, 0.5, count=60)}, prompt="Q: {problem}")
    words = ("evaluation.seed=4", "evaluation.samples=8", 'evaluation.prompts=["Q: {problem}"]')
    b = write_run(tmp_path / "b", plain, words=words)
    notes = compared(capsys, a, b)["notes"]
    assert "evaluation.samples is 4 in the first and 8 in the second" in notes
    assert "evaluation.seed is 0 in the first and 4 in the second" in notes
    assert "asked as 'chat' in the first, as 'Q: {problem}' in the second" in notes
    assert "d: 40 tasks in common, of 40 and 60" in notes


@pytest.mark.parametrize(
    ("words", "sampled", "said"),
    [
        (("evaluation.data.1.options.seed=8",), {"d": rates(1, 0.5)}, "these are other tasks"),
        ((), {"other": rates(1, 0.5)}, "no task in common"),
        ((), {"d": {"elsewhere": 1.0}}, "no task in common"),
    ],
)
def test_other_tasks_are_refused(
    words: tuple[str, ...],
    sampled: dict[str, dict[str, float]],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    a = write_run(tmp_path / "a", measured({"d": rates(1, 0.5)}))
    b = write_run(tmp_path / "b", measured(sampled), words=words)
    assert main(["compare", str(a), str(b)]) != 0
    assert said in capsys.readouterr().err


def test_a_file_that_has_changed_between_two_runs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [write_run(tmp_path / name, measured({"d": {"t0": 0.5}})) for name in "abc"]
    for run, answer in zip(runs, ("1", "1", "2"), strict=True):
        asked = group("d", 0, right=[True], text="4")
        asked = replace(asked, task=replace(asked.task, id="t0", reference=answer))
        path = run / "0-base" / "evaluation" / "rollouts" / "evaluate-000000.parquet"
        write_rollouts(path, [asked], step=0, split="evaluate")
    same = compared(capsys, runs[0], runs[1])
    assert [same["first"], same["second"]] == [str(run) for run in runs[:2]]
    assert main(["compare", str(runs[0]), str(runs[2])]) != 0
    assert "1 tasks, such as t0, have one name" in capsys.readouterr().err


def test_a_domain_without_a_greedy_answer_is_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = measured({"d": rates(1, 0.3), "silent": rates(2, 0.3)})
    silent = replace(found, domains={"d": domain(0.5)})
    a, b = (write_run(tmp_path / name, side) for name, side in (("a", found), ("b", silent)))
    compared(capsys, a, b, "--page", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("<svg") == 2


def test_a_source_that_is_read_twice_is_compared_with_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = '{source = "arithmetic", split = "evaluation", limit = 40, options = {seed = 7}}'
    other = '{source = "arithmetic", split = "evaluation", limit = 40, options = {seed = 8}}'
    run = write_run(tmp_path / "a", measured({"d": rates(1, 0.5)}), words=(f"evaluation.data=[{one}, {other}]",))
    assert compared(capsys, run, run)["domains"]["d"]["change"]["mean"] == 0.0


def test_a_stage_of_kind_evaluate_is_compared_as_it_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write_run(tmp_path / "a", measured({"d": rates(1, 0.5)}))
    stage = '[{kind = "evaluate", name = "sft", data = ["gsm8k:test"], samples = 9}]'
    found = measured({"d": rates(1, 0.5)})
    b = write_run(tmp_path / "b", found, found, words=(f"stage={stage}",))
    assert "evaluation.samples is 4 in the first and 9 in the second" in compared(capsys, a, b)["notes"]


def test_what_was_not_measured_or_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "a")
    assert main(["compare", str(run), str(run)]) != 0
    assert "holds no measurement" in capsys.readouterr().err
    assert main(["compare", str(tmp_path), str(run)]) != 0
    assert "is no run and no stage of one" in capsys.readouterr().err


def test_the_page_is_self_contained_and_draws_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_run(tmp_path / "a", measured({"d": rates(1, 0.3)}), measured({"d": rates(2, 0.8)}))
    page = tmp_path / "page.html"
    compared(capsys, a / "0-base", a, "--page", page)
    text = page.read_text()
    assert "<h1>run/1-sft against run/0-base</h1>" in text
    assert text.count("<svg") == 1
    assert "http" not in text.split("</style>")[1].replace("http://www.w3.org", "")


def test_an_interval_is_drawn_to_scale() -> None:
    line = drawn(Interval(0.1, 0.05, 0.2), reach=0.2)
    middle = PLOT_WIDTH // 2
    assert len(line) == PLOT_WIDTH
    assert (line[middle], line[middle + 10], line[-1], line.strip()[-1]) == ("│", "●", "─", "─")
    assert line[middle + 5 : middle + 10] == "─" * 5
    assert drawn(Interval(0.0, -0.2, 0.2), reach=0.2) == "─" * middle + "●" + "─" * middle


def test_where_two_intervals_disagree_about_no_difference_both_are_said() -> None:
    def said(low: float) -> str:
        change, drawn_anew = Interval(0.03, -0.001, 0.061), Interval(0.03, low, 0.06)
        domain = DomainChange(100, 0.5, 0.53, change, drawn_anew, 0.06, 5, 2, 0.4, None)
        return sentences(Comparison("a", "b", {"words": domain}, (), (), (), (), (None, None)))[0]

    assert said(-0.002) == "words: no difference can be told, +3.0 points [-0.1, +6.1], p 0.06."
    assert "[-0.1, +6.1] (from tasks drawn anew [+0.1, +6.0]: it hangs on the method), p 0.06" in said(0.001)
