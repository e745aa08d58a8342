"""What each verb of the command line does; each imports what it needs itself, so that no other pays for it."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rlvr.app.arguments import refuse_without_suite
from rlvr.errors import UsageError


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


def _probe(options: argparse.Namespace) -> int:
    from rlvr.app.calibrating import write_quarantine
    from rlvr.app.probe.probe import probe
    from rlvr.app.probe.shown import print_probe
    from rlvr.config.reading import read_recipe

    resolved = read_recipe(options.recipe, options.overrides)
    found, copies = probe(resolved, stage=options.stage, tasks=options.tasks)
    print_probe(found, as_json=options.json)
    if options.copies is not None:
        write_quarantine(copies, options.copies)
    return 1 if any(one.refused for one in found) else 0


def _resume(options: argparse.Namespace) -> int:
    if not any((options.run / name).is_file() for name in ("config.json", "race.json")):
        what = "has no config.json" if options.run.is_dir() else "is no folder"
        raise UsageError(f"{options.run} {what}; a run folder was expected", hint="rlvr resume runs/NAME")
    more, evaluate_every = _more_steps(options.overrides)
    if (options.run / "race.json").is_file():
        if options.overrides:
            raise UsageError("a race is resumed as it was asked for", hint=f"rlvr resume {options.run}")
        from rlvr.app.race.command import take_up

        print(take_up(options.run, take_back=options.take_back, budget=options.budget))
        return 0
    if options.take_back or options.budget:
        raise UsageError("--take-back and --budget are for a race", hint=f"rlvr resume {options.run}")
    from rlvr.app.pipeline import resume

    print(resume(options.run, more_steps=more, evaluate_every=evaluate_every))
    return 0


def _more_steps(words: Sequence[str]) -> tuple[int, int | None]:
    """Gives N of steps=+N and M of evaluate_every=M, which may follow it; 0 and None where there is nothing."""
    if not words:
        return 0, None
    found = re.fullmatch(r"steps=\+([1-9][0-9]{0,8})( evaluate_every=([0-9]{1,9}))?", " ".join(words), re.ASCII)
    if found is None:
        raise UsageError(
            f"rlvr resume takes steps=+N, evaluate_every=M after it and no other word, found {' '.join(words)}",
            hint="rlvr resume RUN steps=+200 evaluate_every=20; other settings are a run of their own: rlvr train "
            "RECIPE key=value",
        )
    return int(found[1]), None if found[3] is None else int(found[3])


def _evaluate(options: argparse.Namespace) -> int:
    if options.suite:
        from rlvr.app.suites.command import evaluate_suites

        evaluate_suites(options)
        return 0
    refuse_without_suite(options)
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
        max_tokens=options.max_completion_tokens,
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
        write_quarantine(found.faults, options.output)
    print_calibration(found, as_json=options.json)
    return 0


def _analyze(options: argparse.Namespace) -> int:
    return ANALYSES[options.word](options)


def _analyze_length(options: argparse.Namespace) -> int:
    from rlvr.app.analyze.length import analyze_length, print_length, write_length_page

    stage, report = analyze_length(options.run, stage=options.stage)
    print_length(report, write_length_page(stage, report), as_json=options.json)
    return 0


def _analyze_elicitation(options: argparse.Namespace) -> int:
    from rlvr.app.analyze.elicitation import analyze_elicitation, print_elicitation, write_elicitation_page

    stage, report = analyze_elicitation(
        options.run, stage=options.stage, samples=options.samples, limit=options.limit, domains=options.domain
    )
    print_elicitation(report, write_elicitation_page(stage, report), as_json=options.json)
    return 0


def _analyze_return(options: argparse.Namespace) -> int:
    from rlvr.app.analyze.returns import analyze_return, print_return, write_return_page

    stage, found = analyze_return(options.run, stage=options.stage)
    print_return(found, write_return_page(stage, found), as_json=options.json)
    return 0


def _analyze_thinking(options: argparse.Namespace) -> int:
    from rlvr.app.analyze.thinking import analyze_thinking, print_thinking
    from rlvr.app.analyze.thinking_page import write_thinking_page

    stage, report = analyze_thinking(
        options.run, stage=options.stage, samples=options.samples, limit=options.limit, domains=options.domain
    )
    print_thinking(report, write_thinking_page(stage, report), as_json=options.json)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from rlvr.app.comparing import compare, print_comparison, write_comparison_page

    found, sides = compare(options.first, options.second)
    if options.page is not None:
        write_comparison_page(found, sides, options.page)
    print_comparison(found, as_json=options.json)
    return 0


def _race(options: argparse.Namespace) -> int:
    from rlvr.app.race.command import race

    if options.curves is not None and not options.simulate:
        raise UsageError("--curves is for --simulate", hint=f"rlvr race --simulate --curves {options.curves}")
    if options.simulate:
        from rlvr.app.race.simulating import print_simulation

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


ANALYSES = {
    "length": _analyze_length,
    "elicitation": _analyze_elicitation,
    "thinking": _analyze_thinking,
    "return": _analyze_return,
}
"""By the word after `rlvr analyze`."""

VERBS = {
    "train": _train,
    "probe": _probe,
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
