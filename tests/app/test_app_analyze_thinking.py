"""`rlvr analyze thinking`: the same samples spent in every way, for a stage and its parent, and what training cost."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from sided import RECIPE, end_stage, write_sides
from tiny import CPU, completion, make_tokenizer, task

from rlvr.app.analyze import sides
from rlvr.app.cli import main
from rlvr.models.checkpoint import save_checkpoint
from rlvr.models.heads import create_value_model
from rlvr.runs.folder import Run
from rlvr.types import Group, Verdict, read_only


@pytest.fixture(autouse=True)
def _stay_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An analysis works in the run's folder; other tests start from their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sided_rows", raising=False)


def analyzed(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> dict[str, Any]:
    assert main(["analyze", "thinking", str(run), "--json", *words]) == 0
    return dict(json.loads(capsys.readouterr().out))


def point(found: dict[str, Any], side: str, mode: str, setting: int) -> dict[str, Any]:
    return next(p for p in found[side] if (p["mode"], p["setting"]) == (mode, setting))


def test_one_sample_and_the_limits_are_those_of_evaluations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_sides(tmp_path)
    found = analyzed(capsys, run, "--samples", "4")
    assert (found["parent"], found["child"], found["limit"], found["averaged"]) == ("0-base", "1-rlvr", 8, ["one"])
    one = found["domains"]["one"]
    assert found["overall"]["child"][0]["accuracy"] == pytest.approx(one["child"][0]["accuracy"])
    for side, checkpoint in (("parent", tmp_path / "base"), ("child", run / "1-rlvr/checkpoints/step-000001")):
        for limit in (2, 4, 8, 16):
            words = ["--data", "sided_rows:tasks:evaluation", "samples=4", f"max_completion_tokens={limit}"]
            assert main(["evaluate", str(checkpoint), "--json", *words]) == 0
            measured = json.loads(capsys.readouterr().out)["domains"]["one"]
            ours = point(one, side, "budget", limit)
            assert ours["accuracy"] == pytest.approx(measured["pass_at_k"]["1"]), (side, limit)
            assert ours["tokens"] == pytest.approx(measured["tokens"])
            if limit == 8:
                best = point(one, side, "best by verifier", 4)
                assert best["accuracy"] == pytest.approx(measured["pass_at_k"]["4"])
                assert point(one, side, "majority", 4)["tokens"] == pytest.approx(4 * measured["tokens"])
    # nothing thinks here, and no reward model was trained
    assert {p["mode"] for p in one["parent"]} == {"one sample", "majority", "best by verifier", "budget"}
    assert found["costs"]["training"] == 100.0
    choice = found["overall"]["choice"]
    if choice["questions"] is not None:
        assert choice["questions"] == math.ceil(100.0 / choice["cpu_seconds_saved"])
    assert json.loads((run / "1-rlvr" / "thinking.json").read_text()) == found


def test_a_stopped_analysis_goes_on_and_gives_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_sides(tmp_path)
    whole = analyzed(capsys, run, "--samples", "4")
    (run / "1-rlvr" / "thinking-samples.jsonl").unlink()
    monkeypatch.setattr(sides, "PORTION", 8)
    real, calls = sides.sample_groups, list[int]()

    def stopped(*args: Any, **settings: Any) -> Any:
        calls.append(len(args[2]))
        if len(calls) == 7:  # the second portion of the child
            raise KeyboardInterrupt
        return real(*args, **settings)

    monkeypatch.setattr(sides, "sample_groups", stopped)
    assert main(["analyze", "thinking", str(run), "--samples", "4"]) == 130
    capsys.readouterr()
    again = analyzed(capsys, run, "--samples", "4")
    assert len(calls) == 11  # 5 and 2, then the 4 of the child that were missing
    for found in (whole, again):
        for part in (*found["domains"].values(), found["overall"]):
            part["choice"]["cpu_seconds_saved"] = part["choice"]["questions"] = None
        found["costs"] = None
    assert again == whole


def test_the_run_s_reward_model_chooses_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, _, rlvr = RECIPE.partition("[[stage]]")
    taste = '[[stage]]\nkind = "reward_model"\nname = "taste"\ndata = ["rows:pairs:train"]\n[[stage]]'
    run = write_sides(tmp_path, recipe=head + taste + rlvr)
    end_stage(Run.open(run), "2-rlvr", seed=2)
    stage = Run.open(run).child("1-taste")
    model = create_value_model(tmp_path / "base", head="random", seed=7, device=CPU)
    path = save_checkpoint(stage.checkpoints, 1, model=model, tokenizer=make_tokenizer(), trainer_state={"step": 1})
    (stage.path / "done.json").write_text(json.dumps({"checkpoint": str(path.relative_to(stage.path))}))
    found = analyzed(capsys, run, "--samples", "4")
    assert found["parent"] == "0-base"
    for side in ("parent", "child"):
        chosen, best = (point(found["overall"], side, f"best by {who}", 4) for who in ("reward model", "verifier"))
        assert 0 <= chosen["accuracy"]["mean"] <= best["accuracy"]["mean"]
        assert chosen["tokens"] == best["tokens"]


def test_the_checkpoints_of_the_stage_are_read_not_sampled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_sides(tmp_path)

    def evaluated(place: Run, step: int, lengths: tuple[int, ...], outcomes: tuple[float | None, ...]) -> None:
        made = tuple(completion([5] * length) for length in lengths)
        verdicts = tuple(Verdict(outcome, "ok") for outcome in outcomes)
        rewards = tuple(math.nan if outcome is None else outcome for outcome in outcomes)
        group = Group(task(0, domain="one"), 0, read_only([1, 3], "int64"), made, verdicts, rewards)
        with place.step(step) as record:
            record.rollouts([group], split="evaluate")
            record.metrics({"eval/pass_at_1/one": 0.5})

    stage = Run.open(run / "1-rlvr")
    evaluated(Run.open(run).child("0-base").child("evaluation"), 0, (2, 4), (1.0, 0.0))
    evaluated(stage, 9, (6, 8, 99), (1.0, 1.0, None))
    stage.write_json("done.json", {**stage.read_json("done.json"), "step": 20})
    evaluated(stage.child("evaluation"), 0, (3, 3), (0.0, 0.0))
    points = analyzed(capsys, run, "--samples", "2")["lengths"]["one"]
    assert [(p["step"], p["tokens"], p["accuracy"]["mean"]) for p in points] == [(0, 3, 0.5), (10, 7, 1), (20, 3, 0)]
    assert main(["analyze", "thinking", str(run), "--samples", "2"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "one: from step 0 to 20 answers went from 3.0 tokens and 50.0 % to 3.0 tokens and 0.0 %." in said
    assert "one: step 0 to 20" in (run / "1-rlvr" / "thinking.html").read_text()


def test_words_and_page_say_what_was_bought(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_sides(tmp_path)
    assert main(["analyze", "thinking", str(run), "--samples", "4", "--domain", "one"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "A majority vote of 4 lifts 0-base to" in said
    assert "forced thinking is left out" in said
    assert "an upper bound, for it needs the right answer's verifier at test time" in said
    page = (run / "1-rlvr" / "thinking.html").read_text()
    assert page.count("<svg") == 3  # votes, best of N and limits
    assert "http" not in page.split("</style>")[1].replace("http://www.w3.org", "")
