"""Suites: figures by hand, published completions scored again, and answers that outlive the process."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from endpoint import endpoint
from judging import longer, says, settings

from rlvr.data.sources import Skipped, load
from rlvr.data.suites import SUITES, LoadedSuite, load_suite, suite_named
from rlvr.engines.base import Answer, Asking, Question
from rlvr.errors import UsageError, VerifierError
from rlvr.stages.suites.measure import (
    Examined,
    Training,
    judge_answers,
    measure_suite,
    result_of,
    with_contamination,
)
from rlvr.stages.suites.scores import Figure, Judged, figures_of
from rlvr.stages.suites.store import AnswerFile
from rlvr.statistics.intervals import rate_interval, share_interval
from rlvr.types import Task, Verdict
from rlvr.verifiers.judge.judge import Judge
from rlvr.verifiers.sandbox.levels import assess
from rlvr.verifiers.scorer import Scorer
from rlvr.verifiers.table import JUDGE, VERIFIERS

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data folder is not here")
GREEDY = Asking(1, 0.0, 64, 0)


def silent(what: str, done: int, total: int) -> None:
    pass


def task(name: str, reference: Any = "1", verifier: str = "math") -> Task:
    return Task(name, ({"role": "user", "content": f"{name}?"},), reference, verifier, "s", "d")


def judged(name: str, *outcomes: float | None, extracted: Sequence[str] = ()) -> Judged:
    words = extracted or ["" if outcome else f"w{n}" for n, outcome in enumerate(outcomes)]
    verdicts = tuple(
        Verdict(outcome, "ok" if word or outcome else "no_answer", word)
        for outcome, word in zip(outcomes, words, strict=True)
    )
    return Judged(task(name), tuple(Answer(0, n, "x", "stop", 5) for n in range(len(outcomes))), verdicts)


def value(figures: Sequence[Figure], name: str) -> Figure:
    return next(figure for figure in figures if figure.name == name)


def ends(figure: Figure) -> tuple[float, float, float]:
    return figure.value.mean, figure.value.low, figure.value.high


def test_pass_at_k_and_the_mean_of_n_are_over_tasks() -> None:
    found = figures_of([judged("a", 1, 0, 0, 0), judged("b", 1, 1, 0, 0), judged("c", 0, 0, 0, 0)], "pass@1", 4)
    assert [figure.name for figure in found] == ["pass@1", "pass@2", "pass@4", "maj@4"]
    expected = rate_interval([0.25, 0.5, 0.0])
    assert ends(found[0]) == pytest.approx((expected.mean, expected.low, expected.high))
    assert (found[0].num_tasks, found[0].note) == (3, "avg@4")
    # pass@2: a 1 - 3/6 = 1/2, b 1 - 1/6 = 5/6, c 0
    assert value(found, "pass@2").value.mean == pytest.approx((1 / 2 + 5 / 6) / 3)
    assert value(found, "pass@4").value.mean == pytest.approx(2 / 3)


def test_the_majority_goes_by_the_answers_that_were_read() -> None:
    # a: right 2, wrong "3" 1, silent 1: the right answer wins. b: right 1, "3" twice, once with a blank: it loses.
    # c: right 1, "3", "4" and silent: one of three with a vote each.
    rows = [
        judged("a", 1, 1, 0, 0, extracted=["1", "1", "3", ""]),
        judged("b", 1, 0, 0, 0, extracted=["1", "3", " 3", ""]),
        judged("c", 1, 0, 0, 0, extracted=["1", "3", "4", ""]),
    ]
    assert value(figures_of(rows, "pass@1", 4), "maj@4").value.mean == pytest.approx((1 + 0 + 1 / 3) / 3)


def test_programs_have_no_majority_and_two_answers_neither() -> None:
    tested = [replace(one, task=replace(one.task, check="tested")) for one in [judged("a", 1, 0, 0, 0)]]
    assert [f.name for f in figures_of(tested, "pass@1", 4)] == ["pass@1", "pass@2", "pass@4"]
    assert [f.name for f in figures_of([judged("a", 1, 0)], "pass@1", 2)] == ["pass@1", "pass@2"]


def test_an_answer_without_an_outcome_is_in_no_figure() -> None:
    rows = [judged("a", 1, None), judged("b", None, None), judged("c", 0, 1)]
    found = figures_of(rows, "pass@1", 2)
    assert (found[0].value.mean, found[0].num_tasks) == (pytest.approx((1 + 0.5) / 2), 2)
    assert (value(found, "pass@2").value.mean, value(found, "pass@2").num_tasks) == (1.0, 1)
    assert figures_of([judged("b", None)], "pass@1", 1) == ()
    result = result_of(LoadedSuite(SUITES["gsm8k"], Path(), (), {}, Skipped(0, "")), Asking(2, 1, 9, 0), rows)
    assert (result.num_answers, result.unscored, result.unanswered, result.is_whole) == (6, 3, 0, False)


CONSTRAINED = {
    "constraints": [
        {"id": "punctuation:no_comma", "kwargs": {}},
        {"id": "keywords:existence", "kwargs": {"keywords": ["lamp"]}},
    ]
}


def test_the_four_figures_of_ifeval_by_hand() -> None:
    one_only = {"constraints": CONSTRAINED["constraints"][:1]}
    tasks = (
        task("a", CONSTRAINED, "instructions"),
        task("b", CONSTRAINED, "instructions"),
        task("c", one_only, "instructions"),
    )
    texts = {"a": "a lamp", "b": "Sure, here:\na lamp", "c": "yes, no"}
    answers = {name: [Answer(0, 0, text, "stop", 3)] for name, text in texts.items()}
    loaded = LoadedSuite(SUITES["ifeval"], Path(), tasks, {}, Skipped(0, ""))
    rows = judge_answers(loaded, tasks, answers, scorer=Scorer(), judge=None, announce=silent)
    found = figures_of(rows, "prompt strict", 1)
    # a keeps 2 of 2. b keeps the lamp; without its first line also the comma. c keeps 0 of 1 in any reading.
    assert [(f.name, f.value) for f in found] == [
        ("prompt strict", share_interval([1, 0, 0], [1, 1, 1])),
        ("prompt loose", share_interval([1, 1, 0], [1, 1, 1])),
        ("instruction strict", share_interval([2, 1, 0], [2, 2, 1])),
        ("instruction loose", share_interval([2, 2, 0], [2, 2, 1])),
    ]
    assert found[2].value.mean == pytest.approx(3 / 5)


def suite_of(name: str) -> LoadedSuite:
    return load_suite(*suite_named(name, str(SHARED)))


def rescored(loaded: LoadedSuite, texts: Mapping[str, Sequence[str]]) -> Sequence[Figure]:
    """The figures of published completions, by task id, through the path that every answer takes."""
    tasks = [t for t in loaded.tasks if t.id in texts]
    answers = {name: [Answer(0, n, text, "stop", None) for n, text in enumerate(all_)] for name, all_ in texts.items()}
    rows = judge_answers(loaded, tasks, answers, scorer=Scorer(), judge=None, announce=silent)
    return figures_of(rows, loaded.suite.metric, len(next(iter(texts.values()))))


@needs_shared
def test_the_published_solutions_of_gsm8k_score_what_their_authors_say() -> None:
    loaded = suite_of("gsm8k")
    texts: dict[str, list[str]] = {}
    right = 0
    with gzip.open(SHARED / "labelled" / "gsm8k_model_solutions_boxed.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            texts.setdefault(loaded.tasks[int(row["id"].partition(":")[0])].id, []).append(row["pred"])
            right += row["label"]
    found = rescored(loaded, texts)
    # 2001 of 4 × 1319 are right, by the authors' is_correct
    assert (right, found[0].num_tasks) == (2001, 1319)
    assert found[0].value.mean == pytest.approx(2001 / 5276, abs=1e-12)
    assert found[0].value.high - found[0].value.low < 0.045


@needs_shared
def test_a_published_run_on_gsm8k_scores_within_a_point_of_its_published_accuracy() -> None:
    loaded = suite_of("gsm8k")
    by_problem = {t.messages[0]["content"].rpartition("\n")[0]: t.id for t in loaded.tasks}
    with gzip.open(SHARED / "tora70b_gsm8k_outputs.jsonl.gz", "rt") as lines:
        texts = {by_problem[row["question"].strip()]: row["code"] for row in map(json.loads, lines)}
    found = rescored(loaded, texts)
    # 84.3 % is published, read off the output of programs too; in 11 completions no answer is boxed
    assert found[0].num_tasks == 1319
    assert found[0].value.mean == pytest.approx(1103 / 1319)
    assert abs(found[0].value.mean - 0.843) < 0.01


@needs_shared
def test_the_published_answers_to_ifbench_score_near_their_published_results() -> None:
    loaded = suite_of("ifbench")
    by_prompt = {t.messages[0]["content"].strip(): t.id for t in loaded.tasks}
    rows = map(json.loads, (SHARED / "ifbench_sample_output.jsonl").read_text(encoding="utf-8").splitlines())
    texts = {by_prompt[row["prompt"].strip()]: [row["response"]] for row in rows if row["prompt"].strip() in by_prompt}
    found = {figure.name: figure.value.mean for figure in rescored(loaded, texts)}
    published = dict(published_ifbench(by_prompt))
    assert len(texts) == 293  # one of the 294 responses is to a prompt that the test set does not hold
    assert published == pytest.approx(
        {
            "prompt strict": 77 / 293,
            "prompt loose": 87 / 293,
            "instruction strict": 93 / 334,
            "instruction loose": 108 / 334,
        }
    )
    # ours: 74, 85, 89 and 104; each difference is decided in docs/lab/2026-11-23-instruction-constraints.md
    assert found == pytest.approx(
        {
            "prompt strict": 74 / 293,
            "prompt loose": 85 / 293,
            "instruction strict": 89 / 334,
            "instruction loose": 104 / 334,
        }
    )


@needs_shared
@pytest.mark.parametrize("name", ["humaneval", "mbpp", "mbpp-sanitized"])
def test_the_published_programs_solve_their_tasks(name: str) -> None:
    if not assess().is_allowed:
        pytest.skip("the sandbox of this machine is too weak for programs")
    loaded = suite_of(name)
    solutions = load("solution", loaded.suite.source, "test", path=SHARED, limit=4).items
    found = rescored(loaded, {one.id: [f"```python\n{one.text}\n```", "def other():\n    pass"] for one in solutions})
    # of two answers one is the published program, the other is none
    assert [(f.name, f.value.mean, f.num_tasks) for f in found] == [("pass@1", 0.5, 4), ("pass@2", 1.0, 4)]


def published_ifbench(known: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    for reading in ("strict", "loose"):
        lines = (SHARED / f"ifbench_eval_results_{reading}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["prompt"].strip() in known]
        kept = [kept for row in rows for kept in row["follow_instruction_list"]]
        yield f"prompt {reading}", sum(row["follow_all_instructions"] for row in rows) / len(rows)
        yield f"instruction {reading}", sum(kept) / len(kept)


def pair_suite(*rivals: str) -> LoadedSuite:
    tasks = tuple(replace(task(f"p{n}", {"rubric": "It helps."}, "judge"), check="judged") for n in range(len(rivals)))
    return LoadedSuite(SUITES["alpaca-eval"], Path(), tasks, {f"p{n}": r for n, r in enumerate(rivals)}, Skipped(0, ""))


def compared(script: Any, loaded: LoadedSuite, *texts: str, **changes: Any) -> list[Judged]:
    answers = {t.id: [Answer(0, 0, text, "stop", 3)] for t, text in zip(loaded.tasks, texts, strict=True)}
    with endpoint(script) as seen:
        judge = Judge(settings(seen.url, **changes))
        scorer = Scorer({**VERIFIERS, JUDGE: judge.verify}, judges=[judge])
        rows = judge_answers(loaded, loaded.tasks, answers, scorer=scorer, judge=judge, announce=silent)
        assert len(seen.requests) == 2 * len(texts)  # both orders
    return rows


def test_a_judge_that_likes_length_wins_pairs_but_not_at_matched_length() -> None:
    # ours: 40, 40, 11 and 9 letters against 10: the longer wins, 3 of 4. The last two match: (1 + 0) / 2.
    loaded = pair_suite("r" * 10, "s" * 10, "t" * 10, "u" * 10)
    rows = compared(longer, loaded, "a" * 40, "b" * 40, "c" * 11, "d" * 9)
    found = figures_of(rows, "win rate", 1)
    assert [(f.name, f.value.mean, f.num_tasks) for f in found] == [
        ("win rate", 0.75, 4),
        ("win rate at matched length", 0.5, 2),
    ]
    assert found[0].note == "0 of 4 are ties; 25 characters against 10"


def test_a_judge_that_likes_the_first_place_gives_ties() -> None:
    found = figures_of(compared(says("A"), pair_suite("rival", "other"), "mine", "mine too"), "win rate", 1)
    assert found[0].value.mean == 0.5


def test_pairs_that_could_not_be_judged_give_no_score() -> None:
    from endpoint import Reply

    with pytest.raises(VerifierError, match="alpaca-eval: 2 of 2 answers have no outcome"):
        compared([Reply(status=400)], pair_suite("rival", "other"), "mine", "mine too")


def test_a_judge_that_is_fooled_is_refused_again_where_its_verdicts_are_on_disk(tmp_path: Path) -> None:
    loaded = pair_suite(*(f"rival {n:02}" for n in range(12)))
    answers = {t.id: [Answer(0, 0, f"answer {t.id}", "stop", 3)] for t in loaded.tasks}
    for time in range(2):
        with endpoint(longer) as seen:
            judge = Judge(settings(seen.url, cache_path=str(tmp_path / "judge.db"), canary_rate=1.0))
            # a cache is of one address; the scripted endpoint has another one each time
            judge._identity = "one judge"
            scorer = Scorer({**VERIFIERS, JUDGE: judge.verify}, judges=[judge])
            with pytest.raises(VerifierError, match=r"gave good marks to \d+ of 12 canaries"):
                judge_answers(loaded, loaded.tasks, answers, scorer=scorer, judge=judge, announce=silent)
            # 12 pairs in both orders, each with a canary in both orders; all of it is on disk after that
            assert len(seen.requests) == (48 if time == 0 else 0)


class Scripted:
    """An answerer that boxes a number, notes what it was asked, and can stop after so many answers."""

    def __init__(self, *, stop_after: int | None = None, abort: str = "") -> None:
        self.asked: list[int] = []
        self._stop_after = stop_after
        self._abort = abort

    def fitting(self, tasks: Sequence[Task], asking: Asking) -> tuple[list[Task], list[str]]:
        kept = [t for t in tasks if t.id != "long"]
        return kept, ["1 of 4 tasks left out, too long"] if len(kept) < len(tasks) else []

    def answers(self, questions: Sequence[Question], asking: Asking) -> Iterator[Answer]:
        for question in reversed(questions):
            self.asked.append(question.id)
            for index in range(asking.num_samples):
                if self._stop_after is not None and len(self.asked) > self._stop_after:
                    raise KeyboardInterrupt
                lost = question.messages[0]["content"] == self._abort
                yield Answer(question.id, index, "" if lost else rf"\boxed{{{index}}}", "abort" if lost else "stop", 4)


def numbers(*names: str) -> LoadedSuite:
    tasks = tuple(task(name) for name in names)
    return LoadedSuite(replace(SUITES["gsm8k"], num_tasks=len(names)), Path("f"), tasks, {}, Skipped(0, ""))


def measured(loaded: LoadedSuite, answerer: Scripted, file: AnswerFile, samples: int = 2) -> Examined:
    return measure_suite(
        loaded,
        answerer,
        Asking(samples, 0.6, 64, 0),
        scorer=Scorer(),
        judge=None,
        file=file,
        announce=silent,
    )


def test_an_evaluation_that_was_killed_goes_on_where_it_ended(tmp_path: Path) -> None:
    path, loaded = tmp_path / "a.jsonl", numbers("a", "b", "c")
    with pytest.raises(KeyboardInterrupt):
        measured(loaded, Scripted(stop_after=2), AnswerFile(path, {"model": "m"}))
    path.write_bytes(path.read_bytes() + b'{"task": "a", "prom')  # a torn line
    again = Scripted()
    found = measured(loaded, again, AnswerFile(path, {"model": "m"}))
    assert again.asked == [0]  # the last one; numbers are places in the suite
    whole = measured(loaded, Scripted(), AnswerFile(None, {}))
    assert found.result == whole.result
    assert [one.answers for one in found.judged] == [one.answers for one in whole.judged]
    assert found.result.figures[0].value.mean == 0.5  # of 0 and 1, 1 is right
    assert found.result.tokens == 4.0


def test_answers_of_another_model_are_not_taken(tmp_path: Path) -> None:
    AnswerFile(tmp_path / "a.jsonl", {"model": "m", "seed": 1})
    with pytest.raises(UsageError, match="asked for with another model, seed"):
        AnswerFile(tmp_path / "a.jsonl", {"model": "n", "seed": 2})


def test_a_task_in_other_words_is_asked_again(tmp_path: Path) -> None:
    path, loaded = tmp_path / "a.jsonl", numbers("a", "b")
    measured(loaded, Scripted(), AnswerFile(path, {}))
    changed = replace(loaded.tasks[1], messages=({"role": "user", "content": "B!"},))
    again = Scripted()
    measured(replace(loaded, tasks=(loaded.tasks[0], changed)), again, AnswerFile(path, {}))
    assert again.asked == [1]


def test_answers_that_never_came_are_counted_and_asked_again_next_time(tmp_path: Path) -> None:
    path, loaded = tmp_path / "a.jsonl", numbers(*(f"t{n}" for n in range(12)))
    found = measured(loaded, Scripted(abort="t3?"), AnswerFile(path, {})).result
    assert (found.unanswered, found.unscored, found.num_tasks, found.figures[0].num_tasks) == (2, 0, 12, 11)
    assert not found.is_whole
    again = Scripted()
    assert measured(loaded, again, AnswerFile(path, {})).result.is_whole
    assert again.asked == [3]


def test_too_many_answers_without_an_outcome_give_no_score() -> None:
    with pytest.raises(VerifierError, match=r"gsm8k: 2 of 4 answers have no outcome \(limit 10%\)"):
        measured(numbers("a", "b"), Scripted(abort="a?"), AnswerFile(None, {}))


def test_tasks_that_do_not_fit_or_cannot_be_judged_are_named() -> None:
    loaded = numbers("a", "b", "long", "broken")
    broken = replace(loaded.tasks[3], reference={"answer": None})
    found = measured(replace(loaded, tasks=(*loaded.tasks[:3], broken)), Scripted(), AnswerFile(None, {})).result
    assert found.num_tasks == 2
    assert not found.is_whole
    assert found.left_out[0].startswith("1 of 4 tasks cannot be judged; first: broken: ")
    assert found.left_out[1] == "1 of 4 tasks left out, too long"


def test_the_score_without_tasks_that_were_trained_on_stands_beside() -> None:
    loaded = numbers("a", "b", "c")
    rows = (judged("a", 1.0), judged("b", 0.0), judged("c", 1.0))
    examined = Examined(result_of(loaded, GREEDY, rows), rows)
    training = Training("recipe", 40, {"a": True, "b": False, "c": None})
    found = with_contamination(examined, training).result.contamination
    assert found is not None
    assert (found.told, found.overlapping, found.first, found.num_texts) == (2, 1, ("a",), 40)
    assert found.clean is not None
    assert (found.clean.name, found.clean.value, found.clean.num_tasks) == ("pass@1", rate_interval([0.0, 1.0]), 2)
