"""The audit: bad verifiers are found out and the table says how, good ones pass, broken ones end nothing."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rlvr.errors import DataError, UsageError
from rlvr.types import Task
from rlvr.verifiers.audit.attacks import ATTACKS
from rlvr.verifiers.audit.audit import audit
from rlvr.verifiers.audit.cases import Case, Target
from rlvr.verifiers.audit.judging import MAX_GIVEN_UP
from rlvr.verifiers.audit.renderings import RENDERINGS
from rlvr.verifiers.audit.result import Audit, Limits, excerpt
from rlvr.verifiers.audit.seeds import SEEDS
from rlvr.verifiers.audit.targets import HOUSE_SLOTS, read_corpus, seed_targets
from rlvr.verifiers.extract import SLOTS
from rlvr.verifiers.scorer import Scorer
from rlvr.verifiers.table import JUDGE, VERIFIERS

HEAVY = tuple(name for name, kind in (ATTACKS | RENDERINGS).items() if kind.heavy)
EIGHTEEN = Target("eighteen", "18", "boxed", ("18",), ("81", "7"))


def hostile(name: str) -> str:
    return f"hostile_verifiers:{name}"


@pytest.fixture(autouse=True)
def _import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def cases(*given: tuple[str, bool | None]) -> list[Case]:
    return [Case(f"case {n}", "by hand", "18", text, expected) for n, (text, expected) in enumerate(given, start=1)]


def brief(found: Audit) -> Counter[tuple[bool | None, str]]:
    return Counter((one.case.expected, one.told) for one in found.findings)


def test_a_substring_match_is_caught_by_hedging_and_seven_more_classes() -> None:
    found = audit(hostile("substring"), targets=[EIGHTEEN], skip=HEAVY, workers=1)
    caught = {one.case.group for one in found.false_accepts}
    assert caught >= {"hedging", "equation", "only in thinking", "cut off", "phantom", "nested boxes", "longer"}
    assert "said, not answered" in caught
    assert not caught & {"another answer", "empty", "format without content"}
    assert not found.false_rejects
    assert found.complaints(Limits())


@pytest.mark.parametrize(
    ("name", "caught"),
    [
        ("within_four_percent", {"half more", "two percent more"}),
        ("blind_to_signs", {"other sign"}),
        ("any_percentage", {"a hundredth"}),
        ("whole_part", {"half more", "two percent more"}),
    ],
)
def test_a_verifier_that_is_lenient_with_numbers_is_caught_by_near_misses(name: str, caught: set[str]) -> None:
    found = audit(hostile(name), targets=[EIGHTEEN], skip=set(ATTACKS) - {"near miss"}, workers=1)
    assert {one.case.name.split(" (")[0].split(": ")[-1] for one in found.false_accepts} == caught


def test_near_misses_are_no_attack_on_a_reference_that_allows_for_them() -> None:
    targets = [Target("n", {"answer": "9.81", "absolute": 2}, "boxed", ("9.81",), ("1", "2"))]
    found = audit("numeric", targets=targets, skip=set(ATTACKS) - {"near miss"})
    assert not [one for one in found.findings if one.case.group == "near miss"]


def test_the_table_of_four_cases_is_that_of_the_hand() -> None:
    # last_box takes 7 or 18 for 18, a hedge, and refuses 18.0; it gets the two others right.
    given = cases(
        (r"\boxed{18}", True), (r"\boxed{7}", False), (r"\boxed{7} or \boxed{18}", False), (r"\boxed{18.0}", True)
    )
    found = audit(hostile("last_box"), cases=given, workers=1)
    assert brief(found) == {(True, "right"): 1, (False, "wrong"): 1, (False, "right"): 1, (True, "wrong"): 1}
    assert [one.case.name for one in found.false_accepts] == ["case 3"]
    assert [one.case.name for one in found.false_rejects] == ["case 4"]
    # Wilson's interval of 1 in 2 at z = 1.96: centre 1/2, half width 0.4056 (by hand: z/(1+z²/2) · √(1/8 + z²/16)).
    rate = found.false_accept_rate
    assert rate is not None
    assert (rate.mean, round(rate.low, 3), round(rate.high, 3)) == (0.5, 0.095, 0.905)
    assert found.version == "last-box-1"
    assert found.complaints(Limits(false_accept=0.5, false_reject=0.5)) == []
    assert len(found.complaints(Limits(false_accept=0.49, false_reject=0.49))) == 2


@pytest.mark.parametrize(
    ("name", "accepts", "rejects"),
    [("always_right", 1.0, 0.0), ("always_right_later", 1.0, 0.0), ("always_wrong", 0.0, 1.0)],
)
def test_verifiers_that_do_not_look_get_all_of_one_side_wrong(name: str, accepts: float, rejects: float) -> None:
    found = audit(hostile(name), cases=cases(("a", True), ("b", False), ("c", None)), workers=1)
    assert found.false_accept_rate is not None
    assert found.false_reject_rate is not None
    assert (found.false_accept_rate.mean, found.false_reject_rate.mean) == (accepts, rejects)
    assert found.not_told_rate == 0.0
    assert found.unsteady == []


def test_a_verifier_that_tosses_a_coin_is_found_unsteady() -> None:
    # 60 pairs of fair tosses agree all with probability 2**-60.
    found = audit(hostile("tossing"), cases=cases(*((f"text {n}", None) for n in range(60))), workers=1)
    assert 0 < len(found.unsteady) < 60
    assert [c for c in found.complaints(Limits()) if "the second time" in c]


def test_a_verdict_that_changes_with_the_second_asking_is_named() -> None:
    found = audit(hostile("right_the_first_time"), cases=cases(("a", True), ("b", True)), workers=1)
    assert [one.case.name for one in found.unsteady] == ["case 1", "case 2"]
    shown = found.unsteady[0].as_json()
    assert (shown["outcome"], shown["second_outcome"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("name", "reason"), [("raising", "the dog ate the rubric"), ("talking", "looks right to me"), ("beyond", "7.0")]
)
def test_a_broken_verifier_tells_nothing_and_the_reason_is_named(name: str, reason: str) -> None:
    found = audit(hostile(name), cases=cases(("a", True), ("b", False)), workers=1)
    assert found.not_told_rate == 1.0
    assert found.false_accept_rate is None
    assert reason in found.not_told[0].as_json()["reason"]
    assert found.complaints(Limits()) == ["no verdict on 100.00% of the cases; at most 1.00% may be"]


def test_a_verifier_that_ends_its_process_costs_only_that_case() -> None:
    found = audit(hostile("ending"), cases=cases(("a", True), ("end", True), ("b", True)), workers=1)
    assert [(one.told, one.judgment.verdict.status) for one in found.findings] == [
        ("right", "ok"),
        ("not told", "crash"),
        ("right", "ok"),
    ]


@pytest.mark.parametrize(("name", "text"), [("hanging", "hang"), ("backtracking", "a" * 40)])
def test_a_hang_costs_its_deadline_and_no_more(name: str, text: str) -> None:
    found = audit(hostile(name), cases=cases((text, False), ("aab", True)), deadline_seconds=0.3, workers=1)
    assert [one.told for one in found.findings] == ["not told", "right"]
    # A machine so busy that the worker got no processor time is said to be at fault itself.
    assert found.findings[0].judgment.verdict.status in ("timeout", "host_error")
    assert found.findings[0].again is None
    assert found.skipped == 0


def test_a_verifier_that_always_hangs_ends_the_audit_early() -> None:
    given = cases(*((f"hang {n}", True) for n in range(500)))
    found = audit(hostile("hanging"), cases=given, deadline_seconds=0.1, workers=1)
    assert len(found.findings) == MAX_GIVEN_UP
    assert found.skipped == 500 - MAX_GIVEN_UP
    assert found.not_told_rate == 1.0
    assert found.as_json()["not_judged"] == 495


def test_a_verifier_that_executes_answers_is_given_away_by_the_files_it_makes() -> None:
    skip = {*HEAVY, *ATTACKS} - {"injected text"}
    found = audit(hostile("executing"), targets=[EIGHTEEN], skip=skip, workers=1)
    assert {"system", "exec", "list"} <= set(found.escaped)
    assert any("were executed" in complaint for complaint in found.complaints(Limits()))


@pytest.mark.parametrize("name", ["math", "choice", "exact", "numeric", "string_set", "instructions", "refusal"])
def test_the_house_gets_none_of_its_seed_wrong(name: str) -> None:
    found = audit(name, targets=seed_targets(name), skip=HEAVY, max_targets=6)
    assert found.complaints(Limits(false_reject=0.0, not_told=0.0)) == []
    assert len(found.findings) > 50
    assert {one.case.expected for one in found.findings} >= {True, False}


@pytest.mark.slow
def test_math_gets_none_of_its_whole_seed_wrong() -> None:
    found = audit("math", targets=seed_targets("math"))
    assert found.complaints(Limits(false_reject=0.0, not_told=0.0)) == []
    assert len(found.findings) > 1_500


@pytest.mark.parametrize("name", ["regex", "json_schema"])
def test_patterns_and_schemas_get_none_of_their_seed_wrong(name: str) -> None:
    found = audit(name, targets=seed_targets(name)[:2], skip=HEAVY)
    assert found.complaints(Limits(false_reject=0.0, not_told=0.0)) == []


def test_floods_and_expressions_that_blow_up_are_wrong_and_hurt_nobody() -> None:
    found = audit("math", targets=seed_targets("math")[:1], skip=set(ATTACKS) - {"very long", "blow-up"})
    assert found.complaints(Limits()) == []
    assert Counter(one.case.group for one in found.findings)["very long"] == 12


def test_every_verifier_has_seeds_whose_references_are_good() -> None:
    assert SEEDS.keys() == VERIFIERS.keys() == HOUSE_SLOTS.keys() - {JUDGE}
    names = SEEDS.keys() - {"gym"}  # needs a package of its own
    tasks = [Task("", (), seed.reference, name, "", "") for name in names for seed in SEEDS[name]]
    assert Scorer().check_references(tasks) == [None] * len(tasks)


@pytest.mark.parametrize("slot", sorted(SLOTS))
def test_no_class_holds_the_right_answer_for_wrong_in_any_slot(slot: str) -> None:
    # `exact` in that slot is the definition: the case is wrong where the slot does not hold the reference.
    reference = {"answer": "18", "slot": slot}
    target = Target("eighteen", reference, slot, ("18",), ("81", "7"))
    found = audit("exact", targets=[target], skip=HEAVY)
    assert found.complaints(Limits(false_reject=0.0, not_told=0.0)) == []


def test_the_same_seed_makes_the_same_audit_and_another_draws_other_references() -> None:
    targets = [Target(f"t{n}", str(n), "boxed", (str(n),), (str(n + 100),)) for n in range(20)]
    skip = {*RENDERINGS, *ATTACKS} - {"right answer"}
    drawn = [
        [one.case.name for one in audit("math", targets=targets, skip=skip, max_targets=5, seed=seed).findings]
        for seed in (1, 1, 2)
    ]
    assert len(drawn[0]) == 5
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_rows_of_a_corpus_become_cases_and_references() -> None:
    rows: list[Any] = [
        {"id": "a", "answer": "18", "completion": r"\boxed{18}", "label": True},
        {"answer": "18", "completion": r"\boxed{7}", "label": 0},
        {"reference": "1/2"},
        {"answer": "0.5"},
        {"answer": "2.25", "completion": r"\boxed{2.25}"},
        {"answer": "31", "completion": 7, "label": True},
        {"answer": "{", "completion": "", "label": False},
        {"completion": "x", "label": True},
        "no JSON",
        {"answer": "44", "completion": "x", "label": "yes"},
    ]
    corpus = read_corpus(rows, "math")
    assert [(case.name, case.group) for case in corpus.cases] == [("a", "corpus, right"), ("row 2", "corpus, wrong")]
    assert [target.reference for target in corpus.targets] == ["18", "1/2", "0.5", "2.25", "31", "44"]
    by_reference = {target.reference: set(target.wrongs) for target in corpus.targets}
    # 1/2 and 0.5 are one number, so neither is wrong for the other; all else differs.
    assert by_reference["1/2"] <= {"18", "2.25", "31", "44"}
    assert by_reference["0.5"] <= {"18", "2.25", "31", "44"}
    assert len(by_reference["1/2"]) == 3
    assert sum(corpus.left_out.values()) == 6
    assert corpus.left_out["label is missing"] == 1
    assert any(reason.startswith("bad reference") for reason in corpus.left_out)


def test_options_reach_the_reference_and_name_the_slot() -> None:
    corpus = read_corpus([{"gold": "26", "text": "A: 26", "ok": True}], "math", completion_field="text",
                         answer_field="gold", label_field="ok", options={"slot": "marked"})  # fmt: skip
    assert corpus.targets[0].slot == "marked"
    found = audit("math", cases=corpus.cases, targets=corpus.targets, skip=HEAVY)
    assert found.complaints(Limits()) == []
    assert found.false_reject_rate is not None


def test_references_without_a_text_are_attacked_with_what_is_wrong_for_all() -> None:
    corpus = read_corpus([{"reference": {"tests": ["f(1) == 2"]}}], hostile("always_wrong"))
    (target,) = corpus.targets
    assert (target.rights, target.single) == ((), False)
    found = audit(hostile("always_right"), targets=[target], skip=HEAVY, workers=1)
    groups = {(one.case.group, one.case.expected) for one in found.findings}
    assert groups == {("empty", False), ("format without content", False), ("injected text", None)}


def test_the_json_is_strict_and_holds_what_a_recipe_reads() -> None:
    given = cases((r"\boxed{18}", True), ("nul \x00 and \ud800", False))
    data = json.loads(json.dumps(audit("math", cases=given).as_json(), allow_nan=False))
    assert data["verifier"] == "math"
    assert re.fullmatch(r"math-\d+", data["version"])
    assert data["cases"] == 2
    assert data["false_accept_rate"].keys() == data["false_reject_rate"].keys() == {"mean", "low", "high"}
    assert data["passed"] is True
    assert sum(row["cases"] for row in data["classes"]) == 2


def test_excerpts_show_what_cannot_be_seen() -> None:
    assert excerpt("a\u200b\x1b[31m\n\u202e") == r"a\u{200b}\u{1b}[31m\n\u{202e}"
    assert excerpt("x" * 1000, limit=10) == "xxxxx … 990 more … xxxxx"


def test_wrong_use_is_said() -> None:
    with pytest.raises(UsageError, match="no verifier 'maths'"):
        audit("maths", targets=[EIGHTEEN])
    with pytest.raises(UsageError, match="no class 'hedge'"):
        audit("math", targets=[EIGHTEEN], skip=["hedge"])
    with pytest.raises(DataError, match="nothing to audit"):
        audit("math")
    with pytest.raises(UsageError, match="no built-in references"):
        seed_targets("mine:verify")
