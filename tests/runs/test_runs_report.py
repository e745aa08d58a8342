import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from rlvr.errors import RunError
from rlvr.runs.folder import Run
from rlvr.runs.report import (
    Beyond,
    Condition,
    Contamination,
    DomainReport,
    Lengths,
    Readout,
    StageReport,
    Working,
    read_report,
    write_report,
)
from rlvr.runs.summary import condition_table, gain_lines, headline, label, readout_lines, report_table
from rlvr.statistics.intervals import Interval

RATE = Interval(0.8125, 0.7701, 0.8494)
FULL = Interval(1.0, 0.9286, 1.0)
LOW = Interval(0.25, 0.2, 0.3)
PLAIN = "Q: {problem}\nA:"


def domain(**changes) -> DomainReport:
    values = {
        "trained": True,
        "num_tasks": 64,
        "pass_at_k": {1: RATE, 16: FULL},
        "rungs": {},
        "readouts": (Readout("chat", 0.0, FULL),),
        "gain": None,
        "only_before": 0.0,
        "only_after": 0.0,
        "tokens": 123.4,
    }
    return DomainReport(**{**values, **changes})


def stage(**changes) -> StageReport:
    values = {
        "name": "3-rlvr",
        "kind": "rlvr",
        "checkpoint": "checkpoints/step-000100",
        "cpu_seconds": 12345.6,
        "seconds": 6000.0,
        "domains": {"arithmetic": domain()},
        "kl": 0.0213,
        "perplexity": 5.5,
        "no_signal_rate": 0.4,
        "beyond": {},
        "conditions": (),
    }
    return StageReport(**{**values, **changes})


def beyond(mean: float, low: float, high: float, **changes) -> Beyond:
    values = {"stage": "dpo", "prompt": "chat", "temperature": 0.3, "accuracy": LOW, "gain": Interval(mean, low, high)}
    return Beyond(**{**values, **changes})


def stages() -> list[StageReport]:
    base = stage(
        name="base", kind="base", checkpoint="models/base", cpu_seconds=0.0, seconds=0.0, kl=None, no_signal_rate=None
    )
    held_out = domain(trained=False, pass_at_k={1: RATE}, readouts=(Readout("chat", 0.0, LOW),), tokens=45.6)
    return [base, stage(domains={"arithmetic": domain(), "reasoning-gym/simple_equations": held_out})]


def whole() -> list[StageReport]:
    """A report in which every field holds something."""
    rich = domain(
        pass_at_k={1: LOW, 2: RATE, 4: RATE, 8: RATE, 16: FULL},
        rungs={1: FULL, 3: LOW},
        readouts=(Readout("chat", 0.0, RATE), Readout(PLAIN, 0.3, LOW)),
        gain=Interval(0.1, -0.05, 0.25),
        only_before=0.125,
        only_after=0.25,
    )
    worth = Working(20, 0.375, 0.125, Interval(0.25, 0.1, 0.4))
    condition = Condition(
        *("arithmetic", 32, 16, 8, LOW, RATE, LOW, 0.5, worth, ("it is cold",), (1, 2, 3, 4, 5, 6)),
        lengths=Lengths(LOW, 20.5, 61.0),
        contamination=Contamination(2000, 0.01, 0.125),
    )
    learned = stage(
        domains={"arithmetic": rich}, beyond={"arithmetic": beyond(0.1, 0.02, 0.18)}, conditions=(condition,)
    )
    return [stages()[0], learned]


def shown(found: list[StageReport], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(report_table(found, width=width))
    return console.file.getvalue()


WRITTEN = {"mean": 0.8125, "low": 0.7701, "high": 0.8494}
WRITTEN_FULL = {"mean": 1.0, "low": 0.9286, "high": 1.0}
WRITTEN_LOW = {"mean": 0.25, "low": 0.2, "high": 0.3}
"""RATE, FULL and LOW as they stand in the file."""


def written(tmp_path) -> dict:
    run = Run.create(tmp_path / "demo", config={}, provenance={})
    return json.loads(write_report(run, whole()).read_text())


def test_the_report_has_the_published_shape_with_the_base_first(tmp_path):
    data = written(tmp_path)
    assert list(data) == ["stages"]
    assert [stage["name"] for stage in data["stages"]] == ["base", "3-rlvr"]
    flat = {key: value for key, value in data["stages"][1].items() if not isinstance(value, dict | list)}
    assert flat == {
        "name": "3-rlvr",
        "kind": "rlvr",
        "checkpoint": "checkpoints/step-000100",
        "cpu_seconds": 12345.6,
        "seconds": 6000.0,
        "gpu_seconds": 0.0,
        "kl": 0.0213,
        "perplexity": 5.5,
        "no_signal_rate": 0.4,
        "gate": None,
    }
    assert set(data["stages"][1]) - set(flat) == {"domains", "beyond", "conditions", "continues", "returned"}


def test_a_domain_has_the_published_shape(tmp_path):
    assert written(tmp_path)["stages"][1]["domains"] == {
        "arithmetic": {
            "trained": True,
            "num_tasks": 64,
            "pass_at_k": {"1": WRITTEN_LOW, "2": WRITTEN, "4": WRITTEN, "8": WRITTEN, "16": WRITTEN_FULL},
            "rungs": {"1": WRITTEN_FULL, "3": WRITTEN_LOW},
            "readouts": [
                {"prompt": "chat", "temperature": 0.0, "accuracy": WRITTEN},
                {"prompt": PLAIN, "temperature": 0.3, "accuracy": WRITTEN_LOW},
            ],
            "gain": {"mean": 0.1, "low": -0.05, "high": 0.25},
            "only_before": 0.125,
            "only_after": 0.25,
            "tokens": 123.4,
        },
    }


def test_what_rlvr_is_held_to_has_the_published_shape(tmp_path):
    learned = written(tmp_path)["stages"][1]
    assert learned["beyond"] == {
        "arithmetic": {
            "stage": "dpo",
            "prompt": "chat",
            "temperature": 0.3,
            "accuracy": WRITTEN_LOW,
            "gain": {"mean": 0.1, "low": 0.02, "high": 0.18},
        }
    }
    assert learned["conditions"] == [
        {
            "domain": "arithmetic",
            "num_tasks": 32,
            "num_samples": 16,
            "group_size": 8,
            "pass_at_1": WRITTEN_LOW,
            "pass_at_k": WRITTEN,
            "mixed_rate": WRITTEN_LOW,
            "working_rate": 0.5,
            "working": {
                "num_tasks": 20,
                "shown": 0.375,
                "hidden": 0.125,
                "gain": {"mean": 0.25, "low": 0.1, "high": 0.4},
            },
            "problems": ["it is cold"],
            "histogram": [1, 2, 3, 4, 5, 6],
            "lengths": {"truncated_rate": WRITTEN_LOW, "mean_tokens": 20.5, "p95_tokens": 61.0},
            "contamination": {"num_tasks": 2000, "copy_rate": 0.01, "shared_rate": 0.125},
        }
    ]


def test_a_report_reads_back_as_it_was(tmp_path):
    run = Run.create(tmp_path / "demo", config={}, provenance={})
    for report in (stages(), whole()):
        write_report(run, report)
        assert read_report(run) == report


def test_a_report_of_another_version_is_one_clear_error(tmp_path):
    run = Run.create(tmp_path / "demo", config={}, provenance={})
    data = json.loads(write_report(run, whole()).read_text())
    del data["stages"][1]["beyond"]
    run.write_json("report.json", data)
    with pytest.raises(RunError, match="written by another version of rlvr: KeyError 'beyond'") as caught:
        read_report(run)
    assert "rlvr resume" in caught.value.hint


def test_the_named_rates_are_those_of_their_readout():
    found = whole()[1].domains["arithmetic"]
    assert (found.pass_at_1, found.pass_at_16, found.greedy) == (LOW, FULL, RATE)
    # 0.25 by one sample, 0.8125 by greedy chat, 0.25 under the plain prompt
    assert found.best == RATE
    assert domain(pass_at_k={1: FULL}, readouts=(Readout("chat", 0.0, LOW),)).best == FULL
    assert domain(pass_at_k={1: RATE}).pass_at_16 is None


def test_the_table_shows_each_number_within_100_columns():
    text = shown(stages(), 100)
    assert max(map(len, text.splitlines())) <= 100
    row = next(line for line in text.splitlines() if line.startswith("3-rlvr"))
    assert row.split() == [
        *("3-rlvr", "arithmetic", "81.2", "[77,85]", "100", "[93,100]", "100", "[93,100]"),
        *("123", "0.021", "40%", "12346"),
    ]
    assert "equations*" in text.replace(" ", "").replace("\n", "")
    assert "best" not in text


@pytest.mark.parametrize("width", [80, 100])
def test_a_column_for_the_best_readout_comes_where_there_are_several_and_still_fits(width):
    several = [replace(found, domains={**whole()[1].domains, **found.domains}) for found in stages()]
    several[1] = replace(several[1], domains={**several[1].domains, "arithmetic": whole()[1].domains["arithmetic"]})
    text = shown(several, width)
    assert max(map(len, text.splitlines())) <= width
    for part in ("best", "25.0", "[20,30]", "81.2", "[77,85]", "[93,100]", "0.021", "40%", "12346"):
        assert part in text


def test_the_table_fits_80_columns_without_losing_a_digit():
    text = shown(stages(), 80)
    assert max(map(len, text.splitlines())) <= 80
    for part in ("81.2", "[77,85]", "[93,100]", "0.021", "40%", "12346"):
        assert part in text


UNIT = "(points of greedy accuracy over the strongest readout of any stage before)"
BOTH = "sums +12.3, chains +10.0; elicitation only: words +4.0"


def test_the_headline_counts_the_domains_that_lie_ten_points_above_the_strongest_readout():
    mixed = {"sums": beyond(0.123, 0.05, 0.2), "words": beyond(0.04, -0.01, 0.09), "chains": beyond(0.1, 0.001, 0.2)}
    assert headline([stages()[0], stage(beyond=mixed)]) == f"Beyond elicitation in 2 of 3 domains: {BOTH} {UNIT}"
    all_of_one = {"sums": beyond(0.123, 0.05, 0.2)}
    assert headline([stage(beyond=all_of_one)]) == f"Beyond elicitation in 1 of 1 domain: sums +12.3 {UNIT}"


def test_short_of_two_domains_the_headline_begins_with_elicitation_only_and_names_each_under_its_label():
    mixed = {"sums": beyond(0.123, 0.05, 0.2), "words": beyond(0.04, -0.01, 0.09), "chains": beyond(0.099, 0.05, 0.2)}
    assert headline([stage(beyond=mixed)]) == (
        "Elicitation only on the whole (beyond in 1 of 3 domains, 2 asked for): beyond: sums +12.3; "
        f"above, by less than 10 points: chains +9.9; elicitation only: words +4.0 {UNIT}"
    )
    del mixed["sums"]
    assert headline([stage(beyond=mixed)]) == (
        "Elicitation only on the whole (beyond in none of 2 domains, 2 asked for): "
        f"above, by less than 10 points: chains +9.9; elicitation only: words +4.0 {UNIT}"
    )


def test_the_headline_says_elicitation_only_and_by_how_much():
    none = {"sums": beyond(0.02, -0.05, 0.09), "words": beyond(-0.03, -0.1, 0.04)}
    assert headline([stage(beyond=none)]) == f"Elicitation only: sums +2.0, words -3.0 {UNIT}"
    lost = {"chains": beyond(-0.2, -0.3, -0.1)}
    assert (
        headline([stage(beyond=none | lost)]) == f"Elicitation only: sums +2.0, words -3.0; below: chains -20.0 {UNIT}"
    )
    assert headline([stage(beyond=lost)]) == f"Elicitation only: below: chains -20.0 {UNIT}"


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ((0.1, 0.001, 0.2), "beyond"),
        ((0.0999, 0.001, 0.2), "above, by less than 10 points"),
        ((0.01, 0.001, 0.02), "above, by less than 10 points"),
        ((0.3, 0.0, 0.6), "elicitation only"),
        ((0.05, -0.01, 0.11), "elicitation only"),
        ((-0.2, -0.3, 0.0), "elicitation only"),
        ((-0.2, -0.3, -0.1), "below"),
    ],
)
def test_a_domain_is_beyond_or_above_or_elicitation_only_or_below(gain, said):
    assert label(Interval(*gain)) == said


def test_a_gain_whose_interval_begins_at_0_is_not_beyond():
    assert headline([stage(beyond={"sums": beyond(0.1, 0.0, 0.2)})]).startswith("Elicitation only")


def test_without_a_measured_rlvr_stage_there_is_no_headline():
    assert headline(stages()) == ""


def test_gain_lines_say_the_rise_over_the_stage_before_and_over_the_strongest_readout():
    plain = beyond(0.1, 0.02, 0.18, prompt=PLAIN, temperature=0.0)
    found = [whole()[0], replace(whole()[1], beyond={"arithmetic": plain})]
    assert gain_lines(found) == [
        "3-rlvr over base, arithmetic: pass@1 +10.0 points [-5.0, +25.0]; 123 → 123 tokens",
        '3-rlvr over the strongest readout (dpo, greedy, prompt "Q: {problem}\\nA:", 25.0%), arithmetic: '
        "greedy +10.0 points [+2.0, +18.0]: beyond; pass@16 100.0% → 100.0%",
        "3-rlvr over base, mean of the trained domains: pass@1 +10.0 points [-5.0, +25.0] in 12346 CPU-seconds: "
        "no gain that can be told from chance",
        "3-rlvr, perplexity of held-out text: +0.0% from base",
    ]
    unmeasured = [replace(found, perplexity=None) for found in stages()]
    assert gain_lines(unmeasured) == []


def test_what_the_mean_gain_cost_stands_after_the_gains():
    base, learned = stages()
    sums = replace(whole()[1].domains["arithmetic"], gain=Interval(0.2, 0.12, 0.28))
    words, seen = replace(sums, gain=Interval(0.1, 0.04, 0.16)), replace(sums, gain=Interval(0.9, 0.8, 1.0))
    trained = {"sums": beyond(0.1, 0.0, 0.2), "words": beyond(0.1, 0.0, 0.2)}
    found = replace(
        learned, domains={"sums": sums, "words": words, "sums-seen": seen}, beyond=trained, cpu_seconds=50.0
    )
    # (20 + 10) / 2, the domain that was trained on to the letter apart; half widths 8 and 6: sqrt(64 + 36) / 2
    (line,) = [line for line in gain_lines([base, found]) if "mean of" in line]
    assert line.endswith("pass@1 +15.0 points [+10.0, +20.0] in 50 CPU-seconds, +30.00 in a hundred")
    on_gpu = gain_lines([base, replace(found, gpu_seconds=30.0)])
    assert any(line.endswith("in 30 GPU-seconds, +50.00 in a hundred") for line in on_gpu)
    assert not any("mean of" in line for line in gain_lines([base, replace(found, beyond={})]))
    assert not any("mean of" in line for line in gain_lines([base, replace(found, kind="dpo")]))


def test_the_headline_of_a_stage_that_goes_on_names_what_it_was_not_held_against():
    found = stage(beyond={"sums": beyond(0.123, 0.05, 0.2)})
    assert headline([replace(found, continues=("rlvr", "rlvr-7"))]).endswith(
        "of any stage before, without rlvr and rlvr-7, which it continues)"
    )


def test_a_line_of_perplexity_names_both_references():
    base, learned = stages()
    dpo, last = replace(base, name="dpo", perplexity=5.0), replace(learned, name="rlvr", perplexity=5.25)
    # 5.25 / 5 and 5.25 / 5.5
    assert gain_lines([base, dpo, last])[-1] == "rlvr, perplexity of held-out text: +5.0% from dpo, -4.5% from base"
    assert not any("perplexity" in line for line in gain_lines([base, replace(dpo, perplexity=None), last]))


def test_each_readout_has_a_line_of_how_it_was_asked():
    assert readout_lines(whole()[1]) == [
        "arithmetic, greedy: 81.2% [77, 85]",
        'arithmetic, temperature 0.3, prompt "Q: {problem}\\nA:": 25.0% [20, 30]',
    ]


def test_what_is_asked_in_plain_text_says_so_and_the_chat_is_then_named():
    plain = domain(readouts=(Readout(PLAIN, 0.0, RATE), Readout("chat", 0.0, LOW)))
    stage = replace(whole()[1], domains={"arithmetic": plain}, beyond={})
    assert readout_lines(stage) == [
        "arithmetic, greedy: 81.2% [77, 85]",
        'arithmetic, greedy, prompt "chat": 25.0% [20, 30]',
    ]
    caption = str(report_table([stage]).caption)
    assert 'asked as "Q: {problem}\\nA:"' in caption
    assert "asked as" not in str(report_table(whole()).caption)


def test_the_conditions_are_a_row_per_domain():
    worth = Working(20, 0.375, 0.125, Interval(0.25, 0.104, 0.4))
    found = [
        Condition(
            *("spell_backward", 32, 16, 8, LOW, RATE, LOW, 0.5, worth, (), (0, 1, 4, 8, 3, 16)),
            lengths=Lengths(LOW, 20.0, 60.0),
        ),
        Condition("words", 16, 16, 8, RATE, RATE, Interval(0.0, 0.0, 0.1), 0.0, None, ("nothing differs",)),
    ]
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(condition_table(found))
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert rows[:2] == [
        ["working,", "right", "with,", "gain,", "mixed"],
        ["before", "RLVR", "cut", "off", "without", "it", "paired", "pass@1", "pass@16", "of", "8", "holds"],
    ]
    assert rows[3:7] == [
        ["spell_backward", "50.0", "37.5", "25.0", "25.0", "81.2", "25.0", "yes"],
        # 16 tasks are a full bar of 8 parts, so 1 is half a part, drawn as one, and 3 are one and a half, drawn as two
        ["·▁▂▄▂█", "25.0", "12.5", "[10,40]", "[20,30]", "[77,85]", "[20,30]"],
        ["words", "0.0", "–", "–", "81.2", "81.2", "0.0", "no"],
        ["–", "[77,85]", "[77,85]", "[0,10]"],
    ]
