"""The results on the page: each number where it belongs, with its reference and its verdict beside it."""

import re
from pathlib import Path

import pytest
from pages import Page, make_run, shown, trained, whole_run

from rlvr.statistics.intervals import Interval


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return shown(whole_run(tmp_path_factory.mktemp("runs") / "demo"))


def test_the_first_heading_is_the_headline_and_the_number_of_ways_of_asking_is_told(whole: Page) -> None:
    assert whole.tags.index(("h1", {})) < whole.tags.index(("h2", {"class": "small"}))
    assert (
        "Elicitation only on the whole (beyond in 1 of 2 domains, 2 asked for): "
        "beyond: arithmetic +28.0; below: lists -18.0" in whole.text
    )
    # One random answer, and greedy; the base also under the plain prompt.
    assert "any earlier version did under any way of asking that was tried (2 to 3 for each)." in whole.text
    assert "in the way that suits it best, of 2 to 3 that were tried." in whole.text


def test_each_domain_has_its_verdict_with_pass_at_16_of_both_beside_it(whole: Page) -> None:
    # The chance that one of 16 answers is right, of 0.1 and of 0.43 each; of 0.2 and of 0.22.
    strongest = "temperature 0.3, as “Q: {problem}↵A:”"
    assert (
        f"arithmetic beyond +28.0 +16.0 to +40.0 25.0% 20 to 30 · base, {strongest} 53.0% 48 to 58 "
        "81.5% 76 to 86 100% 95 to 100" in whole.text
    )
    assert (
        f"lists below −18.0 −30.0 to −6.0 50.0% 45 to 55 · base, {strongest} 32.0% 27 to 37 "
        "97.2% 92 to 100 98.1% 93 to 100" in whole.text
    )


def test_a_small_gain_above_luck_is_called_the_same_everywhere(tmp_path: Path) -> None:
    text = shown(whole_run(tmp_path / "demo", steps=3, lists_gain=Interval(0.074, 0.037, 0.11))).text
    assert "beyond: arithmetic +28.0; above, by less than 10 points: lists +7.4 (points" in text
    assert "Above, by less than 10 points, it is in lists (by 7.4 points; pass@16 from 97.2% to 98.1%)." in text
    assert "lists above, by less than 10 points +7.4 +3.7 to +11.0" in text
    assert "not shown to lie above" not in text


def test_the_curve_of_the_kl_says_on_how_many_groups_it_rests(whole: Page, tmp_path: Path) -> None:
    said = "Each point rests on 2 of the 32 groups of its step, 32 answers, so single points jump"
    assert said in whole.text
    run = make_run(tmp_path / "demo", ("rlvr",), kl_groups=0)
    trained(run, "1-rlvr", 3)
    assert "Distance from the start (KL)" in shown(run).text
    assert "Each point rests on" not in shown(run).text


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
    assert "pass@1 pass@16 mixed groups of 8 cut off tasks by share right holds" in whole.text
    assert (
        "arithmetic 64 tasks 60.0% 14.0% of 20 tasks 2.0% +12.0 +3.0 to +21.0 10.0% 5 to 15 50.0% 45 to 55 "
        "45.0% 40 to 50 6.0% 1 to 11 █▆▂··· 32 24 8 0 0 0 yes" in whole.text
    )
    assert "lists 64 tasks 0% – – – 20.0% 15 to 25 25.0% 20 to 30 8.0% 3 to 13 10.0% 5 to 15 █▁··▁▂" in whole.text
    said = "lists fails a condition, and was trained all the same: only 8% of the groups are mixed."
    assert said in whole.text
    assert "arithmetic fails" not in whole.text
    assert "facts 30.0% 25 to 35 29.0% 24 to 34 −1.0 −6.0 to +4.0" in whole.text
    # 2.01 / 2.00 = 1.005, 2.01 / 1.96 = 1.0255.
    assert "rlvr 2.010 +0.5% from dpo to rlvr +2.6% from base to rlvr" in whole.text
