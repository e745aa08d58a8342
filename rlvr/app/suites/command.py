"""`rlvr evaluate CHECKPOINT|ENDPOINT --suite NAME`: from the command line to results, suite by suite."""

import argparse
import itertools
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlvr.app.importing import import_from
from rlvr.app.progress import Progress
from rlvr.app.suites.examinee import Examinee, examinee_of
from rlvr.app.suites.output import print_results, write_results
from rlvr.app.verifying import Programs, read_options
from rlvr.config.keys import nearest
from rlvr.config.reading import Resolved, read_recipe
from rlvr.data.overlap import COPY_RATE, is_measurable, overlap_rates_in_stream
from rlvr.data.split import without_answer_line
from rlvr.data.suites import LoadedSuite, load_suite, problems_of, suite_named
from rlvr.engines.base import Asking
from rlvr.errors import DataError, UsageError
from rlvr.runs.atomic import writing
from rlvr.stages.suites.measure import Examined, Training, measure_suite, with_contamination
from rlvr.stages.suites.store import AnswerFile
from rlvr.verifiers import code
from rlvr.verifiers.judge.judge import Judge
from rlvr.verifiers.judge.settings import settings_from
from rlvr.verifiers.scorer import Scorer
from rlvr.verifiers.table import JUDGE, VERIFIERS

log = logging.getLogger(__name__)

SAMPLED_TEMPERATURE = 0.6
"""Where several answers are drawn and no temperature is given."""
MAX_SAMPLES = 512
"""More answers to a task than that give a majority whose chances are no longer told exactly."""
MAX_ANSWER_CHARACTERS = 50_000
"""What a judge of suites is given to read, unless its settings say otherwise: a text that is longer loses unread."""
WORDS = {"samples": int, "temperature": float, "max_completion_tokens": int, "seed": int}
"""The key=value words that suites take, with their types."""


@dataclass(frozen=True, slots=True)
class Examination:
    """One suite about to be asked: its tasks, how they are asked, and who judges."""

    loaded: LoadedSuite
    asking: Asking
    scorer: Scorer
    judge: Judge | None


def evaluate_suites(options: argparse.Namespace) -> list[Examined]:
    """Measures a checkpoint or an endpoint on each suite; prints the results, writes them where asked, gives them.

    Raises UsageError for what cannot be measured, before anything is asked.
    """
    import_from(Path())
    words = _words(options)
    suites = _load(options)
    trained_by = read_recipe(options.contamination_of) if options.contamination_of else None
    examinee = examinee_of(options)
    _prepare_programs(suites, options, examinee.recipe)
    if options.output is not None:
        with writing(options.output):
            options.output.mkdir(parents=True, exist_ok=True)
    judging = read_options(options.judge, "--judge") or (examinee.recipe.recipe.judge if examinee.recipe else {})
    planned = [_planned(loaded, words, judging, options.output) for loaded in suites]
    for one in planned:
        examinee.check_fields(one.asking)
    found: list[Examined] = []
    try:
        with Progress() as progress:
            training = _training(suites, trained_by, examinee.recipe, progress)
            for one in planned:
                examined = _examined(one, examinee, options.output, progress)
                known = training.get(one.loaded.suite.name)
                found.append(with_contamination(examined, known) if known else examined)
                if options.output is not None:
                    write_results(found, examinee, options.output)
    finally:  # what one suite breaks does not take the others' results with it
        if found:
            print_results(found, examinee, as_json=options.json)
    return found


def _words(options: argparse.Namespace) -> dict[str, Any]:
    """Gives what the key=value words and --samples say."""
    words: dict[str, Any] = {}
    for name, value in read_options(options.overrides, "rlvr evaluate").items():
        if name not in WORDS:
            close = nearest(name, WORDS)
            raise UsageError(
                f"a suite has no setting {name!r}",
                hint=f"did you mean {close}=…?" if close else f"it takes {', '.join(f'{word}=…' for word in WORDS)}",
            )
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole or (WORDS[name] is float and isinstance(value, float) and math.isfinite(value))) or value < 0:
            kind = "a number" if WORDS[name] is float else "a whole number"
            raise UsageError(f"{name} is {value!r}; expected {kind}, at least 0", hint=f"{name}=1")
        words[name] = WORDS[name](value)
    if options.samples is not None:
        words["samples"] = options.samples
    for name in ("samples", "max_completion_tokens"):
        if words.get(name, 1) < 1:
            raise UsageError(f"{name} is {words[name]}; at least 1 was expected", hint=f"{name}=1")
    if words.get("samples", 1) > MAX_SAMPLES:
        raise UsageError(
            f"samples is {words['samples']}; at most {MAX_SAMPLES} answers a task can be scored",
            hint=f"--samples {MAX_SAMPLES}",
        )
    return words


def _load(options: argparse.Namespace) -> list[LoadedSuite]:
    if options.data or options.text:
        raise UsageError(
            "--suite and --data or --text are two measurements",
            hint="a file of your own is a suite too: --suite mine.jsonl",
        )
    paths = dict(_named_path(word) for word in options.suite_path)
    if unused := [name for name in paths if name not in options.suite]:
        raise UsageError(f"--suite-path names {unused[0]!r}, which is no --suite here", hint=f"--suite {unused[0]}")
    found = [load_suite(*suite_named(name, paths.get(name, "")), limit=options.limit) for name in options.suite]
    names = [loaded.suite.name for loaded in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"two suites are called {twice[0]}", hint="give each once, and files of different names")
    return found


def _named_path(word: str) -> tuple[str, str]:
    name, equals, path = word.partition("=")
    if not name or not equals or not path:
        raise UsageError(f"--suite-path {word}: NAME=FILE_OR_FOLDER was expected", hint="--suite-path gsm8k=data/gsm8k")
    return name, path


def _planned(loaded: LoadedSuite, words: dict[str, Any], judging: dict[str, Any], output: Path | None) -> Examination:
    """Raises UsageError where a judge is needed and there is none."""
    samples = words.get("samples", loaded.suite.num_samples)
    temperature = words.get("temperature", 0.0 if samples == 1 else SAMPLED_TEMPERATURE)
    if samples > 1 and temperature == 0:
        raise UsageError(f"{samples} greedy answers are all the same", hint="--samples 1, or temperature=0.6")
    tokens = words.get("max_completion_tokens", loaded.suite.max_tokens)
    asking = Asking(samples, temperature, tokens, words.get("seed", 0))
    scorer, judge = Scorer(), None
    if judging and any(task.verifier == JUDGE for task in loaded.tasks):
        kept = {} if output is None else {"cache_path": str(output / "judge.db")}
        judge = Judge(settings_from({"max_answer_characters": MAX_ANSWER_CHARACTERS, **kept, **judging}))
        scorer = Scorer({**VERIFIERS, JUDGE: judge.verify}, judges=[judge])
    scorer.check_references(loaded.tasks)
    return Examination(loaded, asking, scorer, judge)


def _prepare_programs(suites: Sequence[LoadedSuite], options: argparse.Namespace, recipe: Resolved | None) -> None:
    """Sets where programs run. Raises VerifierError where some suite has programs and the isolation is too weak."""
    if not any(task.verifier == "code" for loaded in suites for task in loaded.tasks):
        return
    if recipe is not None and not (options.sandbox or options.allow_unsafe_execution or options.package):
        code.configure(**recipe.recipe.sandbox.model_dump())
    else:
        Programs(options.sandbox, options.allow_unsafe_execution, options.package).configure(0)
    code.sandboxes()


def _examined(one: Examination, examinee: Examinee, output: Path | None, progress: Progress) -> Examined:
    name = one.loaded.suite.name
    path = None if output is None else output / f"{name}-answers.jsonl"
    file = AnswerFile(path, {**examinee.identity, "suite": name, **asdict(one.asking)})
    if file.has_answers:
        examinee.vouch()
    bars: dict[str, Any] = {}

    def announce(what: str, done: int, total: int) -> None:
        if what not in bars:
            bars[what] = progress.stage(f"{name}, {what}")
            bars[what].expect(total, done)
        else:
            bars[what](done - 1, {})

    try:
        return measure_suite(
            one.loaded,
            examinee.answerer,
            one.asking,
            scorer=one.scorer,
            judge=one.judge,
            file=file,
            announce=announce,
        )
    except DataError as error:
        raise DataError(f"{name}: {error.message}", hint=error.hint) from error


def _training(
    suites: Sequence[LoadedSuite], named: Resolved | None, own: Resolved | None, progress: Progress
) -> dict[str, Training]:
    """Gives by suite what of it stands in the named recipe's training data, else that of the checkpoint's own run.

    A checkpoint may be measured where the data of its run are not: then nothing is given, and a warning says why.
    """
    if named is not None:
        return _overlaps(suites, named, progress)
    if own is None:
        return {}
    try:
        return _overlaps(suites, own, progress)
    except UsageError as error:
        log.warning("what %s trains on cannot be read here: %s", own.recipe.name, error.message)
        return {}


def _overlaps(suites: Sequence[LoadedSuite], resolved: Resolved, progress: Progress) -> dict[str, Training]:
    """Reads the training data once for all suites."""
    from rlvr.app.suites.contamination import training_texts

    name, count = resolved.recipe.name, itertools.count()
    progress.note(f"reading what {name} trains on, to look for the suites' tasks in it")
    texts = (text for text, _ in zip(training_texts(resolved), count, strict=False))
    problems = [without_answer_line(text) for one in suites for text in problems_of(one)]
    rates = overlap_rates_in_stream(problems, texts)
    copied = (rate >= COPY_RATE for rate in rates)
    flags = iter(
        [copy or (False if is_measurable(text) else None) for text, copy in zip(problems, copied, strict=True)]
    )
    found = {one.suite.name: {task.id: next(flags) for task in one.tasks} for one in suites}
    num_texts = next(count)
    return {suite: Training(name, num_texts, overlaps) for suite, overlaps in found.items()}
