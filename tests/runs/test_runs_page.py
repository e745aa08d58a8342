"""The page of a run: whatever state the run is in, it is whole, self-contained and harmless."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import Page, domain, make_run, measured, shown, stage, trained, whole_run

from rlvr.app import cli
from rlvr.errors import UsageError
from rlvr.runs.folder import Run
from rlvr.runs.page import page
from rlvr.runs.page.page import write_page
from rlvr.runs.report import write_report


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return shown(whole_run(tmp_path_factory.mktemp("runs") / "demo"))


def test_the_page_is_written_into_the_run_and_is_the_same_each_time(tmp_path: Path) -> None:
    run = whole_run(tmp_path / "demo", steps=5)
    first = write_page(run)
    assert first == tmp_path / "demo" / "report.html"
    before = first.read_bytes()
    assert write_page(run).read_bytes() == before
    assert len(before) < 1_000_000


def test_the_sections_stand_in_order_and_each_is_in_the_contents(whole: Page) -> None:
    sections = [attributes["id"] for tag, attributes in whole.tags if tag == "section"]
    assert sections == [
        *("results", "conditions", "curves", "compared", "transcripts", "kept", "cost", "provenance", "glossary")
    ]
    links = [attributes["href"] for tag, attributes in whole.tags if tag == "a"]
    assert [link for link in links if link != "#glossary"] + ["#glossary"] == [f"#{name}" for name in sections]


def test_nothing_is_loaded_from_anywhere_and_nothing_runs(whole: Page) -> None:
    assert not {tag for tag, _ in whole.tags} & {"script", "img", "link", "iframe", "object", "embed", "image", "base"}
    for tag, attributes in whole.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "action")], tag
        assert (attributes.get("href") or "#").startswith("#"), attributes
        assert "url(#" in (attributes.get("style") or "url(#") or "url(" not in str(attributes.get("style"))


def test_hostile_text_of_a_model_is_shown_and_does_nothing(whole: Page) -> None:
    assert "</pre></div><script>alert(1)</script>" in whole.text
    assert "{{ 7 * 7 }} ⟨U+202E⟩evil⟨U+001B⟩[31m" in whole.text
    assert not {"\u202e", "\x1b"} & set(whole.text)


def test_ids_are_unique_and_every_reference_has_its_target(whole: Page) -> None:
    assert len(whole.ids) == len(set(whole.ids))
    wanted = {
        found
        for _, attributes in whole.tags
        for value in attributes.values()
        for found in [*re.findall(r"url\(#([^)]+)\)", value or ""), *re.findall(r"^#(.+)$", value or "")]
    }
    wanted |= {attributes["aria-labelledby"] for _, attributes in whole.tags if "aria-labelledby" in attributes}
    assert wanted <= set(whole.ids)


def test_each_chart_has_a_title_a_viewbox_and_colours_of_the_page_only(tmp_path: Path) -> None:
    html = write_page(whole_run(tmp_path / "demo", steps=5)).read_text(encoding="utf-8")
    charts = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    # Two domains' outcomes, five other curves, pass@k of three domains, one domain with rungs.
    assert len(charts) == 2 + 5 + 3 + 1
    for chart in charts:
        assert re.match(r'<svg viewBox="[\d. ]+" role="img" aria-labelledby="([\w-]+)"><title id="\1">', chart)
        assert not re.findall(r"#[0-9a-f]{6}", chart)
        assert "width=" not in chart[: chart.index(">")]
        assert "var(--series-1)" in chart
        assert "<text" in chart
    assert html.count("<figcaption>") == html.count("<figure")


def test_a_run_that_has_only_begun_has_a_page(tmp_path: Path) -> None:
    found = shown(make_run(tmp_path / "demo"))
    assert "Nothing measured yet" in found.text
    assert "This run is not finished: 0 of 3 stages have ended" in found.text
    assert "No stage has begun." in found.text


def test_a_run_in_the_midst_of_rl_shows_its_curves_so_far(tmp_path: Path) -> None:
    run = make_run(tmp_path / "demo", ("sft", "rlvr"))
    measured(trained(run, "1-sft", 2), [])
    trained(run, "2-rlvr", 1)
    write_report(
        run, [stage("base", {"lists": domain(0.2)}), stage("sft", {"lists": domain(0.3, gain=0.1)}, perplexity=None)]
    )
    found = shown(run)
    assert "RLVR has not been measured yet; sft changed pass@1 by: lists +10.0 points" in found.text
    assert "This run is not finished: 1 of 2 stages have ended" in found.text
    assert "lists: answers right by step. lists goes from 20% at 1 to 20% at 1." in found.text


def test_a_reward_model_s_score_stands_beside_the_truth_over_the_kl(tmp_path: Path) -> None:
    run = make_run(tmp_path / "demo", ("rlvr",))
    child = run.child("1-rlvr")
    # the score rises all the way; the share right rises to 0.8 at a KL of 0.2 and falls to 0.2
    truth = [0.2, 0.5, 0.8, 0.8, 0.8, 0.5, 0.2, 0.2, 0.2]
    for step, right in enumerate(truth):
        with child.step(step) as record:
            record.metrics({"train/kl": 0.05 * step, "rollout/score_mean": step - 4.0, "rollout/outcome_mean": right})
    write_report(run, [stage("base", {"lists": domain(0.2)})])
    found = shown(run)
    assert "Score: mean score by KL, nats per token. Score goes from -3.5 at 0.025 to 3.5 at 0.375" in found.text
    assert "Right answers: answers right by KL, nats per token. Right goes from 35%" in found.text
    # means of three steps
    assert "The share right was highest, 80%, at 0.15 nats per token, and is 20% at 0.38, the end." in found.text
    silent = make_run(tmp_path / "plain", ("rlvr",))
    trained(silent, "1-rlvr", 9)
    write_report(silent, [stage("base", {"lists": domain(0.2)})])
    assert "Proxy and truth" not in shown(silent).text


def test_in_rounds_a_reward_model_s_score_stands_beside_the_truth_over_the_steps(tmp_path: Path) -> None:
    run = make_run(tmp_path / "demo", ("iterate",))
    child = run.child("1-iterate")
    # two rounds: the KL begins again at step 6, and no KL is measured in the last two steps
    truth = [0.2, 0.5, 0.8, 0.8, 0.8, 0.5, 0.2, 0.2, 0.2]
    for step, right in enumerate(truth):
        with child.step(step) as record:
            kl = {"train/kl": 0.05 * (step % 5)} if step < 7 else {}
            record.metrics({**kl, "rollout/score_mean": step - 4.0, "rollout/outcome_mean": right})
    write_report(run, [stage("base", {"lists": domain(0.2)})])
    found = shown(run)
    # means of three steps, of two at either end: (-4 - 3) / 2, (3 + 4) / 2
    assert "Score: mean score by step. Score goes from -3.5 at 1 to 3.5 at 9" in found.text
    assert "Right answers: answers right by step. Right goes from 35%" in found.text
    assert "Both by the steps of all rounds" in found.text
    # the three of 0.8 are steps 3, 4 and 5
    assert "The share right was highest, 80%, at step 4, and is 20% at step 9, the end." in found.text


def test_a_run_of_pretraining_without_evaluation_has_a_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "demo", ("pretrain",))
    trained(run, "1-pretrain", 3)
    write_report(run, [stage("base", {}, perplexity=None), stage("pretrain", {}, perplexity=None)])
    found = shown(run)
    assert "Trained, but not measured: the recipe has no held-out tasks" in found.text
    assert "this page cannot say what the model gained" in found.text
    assert "No held-out task was measured, so there are no results to show." in found.text
    assert "pretrain 3 150 2 min 31 s 0 3,000 –" in found.text


def test_missing_rollouts_leave_out_the_transcripts_only(tmp_path: Path) -> None:
    run = whole_run(tmp_path / "demo", steps=2)
    for file in run.path.rglob("evaluate-*.parquet"):
        file.unlink()
    found = shown(run)
    assert "There are no answers of two measured models to set side by side." in found.text
    assert "Elicitation only on the whole (beyond in 1 of 2 domains, 2 asked for): beyond: arithmetic" in found.text


def test_a_folder_without_recipe_and_provenance_has_a_page(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "demo", config={}, provenance={})
    write_report(run, [stage("base", {"lists": domain(0.2)})])
    found = shown(run)
    assert "Only the base model was measured so far" in found.text
    assert "no checkout; rlvr of unknown version" in found.text


def test_a_missing_package_is_told_with_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "find_spec", lambda name: None if name == "matplotlib" else object())
    with pytest.raises(UsageError, match=r"report\.html needs matplotlib.*\nhint: pip install \"rlvr\[train\]\""):
        write_page(make_run(tmp_path / "demo"))


def test_the_verb_report_writes_the_page_and_prints_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "demo")
    assert cli.main(["report", str(run.path)]) == 0
    assert capsys.readouterr().out == f"{run.path / 'report.html'}\n"
    assert (run.path / "report.html").is_file()
    assert cli.main(["report", str(tmp_path / "none")]) == 1
    assert "is no run folder: it does not exist" in capsys.readouterr().err


def test_the_door_loads_no_drawing_library_before_a_page_is_written() -> None:
    program = (
        "import sys, rlvr.runs.page.page; print([m for m in ('matplotlib', 'jinja2', 'torch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
