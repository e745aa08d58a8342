"""Who judges which answers, how much that weighs, and a judge in a whole run, against a local endpoint."""

import json
from pathlib import Path
from typing import Any

import pytest
from endpoint import Reply, Script, endpoint, part, says

from rlvr.app.cli import main
from rlvr.app.trust import audits_of, check_audits, weights_of, with_named_verifiers
from rlvr.config.schema import Recipe
from rlvr.errors import RecipeError, VerifierError
from rlvr.runs.folder import Run
from rlvr.types import Task
from rlvr.verifiers.judge.judge import version_of
from rlvr.verifiers.judge.settings import settings_from
from rlvr.verifiers.table import VERSIONS

BASE = Path(__file__).parents[2] / "models" / "laptop-base"
AUDIT = {
    "verifier": "math",
    "version": VERSIONS["math"],
    "cases": 100,
    "false_accept_rate": {"mean": 0.01, "low": 0.0, "high": 0.05},
    "false_reject_rate": {"mean": 0.1, "low": 0.05, "high": 0.2},
}


def recipe(**changes: Any) -> Recipe:
    stage = {"kind": "rlvr", "algorithm": "dr_grpo", "steps": 1, "data": ["arithmetic:train"]}
    return Recipe.model_validate({"name": "trust", "model": {"path": "m"}, "stage": [stage], **changes})


def audit(folder: Path, **changes: Any) -> str:
    path = folder / "audit.json"
    path.write_text(json.dumps({**AUDIT, **changes}))
    return str(path)


def test_an_audited_weight_is_what_the_upper_bounds_of_both_error_rates_leave(tmp_path: Path) -> None:
    entries = [
        {"check": "exact", "weight": "audited", "audit": audit(tmp_path)},
        {"check": "judged", "name": "judge", "weight": 0.5},
    ]
    found = recipe(verifier=entries)
    assert weights_of(found) == pytest.approx({"exact": 0.75, "judged": 0.5})  # 1 - .05 - .2
    assert weights_of(recipe()) == {}


def test_error_rates_are_recorded_by_check(tmp_path: Path) -> None:
    file = audit(tmp_path, worst=["long"])
    found = audits_of(recipe(verifier=[{"check": "exact", "audit": file}, {"check": "judged", "name": "judge"}]))
    assert found == {"exact": {"file": file, **AUDIT}}


@pytest.mark.parametrize(
    ("changes", "entry", "said"),
    [
        ({"false_accept_rate": {"high": 0.7}, "false_reject_rate": {"high": 0.4}}, {}, "says nothing"),
        ({"false_reject_rate": None}, {}, "no false_reject_rate with an upper bound"),
        ({"version": "math-0"}, {}, "an audit of math-0, the verifier is now math-"),
        ({"verifier": "exact", "version": VERSIONS["exact"]}, {"name": "math"}, "the audit of 'exact'"),
    ],
)
def test_an_audit_that_does_not_fit_is_refused(
    changes: dict[str, Any], entry: dict[str, Any], said: str, tmp_path: Path
) -> None:
    entries = [{"check": "exact", "weight": "audited", "audit": audit(tmp_path, **changes), **entry}]
    with pytest.raises(RecipeError, match=said):
        check_audits(recipe(verifier=entries))


@pytest.mark.parametrize("content", ["", "[]", '{"rows": 3}'])
def test_a_file_that_is_no_audit_is_refused_with_the_command_that_makes_one(content: str, tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text(content)
    entries = [{"check": "exact", "audit": str(tmp_path / "audit.json")}]
    with pytest.raises(RecipeError) as caught:
        check_audits(recipe(verifier=entries))
    assert "rlvr audit NAME --output" in caught.value.hint


@pytest.mark.parametrize(
    "entries",
    [
        [{"check": "exact"}, {"check": "exact"}],
        [{"check": "exact", "weight": 0}],
        [{"check": "exact", "weight": "audited"}],
        [{"check": "guessed"}],
    ],
)
def test_what_a_verifier_table_cannot_say(entries: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError):
        recipe(verifier=entries)


def test_the_recipe_names_the_verifier_of_a_check_and_leaves_other_tasks_alone() -> None:
    tasks = [Task("a", (), "4", "math", "s", "d"), Task("b", (), {}, "judge", "s", "d", check="judged")]
    named = with_named_verifiers(recipe(verifier=[{"check": "judged", "name": "mine:verify"}]), tasks)
    assert [task.verifier for task in named] == ["math", "mine:verify"]


def write_recipe(folder: Path, url: str, **judge: Any) -> Path:
    rows = [
        {"prompt": f"Say something about the number {n}.", "check": "judged", "reference": {"rubric": "It is kind."}}
        for n in range(12)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"model": "stub", "base_url": url, "canary_rate": 0.0, **judge}
    version = version_of(settings_from(settings))
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
    path = folder / "judged.toml"
    path.write_text(
        f"""\
name = "judged"
runs = {json.dumps(str(folder / "runs"))}
[model]
path = {json.dumps(str(BASE))}
[judge]
{lines}
[[verifier]]
check = "judged"
weight = 0.5
audit = {json.dumps(audit(folder, verifier="judge", version=version))}
[[stage]]
kind = "rlvr"
algorithm = "dr_grpo"
data = [{{source = {json.dumps(str(folder / "rows.jsonl"))}, options = {{evaluation_share = 0.0}}}}]
steps = 2
prompts_per_step = 2
group_size = 2
max_completion_tokens = 12
conditions = {{tasks = 0}}
"""
    )
    return path


def often() -> Script:
    """A judge that likes every other answer."""
    place = iter(range(10_000))
    return lambda body: says("yes" if next(place) % 2 else "no")(body)


@pytest.mark.slow
def test_a_run_on_judged_tasks_counts_what_the_judge_did_and_records_how_far_it_is_trusted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(often()) as server:
        assert main(["train", str(write_recipe(tmp_path, server.url))]) == 0
        asked = len(server.requests)
    said = capsys.readouterr().err
    assert "judged answers: each task's own verifier, weight 0.50, audited in" in said
    run = Run.open(tmp_path / "runs" / "judged")
    steps = run.child("1-rlvr").metrics()
    # Each step tells what was asked in it.
    assert sum(step["judge/requests"] for step in steps) == asked > steps[-1]["judge/requests"] > 0
    assert steps[-1]["judge/canaries_seen"] == 0
    provenance = run.read_json("provenance.json")
    assert provenance["audits"]["judged"]["false_reject_rate"]["high"] == 0.2
    assert provenance["verifier_versions"]["judge"].startswith("judge-")
    page = (run.path / "report.html").read_text()
    assert "audited, judged answers" in page
    assert "false accept rate 1.0% [0.0, 5.0]" in page


@pytest.mark.slow
def test_a_run_whose_judge_falls_for_canaries_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with endpoint(says("yes")) as server:
        path = write_recipe(tmp_path, server.url, canary_rate=1.0)
        # Few of these completions have an answer to show, so it takes some steps until eight canaries are judged.
        code = main(["train", str(path), "rlvr.prompts_per_step=12", "rlvr.steps=12"])
    said = capsys.readouterr().err
    assert code == VerifierError("").exit_code, said
    assert "canaries, answers that deserve none (limit 20%)" in said


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('[judge]\nmodle = "x"', "did you mean 'model'"),
        ('[judge]\nmodel = "x"', "the judge has no base_url"),
        ('[judge]\nmodel = "x"\nbase_url = "localhost"', "expected an address"),
        ('[judge]\nmodel = "x"\nbase_url = "http://localhost/v1"\nretries = "5"', "expected a whole number"),
        ("", "none is named"),
    ],
)
def test_a_judge_that_cannot_be_is_refused_before_anything_runs(
    lines: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recipe(tmp_path, "http://127.0.0.1:9/v1")
    text = path.read_text()
    start, end = text.index("[judge]"), text.index("[[verifier]]")
    path.write_text(text[:start] + lines + "\n" + text[end:])
    assert main(["train", str(path)]) != 0
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_file_is_judged_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"completion": f"Answer {n}", "reference": {"rubric": "It is kind."}}) + "\n" for n in range(4)
        )
    )
    with endpoint(says("yes")) as server:
        words = ["--judge", "model=stub", "--judge", f"base_url={server.url}", "--judge", "canary_rate=0"]
        assert main(["verify", "judge", str(rows), "--json", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outcomes"] == {"right": 4}
    assert found["judge"]["judge/requests"] == 4
    assert main(["verify", "judge", str(rows)]) != 0
    assert "--judge" in capsys.readouterr().err


def test_a_judge_is_audited_and_a_recipe_can_weigh_it_by_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    reference = {"rubric": "It is kind."}
    labelled = [(f"Kind answer {n}", True) for n in range(30)] + [(f"Rude answer {n}", False) for n in range(30)]
    rows.write_text(
        "".join(json.dumps({"completion": c, "label": label, "reference": reference}) + "\n" for c, label in labelled)
    )

    def judge(body: dict[str, Any]) -> Reply:
        # It errs on each answer that ends in 7: three kind ones and three rude ones.
        answer = part(body, "ANSWER")
        return says("yes" if answer.startswith("Kind") != answer.endswith("7") else "no")(body)

    output = tmp_path / "audit.json"
    with endpoint(judge) as server:
        settings = {"model": "stub", "base_url": server.url, "canary_rate": 0.0}
        words = [word for key, value in settings.items() for word in ("--judge", f"{key}={value}")]
        assert main(["audit", "judge", "--corpus", str(rows), "--output", str(output), *words]) == 1
    assert "judge" in capsys.readouterr().out
    found = recipe(
        judge=settings, verifier=[{"check": "judged", "name": "judge", "weight": "audited", "audit": str(output)}]
    )
    check_audits(found)
    rates = audits_of(found)["judged"]
    assert rates["false_reject_rate"]["mean"] == pytest.approx(0.1)
    highs = rates["false_accept_rate"]["high"] + rates["false_reject_rate"]["high"]
    assert weights_of(found) == pytest.approx({"judged": 1 - highs})
