"""`rlvr analyze elicitation` samples a stage and its parent alike, keeps what it sampled, and says what was taught."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from sided import RECIPE, end_stage, write_sides

from rlvr.app.analyze import sides
from rlvr.app.analyze.elicitation import SAMPLES
from rlvr.app.analyze.sides import open_sides
from rlvr.app.cli import main
from rlvr.config.reading import read_recipe, resolved_json
from rlvr.runs.folder import Run


@pytest.fixture(autouse=True)
def _stay_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An analysis works in the run's folder; other tests start from their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sided_rows", raising=False)


def analyzed(capsys: pytest.CaptureFixture[str], run: Path, *words: str) -> dict[str, Any]:
    assert main(["analyze", "elicitation", str(run), "--json", *words]) == 0
    return dict(json.loads(capsys.readouterr().out))


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "1-rlvr" / SAMPLES).read_text().splitlines()]


def test_both_sides_are_sampled_as_an_evaluation_samples_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_sides(tmp_path)
    found = analyzed(capsys, run, "--samples", "4")
    assert (found["parent"], found["child"], found["samples"]) == ("0-base", "1-rlvr", 4)
    assert list(found["domains"]) == ["one", "two"]
    for side, checkpoint in (("parent", tmp_path / "base"), ("child", run / "1-rlvr/checkpoints/step-000001")):
        data = ["--data", "sided_rows:tasks:evaluation", "samples=4", "max_completion_tokens=8"]
        assert main(["evaluate", str(checkpoint), "--json", *data]) == 0
        measured = json.loads(capsys.readouterr().out)["domains"]
        for domain, entry in found["domains"].items():
            assert [point["k"] for point in entry["points"]] == [1, 2, 4]
            for point in entry["points"]:
                assert point[side] == measured[domain]["pass_at_k"][str(point["k"])], (side, domain, point["k"])
            greedy = measured[domain]["readouts"][0]["accuracy"]
            assert entry["readout"][f"{side}_greedy"] == greedy, (side, domain)
    stored = json.loads((run / "1-rlvr" / "elicitation.json").read_text())
    assert stored == found
    # the stage learned from "one" alone
    assert (found["overall"]["domains"], found["overall"]["trained"]) == (["one"], True)


def test_what_was_sampled_is_kept_and_a_stopped_analysis_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_sides(tmp_path)
    whole = analyzed(capsys, run, "--samples", "4")
    (run / "1-rlvr" / SAMPLES).unlink()
    monkeypatch.setattr(sides, "PORTION", 8)  # two tasks of 4 samples
    real, calls = sides.sample_groups, list[int]()

    def stopped(*args: Any, **settings: Any) -> Any:
        calls.append(len(args[2]))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args, **settings)

    monkeypatch.setattr(sides, "sample_groups", stopped)
    assert main(["analyze", "elicitation", str(run), "--samples", "4"]) == 130
    assert "hint: the same command goes on" in capsys.readouterr().err
    assert sum(len(line["tasks"]) for line in lines(run)) == 6
    assert analyzed(capsys, run, "--samples", "4") == whole
    # parent: 10 tasks in 5 portions, of which 3 were kept and one was tried twice; greedy 8 + 2, low 4 x 2 and 2;
    # child: 5 portions and greedy 8 + 2
    assert calls == [2] * 4 + [2] * 2 + [8, 2] + [4, 4, 2] + [2] * 5 + [8, 2]
    before = lines(run)
    # a part of the tasks is known, and nothing is sampled
    part = analyzed(capsys, run, "--samples", "4", "--domain", "two")
    assert part["domains"] == {"two": whole["domains"]["two"]}
    assert lines(run) == before
    assert analyzed(capsys, run, "--samples", "4", "--limit", "2")["domains"]["one"]["num_tasks"] == 2
    assert lines(run) == before
    # other settings never mix with them
    assert analyzed(capsys, run, "--samples", "2")["domains"]["one"]["num_tasks"] == 5
    assert len({line["key"] for line in lines(run)}) == 7


def test_other_weights_are_sampled_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_sides(tmp_path)
    first = analyzed(capsys, run, "--samples", "2")
    end_stage(Run.open(run), "1-rlvr", seed=3)
    second = analyzed(capsys, run, "--samples", "2")
    assert second["domains"]["one"]["points"][0]["parent"] == first["domains"]["one"]["points"][0]["parent"]
    child = [line for line in lines(run) if line["key"] not in {line["key"] for line in lines(run)[:3]}]
    assert len({line["key"] for line in child}) == 4  # samples and greedy of two children


def test_words_and_page_say_what_became_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_sides(tmp_path)
    assert main(["analyze", "elicitation", str(run), "--samples", "4"]) == 0
    out = capsys.readouterr()
    said = " ".join(out.out.split())
    assert "Over the one domain that it was trained on, 1-rlvr" in said
    assert "4 samples a task say little about what a model can find at all" in said
    assert "parent 0-base 70/70 done" in " ".join(out.err.split())  # 10 tasks of 4 + 1 + 2 completions
    assert "completions/s" in out.err
    page = (run / "1-rlvr" / "elicitation.html").read_text()
    assert page.count("<svg") == 2
    assert "http" not in page.split("</style>")[1].replace("http://www.w3.org", "")


def test_what_cannot_be_analyzed_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_sides(tmp_path)
    for words, said in (
        (["--stage", "dpo"], "has no stage 'dpo': those that train a policy are 1-rlvr"),
        (["--domain", "three"], "no held-out task has the domain 'three'; there are one, two"),
    ):
        assert main(["analyze", "elicitation", str(run), *words]) != 0
        assert said in capsys.readouterr().err
    (run / "1-rlvr/checkpoints/step-000001/model.safetensors").write_bytes(b"")
    assert main(["analyze", "elicitation", str(run)]) != 0
    assert "cannot be used: model.safetensors has 0 bytes" in capsys.readouterr().err
    (run / "1-rlvr/done.json").unlink()
    assert main(["analyze", "elicitation", str(run)]) != 0
    assert "1-rlvr has not ended" in capsys.readouterr().err


def test_a_run_without_held_out_tasks_has_nothing_to_ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = RECIPE.replace('[evaluation]\ndata = ["sided_rows:tasks:evaluation"]\n', "[evaluation]\n")
    run = write_sides(tmp_path, recipe=recipe.replace("[evaluation]", '[evaluation]\ntext = ["stories"]'))
    assert main(["analyze", "elicitation", str(run)]) != 0
    assert "has no [evaluation] with tasks" in capsys.readouterr().err


def test_the_parent_is_the_last_policy_before_the_stage(tmp_path: Path) -> None:
    sft = '[[stage]]\nkind = "sft"\ndata = ["gsm8k:train"]\n'
    between = '[[stage]]\nkind = "evaluate"\nname = "look"\ndata = ["sided_rows:tasks:test"]\n'
    head, _, rlvr = RECIPE.partition("[[stage]]")
    more = f"[[stage]]{rlvr}name = 'more'\ncontinues = true\n"
    recipe = head + sft + between + f"[[stage]]{rlvr}" + more
    base = write_sides(tmp_path)
    (tmp_path / "long.toml").write_text(recipe.replace("BASE", str(tmp_path / "base")))
    config = resolved_json(read_recipe(tmp_path / "long.toml"))
    run = Run.create(tmp_path / "long", config=config, provenance={"folder": str(tmp_path)})
    for number, name in enumerate(("1-sft", "3-rlvr", "4-more")):
        end_stage(run, name, seed=number)
    last = open_sides(run.path, stage="", word="elicitation")
    assert (last.parent_stage, last.chosen.name) == ("1-sft", "4-more")
    assert last.parent.checkpoint.endswith("1-sft/checkpoints/step-000001")
    assert open_sides(run.path, stage="rlvr", word="elicitation").parent_stage == "1-sft"
    first = open_sides(run.path, stage="1-sft", word="elicitation")
    assert (first.parent_stage, first.parent.checkpoint) == ("0-base", str(tmp_path / "base"))
    assert open_sides(base, stage="", word="elicitation").parent_stage == "0-base"
