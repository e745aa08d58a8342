"""The verdicts of the evidence, by hand on made-up reports, and the runs that it plans."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rlvr.runs.report import Beyond, DomainReport, Readout, StageReport
from rlvr.statistics.intervals import Interval

ROOT = Path(__file__).resolve().parents[2]
PLAIN = "Q: {problem}\nA:"
DPO = 0.40
"""pass@1 after DPO in every domain that RL trains on, with 5 points to both sides."""
GAINS = {"sums": 0.30, "rows": 0.30, "lines": 0.30, "spell": 0.16}
"""Their mean is 1.06 / 4 = 0.265."""
BEYOND = {"sums": (0.15, 0.05), "rows": (0.10, 0.02), "lines": (0.12, -0.01), "spell": (0.09, 0.05)}
"""Gain of RLVR's greedy answers and its lower end: beyond in sums and rows, unsure in lines, too little in spell."""
HARD = {"arithmetic": (0.20, 0.08), "chain_sum": (0.05, -0.02)}
"""The same on the rungs that no text has: beyond in one of two domains."""


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_can_be_imported() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield
    for name in ("evidence", "evidence_tables", "evidence_readme", "evidence_claims", "evidence_runs"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def tables(_benchmarks_can_be_imported: None) -> Any:
    return importlib.import_module("evidence_tables")


def around(mean: float, half: float = 0.05) -> Interval:
    return Interval(mean, mean - half, mean + half)


def domain(
    mean: float, *, chat: float, plain: float = 0.0, sampled: float = 0.0, gain: Interval | None = None, **changes: Any
) -> Any:
    values: dict[str, Any] = {
        "trained": True,
        "num_tasks": 256,
        "pass_at_k": {1: around(mean)},
        "rungs": {1: around(mean), 2: around(mean - 0.1)},
        "readouts": (
            Readout("chat", 0.0, around(chat)),
            Readout(PLAIN, 0.0, around(plain)),
            Readout(PLAIN, 1.0, around(sampled)),
        ),
        "gain": gain,
        "only_before": 0.0,
        "only_after": 0.0,
        "tokens": 40.0,
    }
    return DomainReport(**{**values, **changes})


def stage(name: str, domains: Mapping[str, DomainReport], **changes: Any) -> StageReport:
    values: dict[str, Any] = {
        "name": name,
        "kind": name,
        "checkpoint": "step-1",
        "cpu_seconds": 100.0,
        "seconds": 110.0,
        "domains": domains,
        "kl": None,
        "perplexity": 4.0,
        "no_signal_rate": None,
        "beyond": {},
        "conditions": (),
    }
    return StageReport(**{**values, **changes})


def run(
    tables: Any,
    name: str = "base1-seed1",
    *,
    gains: Mapping[str, float] = GAINS,
    half: float = 0.04,
    touching: Sequence[str] = (),
    facts: float = 0.01,
    perplexity: float = 4.08,
    greedy: Sequence[float] = (0.10, 0.45, 0.44),
    plain: float = 0.20,
    beyond: Mapping[str, tuple[float, float]] = BEYOND,
    hard: Mapping[str, tuple[float, float]] = HARD,
    stories: float | None = 4.0,
    untouched: bool = True,
    rlvr_greedy: float = 0.7,
    ladder: int = 55,
    paired: tuple[tuple[float, float], ...] = ((0.5, 0.0), (0.75, 0.25)) * 20,
    course: Sequence[float] = (0.40, 0.38, 0.42),
) -> Any:
    """A run in which every claim holds; `greedy` is the chat accuracy of base, SFT and DPO, `plain` the base's."""
    runs = importlib.import_module("evidence_runs")
    base = {name: domain(0.1, chat=greedy[0], plain=plain, trained=False) for name in gains}
    sft = {name: domain(0.35, chat=greedy[1], sampled=0.5, gain=around(0.25)) for name in gains}
    dpo = {name: domain(DPO, chat=greedy[2], gain=around(0.05)) for name in gains}
    rlvr = {}
    for name_, gain in gains.items():
        # Touching: the lower end is where DPO's upper end is, at 45%.
        rate = Interval(DPO + gain, DPO + 0.05, 1.0) if name_ in touching else around(DPO + gain)
        rlvr[name_] = domain(DPO + gain, chat=rlvr_greedy, gain=around(gain, half), pass_at_k={1: rate})
    for found, moved in (
        () if not untouched else ((base, None), (sft, around(0.0)), (dpo, around(0.0)), (rlvr, around(facts)))
    ):
        found["facts-seen"] = domain(0.9 + (facts if found is rlvr else 0.0), chat=0.9, gain=moved, trained=False)
    over, harder = (
        {
            place: Beyond("sft", PLAIN, 0.3, around(0.5), Interval(gain, low, 2 * gain - low))
            for place, (gain, low) in found.items()
        }
        for found in (beyond, hard)
    )
    last = stage("rlvr", rlvr, perplexity=perplexity, beyond=over, cpu_seconds=900.0)
    stages = [stage("base", base), stage("sft", sft), stage("dpo", dpo, perplexity=stories), last]
    return tables.Finished(
        name,
        360,
        stages,
        staged=staged(stages),
        hard={place: runs.Hard(66, found) for place, found in harder.items()},
        work={
            "arithmetic": {
                1: runs.Work({8: 1, 12: 1}, {5: 2}, (0, 0), (1, 1), {}),
                10: runs.Work({66: 1}, {ladder: 1}, (1, 1), (0, 0), by_task(paired)),
            },
            "sums": {
                1: runs.Work({10: 1, 20: 1}, {4: 1, 8: 1}, (2, 3), (0, 1), {}),
                2: runs.Work({}, {}, (0, 0), (0, 2), {}),
            },
        },
        course=course,
        origin={"started": "2026-11-23", "commit": "abc", "processor": "a processor"},
    )


def by_task(pairs: Sequence[tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {f"t{number}": pair for number, pair in enumerate(pairs)}


def staged(stages: Sequence[StageReport]) -> dict[str, dict[str, float]]:
    """Greedy chat accuracy over the best greedy one of all stages before, as if all tasks were alike."""
    claims = importlib.import_module("evidence_claims")
    return {
        found.name: {
            name: entry.greedy.mean - max(claims.best_greedy(before.domains[name]) for before in stages[:place])
            for name, entry in found.domains.items()
        }
        for place, found in enumerate(stages)
        if place > 0
    }


def control(tables: Any, name: str = "shuffled-seed1", **changes: Any) -> Any:
    return run(tables, name, **{"gains": dict.fromkeys(GAINS, 0.0), "half": 0.08, **changes})


def test_the_mean_gain_and_its_interval_by_hand(tables: Any) -> None:
    made = run(tables)
    gains = {"sums": (0.30, 0.27, 0.36), "rows": (0.20, 0.16, 0.28), "lines": (0.40,) * 3, "spell": (0.10,) * 3}
    last = made.stages[-1].domains
    for name, gain in gains.items():
        last[name] = domain(0.5, chat=0.5, gain=Interval(*gain))
    found = made.mean_gain
    # (0.30 + 0.20 + 0.40 + 0.10) / 4; down sqrt(0.03² + 0.04²) / 4 = 0.05 / 4, up sqrt(0.06² + 0.08²) / 4 = 0.10 / 4
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.2375, 0.275))
    assert made.trained == list(GAINS)
    assert (made.base, made.is_control, control(tables).is_control) == ("base1", False, True)


def test_every_claim_holds_and_says_its_figures(tables: Any) -> None:
    found = list(tables.claims([run(tables)], [control(tables)]))
    assert [holds for holds, _ in found] == [True] * 9
    ends = [
        "in every run: base1-seed1 +26.5",
        "in every run: base1-seed1 4",
        "from DPO to RLVR: base1-seed1 +1.0",
        # 4.08 / 4.00
        "moves by at most 3% from DPO to RLVR: base1-seed1 +2.0",
        # a quarter of 26.5; four domains of 0 ± 8: sqrt(4 · 8²) / 4 = 4
        "over the first: shuffled-seed1 +4.0; the gains themselves: shuffled-seed1 +0.0; on the way at most: "
        "shuffled-seed1 +2.0",
        # DPO's 44 beside SFT's 45, in four domains; the fifth lowest is facts, 90 beside 90
        "; base1-seed1 dpo spell -1.0; base1-seed1 sft facts-seen +0.0",
        # 40 differences of 50 points, and a pseudo-pair half up, half down: the interval is [41.7, 53.5]
        "5 tokens on rung 1, 55 on rung 10; what working pays there, in points: +50.0 [+41.7, +53.5]; "
        "lower ends from rung 5 on: base1-seed1 +41.7",
        "in 2 domains, in every run: base1-seed1 sums, rows",
        "in every run: base1-seed1 arithmetic +20.0 [+8.0, +32.0], chain_sum +5.0 [-2.0, +12.0]",
    ]
    assert [text for (_, text), end in zip(found, ends, strict=True) if not text.endswith(end)] == []


@pytest.mark.parametrize(
    ("place", "changes", "figure"),
    [
        # (0.30 + 0.30 + 0.30 + 0.09) / 4 = 0.2475
        (0, {"gains": {**GAINS, "spell": 0.09}}, "bad-run +24.8"),
        # Of four domains two rise clearly; the others have intervals that touch DPO's, or rise by 14 points.
        (1, {"touching": ("lines", "spell")}, "bad-run 2"),
        (1, {"gains": {**GAINS, "sums": 0.62, "spell": 0.14, "lines": 0.14}}, "bad-run 2"),
        (2, {"facts": -0.03}, "bad-run -3.0"),
        # 3.86 / 4.00
        (3, {"perplexity": 3.86}, "bad-run -3.5"),
        # No text to measure perplexity on.
        (3, {"stories": None}, "bad-run not measured"),
        (7, {"beyond": {**BEYOND, "rows": (0.12, -0.01)}}, "bad-run sums"),
        (7, {"beyond": {"sums": (0.09, 0.05)}}, "bad-run none"),
        (7, {"beyond": {}}, "bad-run not measured"),
        (8, {"hard": {"arithmetic": (0.20, -0.01)}}, "bad-run arithmetic +20.0 [-1.0, +41.0]"),
        (8, {"hard": {}}, "bad-run not measured"),
    ],
)
def test_a_claim_fails_when_one_run_of_two_fails_it(
    tables: Any, place: int, changes: dict[str, Any], figure: str
) -> None:
    found = list(tables.claims([run(tables), run(tables, "bad-run", **changes)], [control(tables)]))
    assert [index for index, (holds, _) in enumerate(found) if not holds] == [place]
    assert found[place][1].endswith(f"; {figure}")


@pytest.mark.parametrize(
    ("changes", "figures"),
    [
        # Beside SFT's 45 DPO is 1 point lower in one run and 4 in the other.
        ({"greedy": (0.10, 0.45, 0.41)}, ("base1 dpo sums -2.5;", "lowest single ones: base1-bad dpo sums -4.0;")),
        # The base, asked in plain text, has 50: DPO's 44 is 6 below it, SFT's 45 is 5; in the other run DPO is 1 below.
        ({"plain": 0.50}, ("base1 dpo sums -3.5;", "; base1-bad sft sums -5.0")),
        # RLVR counts as any stage: 45 before, 40 after, and +25 in the other run.
        ({"rlvr_greedy": 0.15}, ("base1 rlvr sums -2.5;", "lowest single ones: base1-bad rlvr sums -30.0;")),
    ],
)
def test_a_stage_below_its_best_ancestor_on_average_fails_the_claim_and_is_named(
    tables: Any, changes: dict[str, Any], figures: tuple[str, str]
) -> None:
    found = list(tables.claims([run(tables), run(tables, "base1-bad", **changes)], [control(tables)]))
    assert [index for index, (holds, _) in enumerate(found) if not holds] == [5]
    assert "as a mean over the seeds of each base" in found[5][1]
    assert [figure for figure in figures if figure not in found[5][1]] == []


def test_without_a_domain_that_was_never_trained_on_nothing_is_said_to_be_kept(tables: Any) -> None:
    for true, failing in (
        ([run(tables, untouched=False)], [2]),
        ([run(tables), run(tables, "base1-x", untouched=False)], [2, 5]),
    ):
        found = list(tables.claims(true, [control(tables)]))
        assert [index for index, (holds, _) in enumerate(found) if not holds] == failing
        assert found[2][1].endswith("not measured")
    # In one of the base's two runs there is no such domain, so it has no mean over them.
    assert "lowest means: base1 sft facts-seen not measured;" in found[5][1]


def test_one_run_below_does_not_fail_the_staged_claim_but_is_listed(tables: Any) -> None:
    # DPO at 42.5 beside 45 in one run, at 44 in the other: -1.75 on average
    found = list(tables.claims([run(tables), run(tables, "base1-low", greedy=(0.10, 0.45, 0.425))], [control(tables)]))
    assert found[5][0]
    assert "lowest single ones: base1-low dpo sums -2.5;" in found[5][1]


def test_facts_that_a_stage_forgets_count_as_staged_too(tables: Any) -> None:
    made = run(tables)
    made.staged["sft"]["facts-seen"] = -0.05
    found = list(tables.claims([made], [control(tables)]))
    assert not found[5][0]
    assert "lowest means: base1 sft facts-seen -5.0;" in found[5][1]


def test_a_loss_on_one_base_is_not_made_good_by_the_other(tables: Any) -> None:
    # DPO at 41 beside SFT's 45 on one base, at 44 on the other
    found = list(tables.claims([run(tables), run(tables, "base2-seed1", greedy=(0.10, 0.45, 0.41))], [control(tables)]))
    assert not found[5][0]
    assert "lowest means: base2 dpo sums -4.0;" in found[5][1]


@pytest.mark.parametrize("changes", [{"ladder": 49}, {"paired": ((0.5, 0.5),) * 40}, {"paired": ()}])
def test_a_ladder_that_does_not_rise_tenfold_or_whose_working_does_not_pay_fails_its_claim(
    tables: Any, changes: dict[str, Any]
) -> None:
    found = list(tables.claims([run(tables, **changes)], [control(tables)]))
    assert [index for index, (holds, _) in enumerate(found) if not holds] == [6]


def test_all_rungs_that_ask_for_ten_times_as_much_are_asked_together_what_working_pays(tables: Any) -> None:
    made = run(tables)
    runs = importlib.import_module("evidence_runs")
    # Rung 9 asks for nine times as much; on rung 12 working pays nothing, on rungs 10 and 12 together it does.
    made.work["arithmetic"][9] = runs.Work({45: 1}, {45: 1}, (1, 1), (0, 0), by_task(((0.0, 0.9),) * 40))
    other = {f"u{number}": (0.5, 0.5) for number in range(40)}
    made.work["arithmetic"][12] = runs.Work({90: 1}, {80: 1}, (1, 1), (0, 0), other)
    text = list(tables.claims([made], [control(tables)]))[6][1]
    assert "5 tokens on rung 1, 55 on rung 10, 80 on rung 12; what working pays there, in points: +25.0 [" in text


def test_a_control_that_broke_is_said_to(tables: Any) -> None:
    broken = control(tables, gains=dict.fromkeys(GAINS, -0.2), half=0.02)
    text = list(tables.claims([run(tables)], [control(tables, "shuffled-seed2"), broken]))[4][1]
    assert text.endswith("; shuffled-seed1 broke in the end, so that there only the way says something")


@pytest.mark.parametrize("course", [(0.40, 0.47, 0.02), (0.40,), ()])
def test_a_control_that_gained_on_its_way_or_whose_way_is_not_known_fails_though_it_broke(
    tables: Any, course: tuple[float, ...]
) -> None:
    # 7 points over the first 20 steps, and a quarter of 26.5 is 6.6
    broken = control(tables, gains=dict.fromkeys(GAINS, -0.2), half=0.02, course=course)
    found = list(tables.claims([run(tables)], [broken]))
    assert [index for index, (holds, _) in enumerate(found) if not holds] == [4]


def test_runs_that_share_their_tasks_do_not_make_more_of_them(tables: Any) -> None:
    # 4 tasks, +100, 0, 0, 0: of one run or of twenty alike, working is not shown to pay.
    few = ((1.0, 0.0), *[(0.5, 0.5)] * 3)
    found = [
        list(
            tables.claims(
                [run(tables, f"base1-seed{number}", paired=few) for number in range(count)], [control(tables)]
            )
        )
        for count in (1, 20)
    ]
    (holds, one), (_, many) = (claims[6] for claims in found)
    assert not holds
    assert one.partition("pays there")[2][:40] == many.partition("pays there")[2][:40]


def test_what_is_left_of_the_gain_where_all_demonstrations_show_their_working_stands_with_the_claim(
    tables: Any,
) -> None:
    text = next(iter(tables.claims([run(tables)], [control(tables)], [run(tables, "working-seed1")])))[1]
    assert text.endswith(
        "base1-seed1 +26.5 (where all demonstrations show their working, so that RL need not find it: "
        "working-seed1 +26.5)"
    )


def test_the_control_is_held_against_the_smallest_gain_on_its_own_base(tables: Any) -> None:
    # Upper bound 4: under a quarter of 26.5 (6.6), not of 15 (3.75); the other base does not count.
    small = dict.fromkeys(GAINS, 0.15)
    other = list(tables.claims([run(tables), run(tables, "base2-seed1", gains=small)], [control(tables)]))
    assert other[4][0]
    same = list(tables.claims([run(tables), run(tables, "base1-seed2", gains=small)], [control(tables)]))
    assert not same[4][0]
    assert "(3.8)" in same[4][1]


def test_without_a_control_or_a_run_on_its_base_the_claim_does_not_hold(tables: Any) -> None:
    for true, controls in (([run(tables)], []), ([run(tables, "base2-seed1")], [control(tables)])):
        found = list(tables.claims(true, controls))
        assert not found[4][0]
        assert "not measured" in found[4][1]


def test_a_control_that_gains_too_much_fails_its_claim(tables: Any) -> None:
    # 0.03 on average and 0.04 above it: 0.07, and a quarter of 0.265 is 0.06625
    gaining = control(tables, "shuffled-seed2", gains=dict.fromkeys(GAINS, 0.03))
    found = list(tables.claims([run(tables)], [control(tables), gaining]))
    assert [holds for holds, _ in found] == [True] * 4 + [False] + [True] * 4
    assert "shuffled-seed1 +4.0; shuffled-seed2 +7.0; the gains themselves" in found[4][1]


def four_runs(tables: Any) -> list[Any]:
    rises = {"base1-seed1": 0.30, "base1-seed2": 0.34, "base2-seed1": 0.20, "base2-seed2": 0.24}
    return [run(tables, name, gains={**GAINS, "sums": rise}) for name, rise in rises.items()]


def test_the_readme_s_table_has_mean_and_range_over_the_runs_that_are_no_controls(tables: Any) -> None:
    others = [control(tables), run(tables, "working-seed1")]
    readme = importlib.import_module("evidence_readme")
    lines = readme.results_table([*four_runs(tables), *others], "README.md").splitlines()
    assert lines[0] == "| domain | base | sft | dpo | rlvr | RLVR over DPO | RLVR over the best prompt before |"
    # (0.70 + 0.74 + 0.60 + 0.64) / 4 = 0.67; SFT has 50 under the plain prompt
    last = "67.0 (60.0 … 74.0) | +27.0 (+20.0 … +34.0) | +17.0 (+10.0 … +24.0)"
    assert lines[2] == f"| sums | 10.0 (10.0 … 10.0) | 35.0 (35.0 … 35.0) | 40.0 (40.0 … 40.0) | {last} |"
    assert lines[7] == "| story perplexity | 4.000 | 4.000 | 4.000 | 4.080 | | |"
    legend = lines[9]
    assert legend.startswith("pass@1 in percent: mean of 4 runs with 360 steps of RLVR (lowest … highest run).")
    # The least rise in sums is 20: (20 + 30 + 30 + 16) / 4 = 24; of the one with all working (30 + 30 + 30 + 16) / 4.
    assert lines[11].startswith("- **DOES NOT HOLD**: pass@1 over the RL domains rises by 25 points or more")
    assert lines[11].endswith("(lowest +24.0; +26.5 where all demonstrations show their working)")
    chinese = readme.results_table([*four_runs(tables), *others], "README.zh-CN.md").splitlines()
    assert [line.count("|") for line in chinese] == [line.count("|") for line in lines]
    assert chinese[11].startswith("- **不成立**:")
    assert chinese[11].endswith("(最低 +24.0;示范全部写出过程时为 +26.5)")
    # The legend between two empty lines, and the nine claims.
    assert len(lines) == 2 + 5 + 1 + 3 + 9
    assert [line.startswith("- **holds**: ") for line in lines[-9:]] == [False] + [True] * 8


def test_the_page_says_first_what_holds_and_then_the_figures_of_every_run(tables: Any) -> None:
    page = tables.lab_page(
        [*four_runs(tables), control(tables), run(tables, "working-seed1")],
        [stage("base", {}), stage("pretrain", {}, cpu_seconds=1234.0)],
    )
    assert "4 runs of recipes/laptop.toml on 2 bases, 1 controls" in page
    assert "(1234 CPU-seconds of pretraining)" in page
    # The runs of the second base rise by (0.20 + 0.30 + 0.30 + 0.16) / 4 = 24 and by 25 points.
    assert "sums 256, rows 256, lines 256, spell 256, facts-seen 256;" in page
    assert page.count("- **holds**: ") == 8
    assert page.count("- **DOES NOT HOLD**: pass@1 over the RL domains rises") == 1
    assert "| shuffled-seed1 | +0.0 [-8.0, +8.0] |" in page
    # Seeds: 2 points to both sides of each base's mean, sqrt(2² + 2²) = 2.8; bases: 32 and 22, sqrt(5² + 5²) = 7.1;
    # evaluation: 8 points wide, 8 / 3.92 = 2.0.
    assert "| sums | 2.8 | 7.1 | 2.0 |" in page
    assert "| base1-seed2 | sums | 10.0 / 20.0 | 45.0 / 45.0 | 44.0 / 44.0 | 70.0 / 70.0 |" in page
    assert "| base2-seed1 | rows | sft, `Q: {problem}\\nA:`, temperature 0.3 | 50.0 | +10.0 [+2.0, +18.0] |" in page
    assert "| rlvr, mean of 4 runs | 67.0 | 57.0 |" in page
    assert (
        "| base1-seed1 | arithmetic, rung 9 and above | 66 | sft, `Q: {problem}\\nA:`, temperature 0.3 | 50.0 |" in page
    )
    assert "| sums | +25.0 (+25.0 … +25.0) | +5.0 (+5.0 … +5.0) | +27.0 (+20.0 … +34.0) |" in page
    # The best of base and SFT is 45, of DPO too: 70 - 45; in the base the plain prompt has 20: 45 - 20.
    assert "| sums | +25.0 (+25.0 … +25.0) | -1.0 (-1.0 … -1.0) | +25.0 (+25.0 … +25.0) |" in page
    # On rung 1 three of four samples show their working, two of them right, and the fourth is wrong.
    for line in ("tokens of right completions | 15 | –", "working shown | 75.0 | 0.0", "right with working | 66.7 | –"):
        assert f"| {line} |" in page
    assert "| right without | 0.0 | 0.0 |" in page
    assert "| seconds elapsed | 110 | 110 | 110 |\n| CPU-seconds | 100 | 100 | 900 |" in page
    assert "one degree of freedom" in page
    assert "| tokens of their working | 6 | – |" in page
    assert "| working-seed1 | sums | 35.0 | 40.0 | 70.0 | 70.0 |" in page
    assert "| shuffled-seed1 | +0.0 [-4.0, +4.0] | 4.000 → 4.080 | not measured |" in page
    assert "| base1-seed1 | 2026-11-23 | abc | – | a processor |" in page
    assert "| base1-seed1 | 90.0 → 90.0 → 90.0 → 91.0 | 4.000 → 4.000 → 4.000 → 4.080 |" in page
