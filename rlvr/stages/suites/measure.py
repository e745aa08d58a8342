"""One suite, measured: its tasks asked, the answers judged, the figures with what they cover.

tasks ──answerer──▶ answers ──verifiers, or a judge of pairs──▶ verdicts ──▶ figures
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from rlvr.data.suites import LoadedSuite
from rlvr.engines.base import Answer, Answerer, Asking, Question
from rlvr.errors import DataError, VerifierError
from rlvr.stages.suites.scores import Figure, Judged, figures_of
from rlvr.stages.suites.store import AnswerFile
from rlvr.training.rollout import MAX_UNSCORED_RATE
from rlvr.types import Status, Task, Verdict
from rlvr.verifiers.judge.judge import Judge
from rlvr.verifiers.many import text_completion, verify_tasks
from rlvr.verifiers.scorer import Scorer

Announce = Callable[[str, int, int], None]
"""Called with what is done ("answers", "verdicts"), how many are, and of how many."""
UNANSWERED = Verdict(None, "host_error")
"""The verdict on an answer that never came."""


@dataclass(frozen=True, slots=True)
class Training:
    """Training data held against suites: whose, how many texts, and for each task by its id whether it is a copy of
    what stands there; None: it is too short to tell."""

    recipe: str
    num_texts: int
    overlaps: Mapping[str, bool | None]


@dataclass(frozen=True, slots=True)
class Contamination:
    """Which of a suite's tasks are copies of what stands in the training data of `recipe`, of `num_texts` texts.

    `told` tasks are long enough to tell or equal, `overlapping` of them are copies, `first` names some. `clean` is the
    suite's first figure over all other tasks; None where none is left.
    """

    recipe: str
    num_texts: int
    told: int
    overlapping: int
    first: tuple[str, ...]
    clean: Figure | None


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What a suite says of a model. `figures` begin with the suite's own; `left_out` has a line a reason.

    `num_tasks` were asked. Of `num_answers`, `unanswered` never came and `unscored` could not be judged; neither is in
    any figure. `truncated_rate` is the share that ran into the limit; `tokens` the mean length, None where nobody told.
    `statuses` counts verdicts, `versions` names who gave them. `contamination` is None where it was not looked for.
    """

    loaded: LoadedSuite
    asking: Asking
    figures: tuple[Figure, ...]
    num_tasks: int
    left_out: tuple[str, ...]
    num_answers: int
    unanswered: int
    unscored: int
    truncated_rate: float
    tokens: float | None
    statuses: Mapping[str, int]
    versions: tuple[str, ...]
    contamination: Contamination | None

    @property
    def is_whole(self) -> bool:
        """Whether every task of the published suite, or of the file, is in the first figure."""
        suite = self.loaded.suite
        told = bool(self.figures) and self.figures[0].num_tasks == self.num_tasks
        return (
            told
            and not self.left_out
            and not self.loaded.is_limited
            and self.num_tasks == (suite.num_tasks or self.num_tasks)
        )


@dataclass(frozen=True, slots=True)
class Examined:
    """A result with the judged tasks that it was made of."""

    result: SuiteResult
    judged: tuple[Judged, ...]


def measure_suite(
    loaded: LoadedSuite,
    answerer: Answerer,
    asking: Asking,
    *,
    scorer: Scorer,
    judge: Judge | None,
    file: AnswerFile,
    announce: Announce,
) -> Examined:
    """Asks and judges every task of a suite that can be.

    Raises DataError where no task can be asked, VerifierError where too many answers have no outcome.
    """
    tasks, left_out = _sound(loaded, scorer)
    tasks, too_long = answerer.fitting(tasks, asking)
    answers = _asked(loaded, tasks, answerer, asking, file, announce)
    judged = judge_answers(loaded, tasks, answers, scorer=scorer, judge=judge, announce=announce)
    return Examined(result_of(loaded, asking, judged, left_out=[*left_out, *too_long]), tuple(judged))


def _sound(loaded: LoadedSuite, scorer: Scorer) -> tuple[list[Task], list[str]]:
    """Gives the tasks whose reference a verifier takes, and a line for the rows and tasks that are left out."""
    skipped, lines = loaded.skipped, []
    if skipped.count:
        lines.append(f"{skipped.count} rows of the file cannot be used; first: {skipped.first}")
    faults = scorer.check_references(loaded.tasks)
    broken = [f"{task.id}: {fault}" for task, fault in zip(loaded.tasks, faults, strict=True) if fault]
    if broken:
        lines.append(f"{len(broken)} of {len(loaded.tasks)} tasks cannot be judged; first: {broken[0]}")
    sound = [task for task, fault in zip(loaded.tasks, faults, strict=True) if not fault]
    if not sound:
        raise DataError(f"no task of {loaded.path} can be judged; first: {broken[0]}")
    return sound, lines


def _asked(
    loaded: LoadedSuite,
    tasks: Sequence[Task],
    answerer: Answerer,
    asking: Asking,
    file: AnswerFile,
    announce: Announce,
) -> dict[str, tuple[Answer, ...]]:
    """Gives by task id the answers, those on disk first; a question's number is its place in the suite."""
    place = {task.id: number for number, task in enumerate(loaded.tasks)}
    known = {task.id: file.known(task, question_id=place[task.id]) for task in tasks}
    done = {id_: answers for id_, answers in known.items() if len(answers) == asking.num_samples}
    missing = {place[task.id]: task for task in tasks if task.id not in done}
    arrived: dict[int, dict[int, Answer]] = {number: {} for number in missing}
    announce("answers", len(done), len(tasks))
    for answer in answerer.answers([Question(n, task.messages) for n, task in missing.items()], asking):
        group = arrived[answer.question_id]
        group[answer.sample_index] = answer
        if len(group) == asking.num_samples:
            task = missing[answer.question_id]
            done[task.id] = tuple(group[index] for index in sorted(group))
            file.add(task, done[task.id])
            announce("answers", len(done), len(tasks))
    return done


def judge_answers(
    loaded: LoadedSuite,
    tasks: Sequence[Task],
    answers: Mapping[str, Sequence[Answer]],
    *,
    scorer: Scorer,
    judge: Judge | None,
    announce: Announce,
) -> list[Judged]:
    """Gives every task with the verdicts on its answers, constraints read strictly and loosely.

    Raises VerifierError where more than MAX_UNSCORED_RATE of the answers have no outcome.
    """
    if loaded.suite.metric == "win rate":
        assert judge is not None
        judged = asyncio.run(_compared(loaded, tasks, answers, judge, announce))
        judge.refuse_fooled()
    else:
        judged = _verified(loaded, tasks, answers, scorer, announce)
        asyncio.run(scorer.settle())
    lost = [(one.task, v) for one in judged for v in one.verdicts if v.outcome is None]
    total = sum(len(one.verdicts) for one in judged)
    if len(lost) > MAX_UNSCORED_RATE * total:
        task, verdict = lost[0]
        raise VerifierError(
            f"{loaded.suite.name}: {len(lost)} of {total} answers have no outcome (limit {MAX_UNSCORED_RATE:.0%}), so "
            f"there is no score; first: task {task.id!r}, verifier {task.verifier!r}, status {verdict.status!r}",
            hint="rlvr doctor checks the verifiers; answers that never came are asked for again with the same --output",
        )
    return judged


def _verified(
    loaded: LoadedSuite,
    tasks: Sequence[Task],
    answers: Mapping[str, Sequence[Answer]],
    scorer: Scorer,
    announce: Announce,
) -> list[Judged]:
    readings = ("strict", "loose") if loaded.suite.metric == "prompt strict" else ("",)
    asked = [(task, _read_as(task, reading), a) for task in tasks for reading in readings for a in answers[task.id]]
    came = [(read, text_completion(answer.text)) for _, read, answer in asked if answer.finish != "abort"]
    verdicts: list[Verdict] = []
    for verdict in verify_tasks(came, scorer=scorer):
        verdicts.append(verdict)
        announce("verdicts", len(verdicts), len(came))
    rest, given = iter(verdicts), {task.id: list[Verdict]() for task in tasks}
    for task, _, answer in asked:
        given[task.id].append(UNANSWERED if answer.finish == "abort" else next(rest))
    judged = []
    for task in tasks:
        own = tuple(answers[task.id])
        judged.append(Judged(task, own, tuple(given[task.id][: len(own)]), tuple(given[task.id][len(own) :])))
    return judged


def _read_as(task: Task, reading: str) -> Task:
    return replace(task, reference={**task.reference, "mode": reading, "score": "all"}) if reading else task


async def _compared(
    loaded: LoadedSuite,
    tasks: Sequence[Task],
    answers: Mapping[str, Sequence[Answer]],
    judge: Judge,
    announce: Announce,
) -> list[Judged]:
    """Compares each answer with the task's reference output, in both orders."""
    total, done = sum(len(answers[task.id]) for task in tasks), [0]

    async def compared(task: Task, answer: Answer) -> Verdict:
        win = None
        if answer.finish != "abort":
            rival = text_completion(loaded.rivals[task.id])
            win = await judge.prefer(task, text_completion(answer.text), rival)
        done[0] += 1
        announce("verdicts", done[0], total)
        lost: Status = "host_error" if answer.finish == "abort" else "judge_error"
        status: Status = lost if win is None else "ok"
        return Verdict(win, status, path="judge", version=judge.version)

    async with judge:
        waiting = [asyncio.gather(*(compared(task, answer) for answer in answers[task.id])) for task in tasks]
        verdicts = await asyncio.gather(*waiting)
    return [
        Judged(task, tuple(answers[task.id]), tuple(given), rival=loaded.rivals[task.id])
        for task, given in zip(tasks, verdicts, strict=True)
    ]


def result_of(
    loaded: LoadedSuite, asking: Asking, judged: Sequence[Judged], *, left_out: Sequence[str] = ()
) -> SuiteResult:
    """Gives the result of judged tasks, without a look at contamination."""
    answers = [answer for one in judged for answer in one.answers]
    came = [answer for answer in answers if answer.finish != "abort"]
    verdicts = [verdict for one in judged for verdict in one.verdicts]
    lengths = [answer.num_tokens for answer in came if answer.num_tokens is not None]
    unanswered = len(answers) - len(came)
    return SuiteResult(
        loaded=loaded,
        asking=asking,
        figures=figures_of(judged, loaded.suite.metric, asking.num_samples),
        num_tasks=len(judged),
        left_out=tuple(left_out),
        num_answers=len(answers),
        unanswered=unanswered,
        unscored=sum(verdict.outcome is None for verdict in verdicts) - unanswered,
        truncated_rate=sum(answer.finish == "length" for answer in came) / max(1, len(came)),
        tokens=sum(lengths) / len(lengths) if lengths and len(lengths) == len(came) else None,
        statuses=dict(Counter(verdict.status for verdict in verdicts)),
        versions=tuple(sorted({verdict.version for verdict in verdicts if verdict.version})),
        contamination=None,
    )


def with_contamination(examined: Examined, training: Training) -> Examined:
    """Gives the result with what of the asked tasks overlaps training data, and its figure without these."""
    result, overlaps = examined.result, training.overlaps
    asked = [one.task.id for one in examined.judged]
    overlapping = [id_ for id_ in asked if overlaps[id_]]
    clean = [one for one in examined.judged if not overlaps[one.task.id]]
    figures = figures_of(clean, result.loaded.suite.metric, result.asking.num_samples)
    found = Contamination(
        recipe=training.recipe,
        num_texts=training.num_texts,
        told=sum(overlaps[id_] is not None for id_ in asked),
        overlapping=len(overlapping),
        first=tuple(overlapping[:5]),
        clean=figures[0] if figures else None,
    )
    return replace(examined, result=replace(result, contamination=found))
