"""The two paragraphs and the parts of the page: what is said holds for the numbers it is said of."""

from collections.abc import Mapping

import pytest

from rlvr.runs.page.charts import moving_mean
from rlvr.runs.page.facts import Facts, Stage
from rlvr.runs.page.figures import Chart, Series, draw
from rlvr.runs.page.numbers import amount, asked, duration, listed, percent, signed
from rlvr.runs.page.transcripts import harmless
from rlvr.runs.page.words import first_line, gained, not_gained
from rlvr.runs.report import Beyond, DomainReport, Readout, StageReport
from rlvr.statistics.intervals import Interval


def domain(
    pass_at_1: float, *, gain: tuple[float, float] | None = None, greedy: float = 0.5, trained: bool = True
) -> DomainReport:
    """`gain` is the interval; its estimate lies in the middle. Greedy is 50% unless said, so nothing is won back."""
    return DomainReport(
        trained=trained,
        num_tasks=64,
        pass_at_k={1: Interval(pass_at_1, 0.0, 1.0)},
        rungs={},
        readouts=(Readout("chat", 0.0, Interval(greedy, 0.0, 1.0)),),
        gain=None if gain is None else Interval(sum(gain) / 2, *gain),
        only_before=0.0,
        only_after=0.0,
        tokens=40.0,
    )


def facts(
    *stages: tuple[str, Mapping[str, DomainReport]],
    beyond: Mapping[str, Beyond] = {},
    perplexities: tuple[float, ...] = (),
    planned: tuple[str, ...] = (),
) -> Facts:
    found = []
    for number, (kind, domains) in enumerate(stages):
        report = StageReport(
            name=kind,
            kind=kind,
            checkpoint="c",
            cpu_seconds=1.0,
            seconds=1.0,
            domains=domains,
            kl=None,
            perplexity=perplexities[number] if perplexities else None,
            no_signal_rate=None,
            beyond=beyond if kind == "rlvr" else {},
            conditions=(),
        )
        found.append(Stage(kind, kind, None, report, {}))
    return Facts("demo", (*found, *(Stage(kind, kind, None, None, {}) for kind in planned)), {}, {})


def over(low: float, high: float) -> Beyond:
    return Beyond("base", "Q: {problem}", 0.3, Interval(0.4, 0.3, 0.5), Interval((low + high) / 2, low, high))


def test_a_clear_rise_is_told_with_both_ends_and_its_interval() -> None:
    run = facts(("dpo", {"sums": domain(0.10)}), ("rlvr", {"sums": domain(0.43, gain=(0.28, 0.38))}))
    said = gained(run)
    assert "rose in the one domain that training worked on" in said
    assert "by more than luck explains: sums from 10.0% to 43.0%." in said
    assert "reinforcement learning (learning from its own answers" in said
    assert "new ability" not in said
    assert "no clear change" not in not_gained(run)
    assert "became worse" not in not_gained(run)


def test_a_change_within_luck_is_no_gain() -> None:
    run = facts(("sft", {"sums": domain(0.10)}), ("rlvr", {"sums": domain(0.12, gain=(-0.03, 0.07))}))
    assert "In no domain that training worked on did the chance that one answer is right rise" in gained(run)
    assert "no clear change in sums (+2.0 points)" in not_gained(run)


def test_a_loss_is_told_as_one() -> None:
    run = facts(("sft", {"sums": domain(0.40)}), ("rlvr", {"sums": domain(0.20, gain=(-0.3, -0.1))}))
    assert "In no domain" in gained(run)
    assert "became worse, by more than luck explains, in sums from 40.0% to 20.0%." in not_gained(run)


def test_beyond_elicitation_and_elicitation_are_kept_apart() -> None:
    rlvr = {"sums": domain(0.4, gain=(0.2, 0.4), greedy=0.6), "lists": domain(0.4, gain=(0.1, 0.3), greedy=0.45)}
    base = {"sums": domain(0.1), "lists": domain(0.2)}
    run = facts(("base", base), ("rlvr", rlvr), beyond={"sums": over(0.1, 0.3), "lists": over(-0.05, 0.15)})
    said = gained(run)
    # One random answer, and greedy.
    assert "the best that any earlier version did under any way of asking that was tried (2 for each version)" in said
    assert "Beyond that is its likeliest answer in sums (by 20.0 points)." in said
    assert "lists (by" not in said
    assert "pass@16" not in said  # It was not measured.
    rest = not_gained(run)
    assert (
        "Elicitation only, not shown to lie above every earlier version, is what it does in lists "
        "(its likeliest answer is right in 45.0% of the tasks; base, asked" in rest
    )
    assert "What rose in lists is how reliably" in rest
    assert "sums (" not in rest


def test_a_gain_above_luck_and_under_10_points_is_no_elicitation_only() -> None:
    rlvr = {"sums": domain(0.4, gain=(0.2, 0.4), greedy=0.47)}
    run = facts(("base", {"sums": domain(0.1)}), ("rlvr", rlvr), beyond={"sums": over(0.03, 0.11)})
    assert "Above, by less than 10 points, it is in sums (by 7.0 points)." in gained(run)
    assert "Beyond that" not in gained(run)
    assert "new ability" not in gained(run)
    assert "Elicitation only" not in not_gained(run)
    assert first_line(run).endswith(
        "(beyond in none of 1 domain, 1 asked for): above, by less than 10 points: sums +7.0 "
        "(points of greedy accuracy over the strongest readout of any stage before)"
    )


def test_nothing_beyond_is_said_in_both_paragraphs() -> None:
    run = facts(
        ("base", {"sums": domain(0.1)}),
        ("rlvr", {"sums": domain(0.4, gain=(0.2, 0.4))}),
        beyond={"sums": over(-0.1, 0)},
    )
    assert "None of this is shown to be a new ability" in gained(run)
    assert "Elicitation only, not shown to lie above every earlier version, is what it does in sums" in not_gained(run)
    assert first_line(run).startswith("Elicitation only: sums -5.0")


@pytest.mark.parametrize(("greedy", "said"), [(0.25, True), (0.47, True), (0.49, False)])
def test_what_only_wins_back_a_loss_is_said_above_two_points(greedy: float, said: bool) -> None:
    run = facts(
        ("base", {"sums": domain(0.1, greedy=0.5)}),
        ("sft", {"sums": domain(0.1, gain=(-0.1, 0.1), greedy=greedy)}),
        ("rlvr", {"sums": domain(0.4, gain=(0.2, 0.4))}),
    )
    assert ("Part of the gain may only win back" in not_gained(run)) == said
    assert (f"sums ({percent(greedy)} for sft, 50.0% for base)" in not_gained(run)) == said


def test_domains_left_alone_and_perplexity_are_told_as_they_moved() -> None:
    run = facts(
        ("sft", {name: domain(0.3, trained=False) for name in ("facts", "capitals")}),
        ("rlvr", {
            "facts": domain(0.29, gain=(-0.06, 0.04), trained=False),
            "capitals": domain(0.2, gain=(-0.15, -0.05), trained=False),
        }),
        perplexities=(2.0, 2.05),
    )  # fmt: skip
    rest = not_gained(run)
    assert "facts (−1.0) did not move by more than luck, and capitals (−10.0) did move" in rest
    # 2.05 / 2 - 1; the stage before is the base itself, so one reference is named.
    assert "surprises the model 2.5% more from sft to rlvr (perplexity 2.000, then 2.050)." in rest
    assert "It was not measured, before and after, in any domain that training worked on." in gained(run)


def test_perplexity_names_both_references() -> None:
    run = facts(*((name, {"sums": domain(0.1)}) for name in ("base", "dpo", "rlvr")), perplexities=(2.0, 2.1, 2.058))
    # 2.058 / 2.1 - 1 and 2.058 / 2 - 1.
    assert (
        "Ordinary text surprises the model 2.0% less from dpo to rlvr (perplexity 2.100, then 2.058), "
        "and 2.9% more from base to rlvr (perplexity 2.000, then 2.058)." in not_gained(run)
    )


def test_kinds_of_training_are_explained_once() -> None:
    run = facts(*((name, {"sums": domain(0.1)}) for name in ("base", "dpo", "dpo", "rlvr")))
    assert gained(run).count("preference tuning (") == 1


def test_domains_measured_on_training_tasks_are_no_evidence() -> None:
    run = facts(("sft", {"sums-seen": domain(0.1)}), ("rlvr", {"sums-seen": domain(0.9, gain=(0.7, 0.9))}))
    assert "sums" not in gained(run) + not_gained(run)


def test_what_an_earlier_model_has_read_is_told_as_kept_where_this_run_did_not_train_on_it() -> None:
    seen = (domain(0.3, trained=False), domain(0.2, gain=(-0.15, -0.05), trained=False))
    run = facts(("sft", {"facts-seen": seen[0]}), ("rlvr", {"facts-seen": seen[1]}))
    said = "Of the domains that no stage of this run trained on, facts-seen (−10.0) did move (points of pass@1)."
    assert said in not_gained(run)


def test_the_page_is_about_the_last_rlvr_stage_and_the_one_before_it() -> None:
    names = ("base", "sft", "rlvr", "rlvr", "dpo")
    run = facts(*((name, {"sums": domain(0.1)}) for name in names))
    assert run.pair is not None
    assert run.pair[0] is run.stages[2]
    assert run.pair[1] is run.stages[3]
    assert facts(("base", {}), ("sft", {}), ("evaluate", {})).pair == facts(("base", {}), ("sft", {})).pair


def test_runs_without_rlvr_say_so_first() -> None:
    base, sft = ("base", {"sums": domain(0.1)}), ("sft", {"sums": domain(0.4, gain=(0.2, 0.4))})
    assert first_line(facts(base, sft)) == "No RLVR stage in this run; sft changed pass@1 by: sums +30.0 points"
    assert first_line(facts(base, sft, planned=("rlvr",))).startswith("RLVR has not been measured yet; sft changed")
    assert first_line(facts(base)) == "Only the base model was measured so far"
    assert gained(facts(base, ("evaluate", base[1]))).startswith("This run trained nothing so far.")


def test_numbers_read_as_people_write_them() -> None:
    assert [percent(rate) for rate in (None, 0.0, 0.1025, 1.0)] == ["–", "0%", "10.2%", "100%"]
    assert [signed(gain) for gain in (0.328, -0.05, -0.0001, 0.0)] == ["+32.8", "−5.0", "0", "0"]
    assert [duration(seconds) for seconds in (0.4, 59.6, 151.0, 3900.0)] == [
        "0 s",
        "1 min 0 s",
        "2 min 31 s",
        "1 h 5 min",
    ]
    assert [amount(count) for count in (None, 950.0, 12_300.0, 2_570_000.0)] == ["–", "950", "12,300", "2.6 million"]
    assert [listed(parts) for parts in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert asked("chat", 0.0) == "greedy, as a chat"
    assert asked("Q: {problem}\nA:", 0.3) == "temperature 0.3, as “Q: {problem}↵A:”"


def test_a_moving_mean_takes_fewer_values_at_both_ends() -> None:
    # Windows of 3 around each: (3+6)/2, (3+6+0)/3, (6+0+9)/3, (0+9)/2.
    assert moving_mean([3, 6, 0, 9], 3) == pytest.approx([4.5, 3.0, 5.0, 4.5])
    assert moving_mean([7.0], 3) == [7.0]


def test_text_is_cut_and_what_steers_a_display_is_made_visible() -> None:
    assert harmless("ab\tc\n你好") == "ab\tc\n你好"
    assert harmless("a\u202eb\x00\u200bc\ud800") == "a⟨U+202E⟩b⟨U+0000⟩⟨U+200B⟩c⟨U+D800⟩"
    assert harmless("x" * 7, limit=5) == "xxxxx … (2 more characters)"


def test_a_chart_takes_names_as_they_are() -> None:
    name = 'a$b_{x}^2$ & <script> "q"'
    chart = Chart(name, name, name, "number", (Series(name, 0, (1.0,), (0.5,)),))
    svg = str(draw(chart, key="k"))
    assert "<script" not in svg
    assert "a$b_{x}^2$ &amp; &lt;script" in svg
    assert svg == str(draw(chart, key="k"))
