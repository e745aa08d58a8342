"""The page of a run: whatever state the run is in, it is whole, true, self-contained and harmless."""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rlvr.app import cli
from rlvr.errors import UsageError
from rlvr.runs.folder import Run
from rlvr.runs.page import page
from rlvr.runs.page.page import write_page
from rlvr.runs.report import Beyond, Condition, DomainReport, Readout, StageReport, write_report
from rlvr.statistics.intervals import Interval
from rlvr.types import Completion, Group, Task, Verdict, read_only

HOSTILE = '</pre></div><script>alert(1)</script><img src=x onerror="alert(2)"> {{ 7 * 7 }} \u202eevil\x1b[31m'
NAMES = ("base", "sft", "dpo", "rlvr")
PLAIN = "Q: {problem}\nA:"


def rate(mean: float, half: float = 0.05) -> Interval:
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def domain(
    mean: float, *, trained: bool = True, gain: float | None = None, best: float = 0.0, rungs: Mapping[int, float] = {}
) -> DomainReport:
    """pass@k is 1 - (1 - mean)^k; greedy 10 points over pass@1; the plain prompt `best` where that is given."""
    readouts = [Readout("chat", 0.0, rate(min(1.0, mean + 0.1)))]
    if best:
        readouts.append(Readout(PLAIN, 0.3, rate(best)))
    return DomainReport(
        trained=trained,
        num_tasks=64,
        pass_at_k={k: rate(1 - (1 - mean) ** k) for k in (1, 2, 4, 8, 16)},
        rungs={rung: rate(value) for rung, value in rungs.items()},
        readouts=tuple(readouts),
        gain=None if gain is None else Interval(gain, gain - 0.05, gain + 0.05),
        only_before=0.0 if gain is None else 0.0625,
        only_after=0.0 if gain is None else 0.25,
        tokens=40.0,
    )


def stage(name: str, domains: Mapping[str, DomainReport], **changes: object) -> StageReport:
    values = {
        "name": name,
        "kind": name,
        "checkpoint": "c",
        "cpu_seconds": 150.4,
        "seconds": 151.0,
        "domains": domains,
        "kl": 0.021,
        "perplexity": 2.0,
        "no_signal_rate": 0.4,
        "beyond": {},
        "conditions": (),
    }
    return StageReport(**{**values, **changes})  # type: ignore[arg-type]


def group(name: str, number: int, *, right: Sequence[bool | None], text: str) -> Group:
    task = Task(
        id=f"{name}-{number}",
        messages=({"role": "user", "content": f"What is {number} + 3? {HOSTILE if number == 0 else ''}"},),
        reference={"answer": str(number + 3)},
        verifier="math",
        source=name,
        domain=name,
    )
    completions = tuple(
        Completion(
            read_only([5, 6, 2], np.int64), read_only([-0.5] * 3, np.float32), read_only([True] * 3, np.bool_),
            f"{text} {index}", "stop", 0,
        )
        for index in range(len(right))
    )  # fmt: skip
    verdicts = tuple(
        Verdict(None if one is None else float(one), "ok" if one is not None else "crash") for one in right
    )
    rewards = tuple(float("nan") if one is None else float(one) for one in right)
    return Group(task, number, read_only([1], np.int64), completions, verdicts, rewards)


def measured(run: Run, groups: Sequence[Group]) -> None:
    with run.child("evaluation").step(0) as record:
        record.rollouts(groups, split="evaluate")


def trained(run: Run, name: str, steps: int) -> Run:
    child = run.child(name)
    wave = np.sin(np.arange(steps)) * 0.05
    for step in range(steps):
        with child.step(step) as record:
            if "rlvr" not in name:
                record.metrics({"train/tokens": 1000.0})
                continue
            record.metrics(
                {
                    "train/learned_tokens": 500.0,
                    "train/kl": 0.001 * step,
                    "train/entropy": 0.6 / (1 + step),
                    "train/clip_low_rate": 0.001,
                    "train/clip_high_rate": 0.002,
                    "rollout/informative_rate": 0.6,
                    "rollout/completion_tokens_mean": 40.0 + step,
                    "rollout/prompts_drawn": 32.0,
                    "rollout/solved_rate/arithmetic": 0.1 + 0.4 * step / steps + wave[step],
                    "rollout/solved_rate/lists": 0.2 + wave[step],
                }
            )
    return child


def make_run(path: Path, kinds: Sequence[str] = NAMES[1:]) -> Run:
    recipe = {"name": path.name, "seed": 1, "stage": [{"kind": kind, "name": "", "group_size": 16} for kind in kinds]}
    provenance = {
        "started": "2026-11-22T20:40:56+00:00",
        "command": ["/somewhere/bin/rlvr", "train", "recipes/laptop.toml", "name=a b"],
        "code": {"commit": "4d833d9c3c", "diff_bytes": 802},
        "libraries": {"rlvr": "0.1.0", "torch": "2.13.0", "wandb": None},
        "cpu": {"model": "AMD EPYC"},
        "threads": {"usable_cores": 2},
        "torch_threads": 1,
        "gpu": None,
    }
    config = {"recipe": recipe, "source": "recipes/laptop.toml"}
    return Run.create(path, config=config, provenance=provenance)


def whole_run(path: Path, *, steps: int = 30) -> Run:
    """Base, SFT, DPO and RLVR. Of 4 × 4 pairs in arithmetic 4 are won, 2 lost, 2 right both times, 8 wrong."""
    run = make_run(path)
    ladder = {1: 0.6, 2: 0.3, 3: 0.1}
    facts = domain(0.3, trained=False)
    base = {"arithmetic": domain(0.09, best=0.25), "lists": domain(0.2, best=0.5), "facts": facts}
    sft = {"arithmetic": domain(0.1, gain=0.01), "lists": domain(0.21, gain=0.01), "facts": facts}
    dpo = {"arithmetic": domain(0.1, gain=0.0, rungs=ladder), "lists": domain(0.2, gain=0.0), "facts": facts}
    rlvr = {
        "arithmetic": domain(0.43, gain=0.33, rungs={1: 0.9, 2: 0.7, 3: 0.3}),
        "lists": domain(0.22, gain=0.02),
        "facts": domain(0.29, trained=False, gain=-0.01),
    }
    beyond = {
        "arithmetic": Beyond("base", PLAIN, 0.3, rate(0.25), Interval(0.28, 0.16, 0.4)),
        "lists": Beyond("base", PLAIN, 0.3, rate(0.5), Interval(-0.18, -0.3, -0.06)),
    }
    conditions = (
        Condition("arithmetic", 64, 0.1, 0.5, 16, 0.45, 0.14, 0.02, 0.6, ()),
        Condition("lists", 64, 0.2, 0.25, 16, 0.08, None, 0.2, 0.0, ("only 8% of the groups are mixed",)),
    )
    measured(run.child("0-base"), [])
    for name in ("1-sft", "2-dpo"):
        measured(trained(run, name, 8), pairs(before=True))
    measured(trained(run, "3-rlvr", steps), pairs(before=False))
    write_report(
        run,
        [
            stage("base", base, cpu_seconds=0.0, seconds=0.0, kl=None, perplexity=1.96, no_signal_rate=None),
            stage("sft", sft, no_signal_rate=None),
            stage("dpo", dpo, no_signal_rate=None),
            stage("rlvr", rlvr, perplexity=2.01, beyond=beyond, conditions=conditions),
        ],
    )
    return run


def pairs(*, before: bool) -> list[Group]:
    outcomes = {True: "RRRRwwwwwwwwwwww", False: "RRwwRRRRwwwwwwww"}[before]
    text = f"<think>{HOSTILE}</think> {'old' if before else 'new'}"
    found = [
        group("arithmetic", task, right=[mark == "R" for mark in outcomes[4 * task : 4 * task + 4]], text=text)
        for task in range(4)
    ]
    return [*found, group("lists", 9, right=[before, None, None], text="x")]


class Page(HTMLParser):
    """Every tag with its attributes, the ids, and the text, of a page whose tags all close in order."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]


def shown(run: Run) -> Page:
    return Page(write_page(run).read_text(encoding="utf-8"))


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


def test_the_first_heading_is_the_headline_and_the_number_of_ways_of_asking_is_told(whole: Page) -> None:
    assert whole.tags.index(("h1", {})) < whole.tags.index(("h2", {"class": "small"}))
    assert "Elicitation only: arithmetic +28.0, lists -18.0" in whole.text
    # One random answer, and greedy; the base also under the plain prompt.
    assert "no earlier version did under any way of asking that was tried (2 to 3 for each)." in whole.text
    assert "in the way that suits it best, of 2 to 3 that were tried." in whole.text


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


def test_a_chart_says_its_numbers_in_words(whole: Page) -> None:
    # pass@16 of a task that is right with chance 0.43: 1 - 0.57^16 = 0.9999; of 0.1: 1 - 0.9^16 = 0.8147.
    assert (
        "arithmetic: chance by k. rlvr goes from 43% at 1 to 100% at 16; dpo goes from 10% at 1 to 81.5% at 16."
        in whole.text
    )


def test_transcripts_are_one_of_each_kind_with_the_share_of_each(whole: Page) -> None:
    # Of 16 pairs: 4 won, 2 lost, 2 right twice, 8 wrong twice.
    assert "arithmetic gained 25.0% lost 12.5% both right 12.5% both wrong 50.0%" in whole.text
    assert "Gained wrong before, right after: 25.0% of 16 pairs" in whole.text
    assert "Lost right before, wrong after: 12.5% of 16 pairs" in whole.text
    # In lists one pair of three was scored, and it was lost.
    assert "lists gained 0% lost 100% both right 0% both wrong 0%" in whole.text
    assert len([1 for tag, _ in whole.tags if tag == "article"]) == 5


def test_costs_and_provenance_are_told(whole: Page) -> None:
    # 30 steps × 32 prompts × 16 completions × (40 + 14.5) tokens = 837,120.
    (line,) = re.findall(r"rlvr 30 150 2 min 31 s 0 15,000 837,120 ([\d.]+)", whole.text)
    assert 0.05 < float(line) < 20  # GB of this very process
    assert "all 451 7 min 33 s" in whole.text
    assert "git checkout 4d833d9c3c rlvr train recipes/laptop.toml 'name=a b'" in whole.text
    assert "with uncommitted changes (802 bytes" in whole.text
    assert "wandb" not in whole.text


def test_conditions_and_what_was_kept_are_told(whole: Page) -> None:
    assert "lists 64 tasks 0% – 20.0% 20.0% 25.0% of 16 8.0% no: only 8% of the groups are mixed" in whole.text
    assert "arithmetic 64 tasks 60.0% 14.0% 2.0% 10.0% 50.0% of 16 45.0% yes" in whole.text
    assert "facts 30.0% 25 to 35 29.0% 24 to 34 −1.0 −6.0 to +4.0" in whole.text
    # 2.01 / 1.96 = 1.0255.
    assert "rlvr 2.010 +2.6%" in whole.text


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
    assert "Elicitation only: arithmetic +28.0" in found.text


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
