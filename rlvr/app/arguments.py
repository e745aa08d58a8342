"""Arguments of the command line: numbers in their ranges, and what the verbs take."""

import argparse
import math
from pathlib import Path

from rlvr.errors import UsageError


def positive(text: str) -> int:
    """Gives a whole number, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number, at least 1, found "{text}"')
    return int(text)


def count(text: str) -> int:
    """Gives a whole number, at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'expected a whole number, at least 0, found "{text}"')
    return int(text)


def steps_or_share(text: str) -> int | float:
    """Gives a whole number, at least 0, or a percentage from 0% to 100% as a share."""
    if not text.endswith("%"):
        return count(text)
    return _number(text[:-1], low=0.0, high=100.0, words="from 0% to 100%") / 100


def share(text: str) -> float:
    """Gives a number from 0 to 1."""
    return _number(text, low=0.0, high=1.0, words="from 0 to 1")


def error_rate(text: str) -> float:
    """Gives a chance of being wrong, from 0.0001 to 0.49."""
    return _number(text, low=0.0001, high=0.49, words="from 0.0001 to 0.49")


def margin(text: str) -> float:
    """Gives a difference of rates, from 0.01 to 0.9."""
    return _number(text, low=0.01, high=0.9, words="from 0.01 to 0.9")


def seconds(text: str) -> float:
    """Gives a number of seconds, from 0.1 to a day."""
    return _number(text, low=0.1, high=86_400.0, words="of seconds from 0.1 to 86400")


def _number(text: str, *, low: float, high: float, words: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f'expected a number {words}, found "{text}"')
    return value


def temperature(text: str) -> float:
    """Gives a number, at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f'expected a number, at least 0, found "{text}"')
    return value


def add_overrides(parser: argparse.ArgumentParser, examples: str) -> None:
    """Adds `key=value` words."""
    parser.add_argument("overrides", nargs="*", metavar="key=value", help=f"change settings: {examples}")


def add_train(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rlvr train`."""
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file, for example recipes/laptop.toml")
    add_overrides(parser, "seed=3, rlvr.steps=10, stage.2.epochs=1")
    parser.add_argument("--dry-run", action="store_true", help="print what would run and how much memory it takes")


def add_probe(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rlvr probe`."""
    parser.description = (
        "Samples a few tasks of each domain and times one step, before a recipe's stages of kind rlvr or iterate are "
        "run: is there something to learn from, what would it cost, and what should be changed? Exit code 1 where a "
        "condition fails that the recipe requires. Nothing is trained."
    )
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file, for example recipes/laptop.toml")
    add_overrides(parser, "rlvr.group_size=16, rlvr.max_completion_tokens=256")
    parser.add_argument("--stage", default="", metavar="NAME", help="one stage (default: all that learn from rewards)")
    parser.add_argument("--tasks", type=positive, metavar="N", help="tasks of each domain (default: the recipe's)")
    parser.add_argument(
        "--copies", type=Path, metavar="FILE", help="where near copies of held-out tasks go, for options.quarantine"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rlvr resume`."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run or a race, for example runs/demo")
    more = "steps=+200 goes on with the last stage, of kind rlvr, for so many steps more; evaluate_every=20 after it "
    add_overrides(parser, more + "measures on the way")
    parser.add_argument(
        "--take-back", action="append", default=[], metavar="RACER", help="a race: this paused racer runs again"
    )
    parser.add_argument("--budget", default="", metavar="N", help="a race: may spend so much in all (5000cpu-s)")


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rlvr evaluate`."""
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="a model directory, a checkpoint of a run, or with --suite an endpoint"
    )
    add_overrides(parser, "samples=4, temperature=0.7")
    parser.add_argument(
        "--data", action="append", default=[], metavar="SOURCE:SPLIT", help="tasks to solve; may be given repeatedly"
    )
    parser.add_argument(
        "--text", action="append", default=[], metavar="SOURCE:SPLIT", help="documents whose perplexity is measured"
    )
    parser.add_argument("--samples", type=positive, metavar="N", help="completions per task")
    parser.add_argument("--limit", type=positive, metavar="N", help="tasks per source at most")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    _add_suites(parser.add_argument_group("published suites (docs/suites.md)"))


def _add_suites(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--suite", action="append", default=[], metavar="NAME", help="gsm8k, math-500, ifeval, …, or a file of your own"
    )
    group.add_argument(
        "--suite-path", action="append", default=[], metavar="NAME=PATH", help="where a suite's published file lies"
    )
    group.add_argument("--output", type=Path, metavar="FOLDER", help="where answers, verdicts and results go")
    group.add_argument(
        "--contamination-of", type=Path, metavar="RECIPE", help="look for the suite in its training data"
    )
    group.add_argument("--model", default="", metavar="NAME", help="of an endpoint such as http://localhost:8000/v1")
    group.add_argument("--api-key-env", default="", metavar="VARIABLE", help="where the endpoint's key stands")
    group.add_argument("--field", action="append", default=[], metavar="K=V", help="put into each request's body")
    group.add_argument(
        "--judge", action="append", default=[], metavar="K=V", help="the judge of pairs: model=…, base_url=…"
    )
    _add_programs(group)


def refuse_without_suite(options: argparse.Namespace) -> None:
    """Raises UsageError for an endpoint, or an argument, that only `rlvr evaluate --suite` takes."""
    if options.checkpoint.startswith(("http://", "https://")):
        raise UsageError("an endpoint is measured on suites", hint=f"rlvr evaluate {options.checkpoint} --suite gsm8k")
    names = ("suite_path", "output", "contamination_of", "model", "api_key_env", "field", "judge", "sandbox", "package")
    for name in (*names, "allow_unsafe_execution"):
        if getattr(options, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} is for suites", hint=f"rlvr evaluate {options.checkpoint} --suite NAME {flag} …")


def add_generate(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rlvr generate`."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a model directory, or a checkpoint of a run")
    parser.add_argument("prompt", metavar="PROMPT", help="what the user says")
    parser.add_argument("--samples", type=positive, default=1, metavar="N", help="completions (default 1)")
    parser.add_argument("--temperature", type=temperature, default=1.0, metavar="T", help="0 is greedy (default 1)")
    parser.add_argument(
        "--max-completion-tokens", type=positive, default=256, metavar="N", help="tokens at most (default 256)"
    )
    parser.add_argument("--seed", type=count, default=0, metavar="N", help="seed of the sampling (default 0)")


def add_verify(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rlvr verify`."""
    parser.add_argument("verifier", metavar="NAME", help="math, instructions, …, or your own: package.module:function")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="JSON lines with a completion and an answer or reference"
    )
    parser.add_argument("--output", type=Path, metavar="OUT", help="where a JSON line per row goes")
    _add_fields(parser, "what is known of each row, for the error rates")
    _add_programs(parser)
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def _add_programs(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    parser.add_argument(
        "--sandbox", default="", metavar="URL", help="for programs: a sandbox service, not this machine"
    )
    parser.add_argument(
        "--allow-unsafe-execution", action="store_true", help="for programs: run them although nothing holds them back"
    )
    parser.add_argument(
        "--package",
        action="append",
        default=[],
        metavar="NAME",
        help="a package, beside numpy, that programs may import where their reference asks for it",
    )


def _add_fields(parser: argparse.ArgumentParser, label: str) -> None:
    parser.add_argument("--completion-field", default="completion", metavar="F", help="default: completion")
    parser.add_argument("--answer-field", default="", metavar="F", help="default: reference, else answer")
    parser.add_argument("--label-field", default="", metavar="F", help=label)
    parser.add_argument("--option", action="append", default=[], metavar="K=V", help="added to each reference")
    parser.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="K=V",
        help="for NAME judge: model=…, base_url=http://localhost:8000/v1, api_key_env=VARIABLE, …",
    )
    parser.add_argument(
        "--workers", type=count, default=0, metavar="N", help="worker processes (default: one per core)"
    )


def add_audit(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rlvr audit`."""
    parser.add_argument("verifier", metavar="NAME", help="math, instructions, …, or your own: package.module:function")
    parser.add_argument(
        "--corpus",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="JSON lines with a reference or answer, and as you have them a completion and its label; "
        "default: the built-in references",
    )
    _add_fields(parser, "whether the completion of a row is right, true or false (default: label)")
    parser.add_argument("--slot", metavar="SLOT", help="where your own function looks for the answer (default boxed)")
    parser.add_argument(
        "--references", type=positive, default=50, metavar="N", help="so many are attacked (default 50)"
    )
    parser.add_argument("--skip", action="append", default=[], metavar="CLASS", help="leave out a class of the table")
    parser.add_argument("--seed", type=count, default=0, metavar="N", help="seed of the draws (default 0)")
    parser.add_argument(
        "--deadline", type=seconds, default=30.0, metavar="S", help="seconds a case of your own may take (default 30)"
    )
    for name, default in (("--max-false-accept", 0.0), ("--max-false-reject", 0.01), ("--max-not-told", 0.01)):
        what = name.removeprefix("--max-").replace("-", " ")
        parser.add_argument(
            name, type=share, default=default, metavar="R", help=f"exit code 1 above this rate of {what} ({default:g})"
        )
    parser.add_argument("--output", type=Path, metavar="OUT", help="where the audit goes as JSON")
    parser.add_argument("--json", action="store_true", help="print the audit as JSON")


def add_calibrate(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `rlvr calibrate`."""
    parser.add_argument("source", metavar="SOURCE", help="apps, mbpp, …, or a data file whose rows have a solution")
    parser.add_argument("--path", default="", metavar="PATH", help="the source's file or folder")
    parser.add_argument("--split", default="", metavar="SPLIT", help="which part of the source (default: all of it)")
    parser.add_argument("--limit", type=positive, metavar="N", help="so many tasks at most")
    parser.add_argument("--option", action="append", default=[], metavar="K=V", help="of the source, as in a recipe")
    _add_programs(parser)
    parser.add_argument(
        "--workers", type=count, default=0, metavar="N", help="worker processes (default: one per core)"
    )
    parser.add_argument("--output", type=Path, metavar="OUT", help="where the tasks to leave out go, as JSON lines")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def add_analyze(parser: argparse.ArgumentParser) -> None:
    """Adds the words of `rlvr analyze`."""
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")
    length = words.add_parser(
        "length",
        help="which normalisation makes long answers count for more",
        description="Prints how long right and wrong answers are in an RLVR stage and what each normalisation makes "
        "their tokens count for, and draws it in length.html beside the stage.",
    )
    returns = words.add_parser(
        "return",
        help="what each stretch of training gained for its CPU-seconds",
        description="Prints what each stretch between two held-out evaluations of an RLVR stage gained, with intervals "
        "and for each 100 CPU-seconds, says since when no gain can be told from chance, and draws it in return.html "
        "beside the stage.",
    )
    for word in (length, returns):
        word.add_argument("run", type=Path, metavar="RUN", help="a run folder, for example runs/demo")
        word.add_argument("--stage", default="", metavar="NAME", help="an RLVR stage (default: the last one)")
        word.add_argument("--json", action="store_true", help="print the figures as JSON")

    _add_sides(
        words.add_parser(
            "elicitation",
            help="what a stage taught, and what it only made the model surer of",
            description="Samples a stage's checkpoint and the one that it began from on the same held-out tasks with "
            "the same keys, prints pass@k of both, and draws it in elicitation.html beside the stage. Samples are "
            "kept: a command that was stopped goes on where it was.",
        ),
        samples=128,
    )
    _add_sides(
        words.add_parser(
            "thinking",
            help="what more tokens at inference buy: train longer or think longer",
            description="Samples a stage's checkpoint and the one that it began from, prints accuracy against tokens "
            "for votes, best of N, smaller and larger limits and forced thinking, and draws it in thinking.html beside "
            "the stage. Samples are kept: a command that was stopped goes on where it was.",
        ),
        samples=32,
    )


def _add_sides(parser: argparse.ArgumentParser, *, samples: int) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run folder, for example runs/demo")
    what = "a stage that trains a policy (default: the last one that learns from rewards)"
    parser.add_argument("--stage", default="", metavar="NAME", help=what)
    parser.add_argument(
        "--samples", type=positive, default=samples, metavar="N", help=f"completions per task (default {samples})"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="tasks per domain at most (default: all)")
    parser.add_argument(
        "--domain", action="append", default=[], metavar="D", help="only this domain; may be given repeatedly"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Adds the words of `rlvr compare`."""
    parser.description = (
        "Compares two checkpoints on the tasks that both were asked: pass@1 by domain, paired by task, with intervals, "
        "p-values that count all domains, and how many tasks a small difference would take."
    )
    for side in ("first", "second"):
        text = f"the {side} run (its last measured stage), or a stage's folder such as runs/demo/0-base"
        parser.add_argument(side, type=Path, metavar=f"RUN_{'A' if side == 'first' else 'B'}", help=text)
    parser.add_argument("--page", type=Path, metavar="FILE", help="draw pass@k of both into this HTML file")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def add_race(parser: argparse.ArgumentParser) -> None:
    """Adds the words of `rlvr race`."""
    parser.description = (
        "Runs the last stage of a recipe with several seeds side by side, all from the same stage before. At rungs all "
        "that run are measured on the same held-out tasks, and the policy says who goes on; the winner is measured on "
        "tasks that took no part. rlvr resume runs/NAME-race goes on with a race that was stopped."
    )
    parser.add_argument("recipe", type=Path, nargs="?", metavar="RECIPE", help="a TOML file; none with --simulate")
    parser.add_argument(
        "--seeds", type=positive, default=4, metavar="N", help="seeds, from the recipe's on (default: 4)"
    )
    parser.add_argument(
        "--alternative", action="append", default=[], metavar="WORDS", help='races too: "rlvr.algorithm.clip_high=0.3"'
    )
    parser.add_argument("--policy", default="halving", metavar="NAME", help="halving or safe (default: halving)")
    parser.add_argument("--rungs", metavar="A,B", help="shares of the steps (default: the policy's)")
    parser.add_argument("--keep", default="", metavar="N,M", help="halving: how many go on after each rung")
    parser.add_argument("--error", type=error_rate, metavar="P", help="safe: how often it may err (default: 0.1)")
    said = "safe: a lack at a rung is A times it at the end, off by S; or one per rung, as of records A,S,D,Q;…"
    parser.add_argument("--foresight", default="", metavar="A,S", help=said)
    parser.add_argument(
        "--margin", type=margin, metavar="M", help="safe: refuse fewer tasks than show a lag of M (0.05)"
    )
    parser.add_argument("--jobs", type=positive, default=0, metavar="N", help="racers at once (default: by the cores)")
    parser.add_argument(
        "--budget",
        default="",
        metavar="N",
        help="spend no more than 800steps, 2e6tokens, 4000cpu-s or 4000gpu-s on training and measuring racers; starts "
        "of processes and the winner's own report are not counted",
    )
    parser.add_argument(
        "--cook",
        type=steps_or_share,
        metavar="STEPS",
        help="steps more for the winner, or a share of the steps that were saved (default: 10%%; with --budget 100%%, "
        "as far as it goes)",
    )
    parser.add_argument("--simulate", action="store_true", help="only calculate how often the policy loses the best")
    parser.add_argument("--spread", type=float, metavar="S", help="--simulate: seeds' deviation (default: 0.02)")
    parser.add_argument("--tasks", type=positive, default=0, metavar="N", help="--simulate: tasks (default: 256)")
    parser.add_argument(
        "--curves", type=Path, metavar="PATH", help="--simulate: recorded curves, a race, or runs with evaluate_every"
    )
    parser.add_argument("--races", type=positive, default=1000, metavar="N", help="--simulate: how many races")
    add_overrides(parser, "name=a, rlvr.steps=200")


def add_sandbox(parser: argparse.ArgumentParser) -> None:
    """Adds the words of `rlvr sandbox`."""
    words = parser.add_subparsers(dest="word", required=True, metavar="check")
    check = words.add_parser(
        "check",
        help="attack the sandbox and say its level",
        description="Attacks the sandbox and prints its level; exit code 1 where it is too weak to be used.",
    )
    check.add_argument("--json", action="store_true", help="print what was found as JSON")
