"""`rlvr`: the command line. Data goes to stdout, everything else to stderr; each verb imports what it needs itself."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rlvr import __version__
from rlvr.app.arguments import (
    add_analyze,
    add_audit,
    add_calibrate,
    add_compare,
    add_evaluate,
    add_generate,
    add_race,
    add_resume,
    add_sandbox,
    add_train,
    add_verify,
)
from rlvr.errors import RlvrError, UsageError

EXTRAS = {
    "torch": "train",
    "transformers": "train",
    "tokenizers": "train",
    "safetensors": "train",
    "jinja2": "train",
    "matplotlib": "train",
    "reasoning_gym": "train",
    "openai": "judge",
    "datasets": "hub",
    "tensorboard": "tensorboard",
    "wandb": "wandb",
}
"""Which extra installs a package that a verb may miss."""

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb and gives the exit code: 0 done, 1 failed, 2 wrongly used, 130 interrupted."""
    options = _parse(sys.argv[1:] if argv is None else argv)
    _word_warnings()
    try:
        return int(VERBS[options.verb](options))
    except RlvrError as error:
        return _complain(error.message, error.hint, error.exit_code)
    except KeyboardInterrupt:
        return _complain("interrupted", _resume_hint(options), INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        hint = f'pip install "rlvr[{EXTRAS[package]}]"; rlvr doctor shows what is missing'
        return _complain(f"`rlvr {options.verb}` needs the package {package}, which is not installed", hint, 1)
    except OSError as error:
        if error.errno not in _DISK_TROUBLE:
            raise
        trouble, advice = _DISK_TROUBLE[error.errno]
        place = f": {error.filename}" if error.filename else ""
        return _complain(f"{trouble}{place}", "; then ".join(filter(None, [advice, _resume_hint(options)])), 1)


def _word_warnings() -> None:
    """Makes warnings of the libraries read as our errors do: "warning: …" on stderr."""
    import logging

    logging.addLevelName(logging.WARNING, "warning")
    # The handler of last resort looks stderr up at each line, so that lines stand above live bars.
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))


_DISK_TROUBLE = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the disk quota is used up", "free some space"),
    errno.EROFS: ("the file system is read-only", "choose another folder: runs=FOLDER"),
    errno.EACCES: ("no permission", "check the owner and the mode of the folder, or choose another: runs=FOLDER"),
    errno.EPERM: ("no permission", "check the owner and the mode of the folder, or choose another: runs=FOLDER"),
}


def _complain(message: str, hint: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return code


def _resume_hint(options: argparse.Namespace) -> str:
    """Says how to go on with the run that this command started; "" when it started none."""
    folder = getattr(options, "run", None)
    return f"rlvr resume {folder}" if folder and Path(folder, "config.json").exists() else ""


def _train(options: argparse.Namespace) -> int:
    from rlvr.app.plan import make_plan, print_plan
    from rlvr.config.reading import read_recipe

    resolved = read_recipe(options.recipe, options.overrides)
    plan = make_plan(resolved)
    print_plan(plan, sys.stdout if options.dry_run else sys.stderr)
    if options.dry_run:
        return 0
    options.run = Path(resolved.recipe.runs) / resolved.recipe.name
    from rlvr.app.pipeline import start

    print(start(resolved))
    return 0


def _resume(options: argparse.Namespace) -> int:
    if not any((options.run / name).is_file() for name in ("config.json", "race.json")):
        what = "has no config.json" if options.run.is_dir() else "is no folder"
        raise UsageError(f"{options.run} {what}; a run folder was expected", hint="rlvr resume runs/NAME")
    more = _more_steps(options.overrides)
    if (options.run / "race.json").is_file():
        if options.overrides:
            raise UsageError("a race is resumed as it was asked for", hint=f"rlvr resume {options.run}")
        from rlvr.app.race.command import go_on

        print(go_on(options.run))
        return 0
    from rlvr.app.pipeline import resume

    print(resume(options.run, more_steps=more))
    return 0


def _more_steps(words: Sequence[str]) -> int:
    """Gives N of the word steps=+N, 0 where there is none."""
    if not words:
        return 0
    number = words[-1].removeprefix("steps=+")
    if len(words) > 1 or number == words[-1] or not number.isdecimal() or int(number) < 1:
        raise UsageError(
            f"rlvr resume takes steps=+N and no other word, found {' '.join(words)}",
            hint="rlvr resume RUN steps=+200; other settings are a run of their own: rlvr train RECIPE key=value",
        )
    return int(number)


def _evaluate(options: argparse.Namespace) -> int:
    from rlvr.app.measuring import evaluation_settings, print_result
    from rlvr.app.single import evaluate_checkpoint

    config, seed = evaluation_settings(
        options.checkpoint,
        data=options.data,
        text=options.text,
        limit=options.limit,
        samples=options.samples,
        overrides=options.overrides,
    )
    print_result(evaluate_checkpoint(options.checkpoint, config, seed=seed), as_json=options.json)
    return 0


def _generate(options: argparse.Namespace) -> int:
    from rlvr.app.single import generate_text

    texts = generate_text(
        options.checkpoint,
        options.prompt,
        samples=options.samples,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        seed=options.seed,
    )
    for number, text in enumerate(texts, start=1):
        if len(texts) > 1:
            print(f"--- {number} of {len(texts)} ---")
        print(text)
    return 0


def _report(options: argparse.Namespace) -> int:
    from rlvr.runs.folder import Run
    from rlvr.runs.page.page import write_page

    print(write_page(Run.open(options.run)))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from rlvr.app.importing import import_from
    from rlvr.app.verifying import Fields, Programs, print_summary, read_options, verify_file

    import_from(Path())
    summary = verify_file(
        options.verifier,
        options.file,
        fields=Fields(options.completion_field, options.answer_field, options.label_field),
        options=read_options(options.option, "--option"),
        output=options.output,
        workers=options.workers,
        judge=read_options(options.judge, "--judge"),
        programs=Programs(options.sandbox, options.allow_unsafe_execution, options.package),
    )
    print_summary(summary, as_json=options.json)
    return 0


def _audit(options: argparse.Namespace) -> int:
    from rlvr.app.auditing import Effort, audit_verifier, print_audit, write_audit
    from rlvr.app.importing import import_from
    from rlvr.app.verifying import Fields, read_options
    from rlvr.verifiers.audit.result import Limits

    import_from(Path())
    limits = Limits(options.max_false_accept, options.max_false_reject, options.max_not_told)
    found = audit_verifier(
        options.verifier,
        options.corpus,
        fields=Fields(options.completion_field, options.answer_field, options.label_field),
        options=read_options(options.option, "--option"),
        judge=read_options(options.judge, "--judge"),
        slot=options.slot,
        effort=Effort(options.references, options.skip, options.seed, options.workers, options.deadline),
    )
    if options.output is not None:
        write_audit(found, limits, options.output)
    print_audit(found, limits, as_json=options.json)
    return 1 if found.complaints(limits) else 0


def _calibrate(options: argparse.Namespace) -> int:
    from rlvr.app.calibrating import calibrate_source, print_calibration, write_quarantine
    from rlvr.app.importing import import_from
    from rlvr.app.verifying import Programs, read_options

    import_from(Path())
    found = calibrate_source(
        options.source,
        options.split,
        path=options.path,
        limit=options.limit,
        options=read_options(options.option, "--option"),
        workers=options.workers,
        programs=Programs(options.sandbox, options.allow_unsafe_execution, options.package),
    )
    if options.output is not None:
        write_quarantine(found, options.output)
    print_calibration(found, as_json=options.json)
    return 0


def _analyze(options: argparse.Namespace) -> int:
    from rlvr.app.analyzing import analyze_length, print_length, write_length_page

    stage, report = analyze_length(options.run, stage=options.stage)
    print_length(report, write_length_page(stage, report), as_json=options.json)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from rlvr.app.comparing import compare, print_comparison, write_comparison_page

    found, sides = compare(options.first, options.second)
    if options.page is not None:
        write_comparison_page(found, sides, options.page)
    print_comparison(found, as_json=options.json)
    return 0


def _race(options: argparse.Namespace) -> int:
    from rlvr.app.race.command import print_simulation, race

    if options.simulate:
        print_simulation(options)
        return 0
    if options.recipe is None:
        raise UsageError("rlvr race needs a recipe", hint="rlvr race recipes/laptop.toml --seeds 4")
    print(race(options))
    return 0


def _explain(options: argparse.Namespace) -> int:
    from rlvr.app.explaining import explain_anything

    print(explain_anything(options.key))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from rlvr.app.doctor import doctor, print_checks

    checks = doctor()
    print_checks(checks)
    return 1 if any(check.state == "missing" and check.essential for check in checks) else 0


def _sandbox(options: argparse.Namespace) -> int:
    from rlvr.app.sandboxing import check

    return 0 if check(as_json=options.json) else 1


VERBS = {
    "train": _train,
    "resume": _resume,
    "evaluate": _evaluate,
    "generate": _generate,
    "report": _report,
    "analyze": _analyze,
    "compare": _compare,
    "race": _race,
    "verify": _verify,
    "audit": _audit,
    "calibrate": _calibrate,
    "explain": _explain,
    "doctor": _doctor,
    "sandbox": _sandbox,
}


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; `key=value` words may stand anywhere after the verb."""
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if not hasattr(options, "overrides"):
        options.overrides = []
    wrong = [word for word in rest if word.startswith("-") or "=" not in word or options.verb not in _TAKE_OVERRIDES]
    if wrong:
        parser.error(f"unrecognized arguments: {' '.join(wrong)}")
    options.overrides += rest
    return options


_TAKE_OVERRIDES = ("train", "resume", "evaluate", "race")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlvr",
        description="Reinforcement learning with verifiable rewards: SFT, preference tuning and RLVR in one recipe.",
        epilog="Begin with `rlvr doctor`, then `rlvr train recipes/laptop.toml --dry-run`.",
    )
    parser.add_argument("--version", action="version", version=f"rlvr {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    add_train(verbs.add_parser("train", help="run the stages of a recipe", description="Runs the stages of a recipe."))
    add_resume(
        verbs.add_parser("resume", help="go on with a run", description="Goes on with a run, or a race, that stopped.")
    )
    add_evaluate(verbs.add_parser("evaluate", help="measure a checkpoint", description="Measures a checkpoint."))
    add_generate(verbs.add_parser("generate", help="answer a prompt", description="Prints completions of a prompt."))

    add_verify(
        verbs.add_parser("verify", help="judge a file of completions", description="Judges every row of a JSONL file.")
    )

    add_audit(
        verbs.add_parser(
            "audit",
            help="attack a verifier and say how often it is wrong",
            description="Attacks a verifier and prints how often it is wrong; exit code 1 where it is too often.",
        )
    )

    add_calibrate(
        verbs.add_parser(
            "calibrate",
            help="judge the published solutions of a source",
            description="Judges each task's published solution and names the tasks that it does not solve.",
        )
    )

    report = verbs.add_parser("report", help="write a run's page anew", description="Writes report.html of a run anew.")
    report.add_argument("run", type=Path, metavar="RUN", help="a run folder, for example runs/demo")

    add_analyze(verbs.add_parser("analyze", help="say what a run's lengths count for"))
    add_compare(verbs.add_parser("compare", help="say in what two checkpoints differ, and what chance explains"))
    add_race(verbs.add_parser("race", help="run seeds side by side and pause those that cannot win"))
    explain = verbs.add_parser("explain", help="say what a key of a recipe, an algorithm or a metric means")
    explain.add_argument("key", metavar="KEY", help="rlvr.steps, optimizer.learning_rate, dapo, clip_high, train/kl, …")
    verbs.add_parser("doctor", help="say what this machine can do and what is missing")
    add_sandbox(verbs.add_parser("sandbox", help="say how well model-written code is kept in"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
