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
    add_probe,
    add_race,
    add_resume,
    add_sandbox,
    add_train,
    add_verify,
)
from rlvr.app.verbs import VERBS
from rlvr.errors import RlvrError

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
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        return _complain(f"out of memory: {str(error).strip().partition(chr(10))[0]}", _LESS_MEMORY, 1)
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


_LESS_MEMORY = (
    "a smaller microbatch_tokens, model.gradient_checkpointing=true or fewer prompts_per_step; rlvr train RECIPE "
    "--dry-run estimates what each part takes (docs/troubleshooting.md)"
)


def _is_out_of_memory(error: Exception) -> bool:
    """Also on a GPU, and where torch finds no room on the CPU: their errors are known without torch by these words."""
    return isinstance(error, MemoryError) or any(w in str(error) for w in ("out of memory", "can't allocate memory"))


def _complain(message: str, hint: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return code


def _resume_hint(options: argparse.Namespace) -> str:
    """Says how to go on with what this command started; "" when it started nothing."""
    if options.verb == "analyze":
        return "the same command goes on from what was sampled"
    folder = getattr(options, "run", None)
    return f"rlvr resume {folder}" if folder and Path(folder, "config.json").exists() else ""


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


_TAKE_OVERRIDES = ("train", "probe", "resume", "evaluate", "race")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlvr",
        description="Reinforcement learning with verifiable rewards: SFT, preference tuning and RLVR in one recipe.",
        epilog="Begin with `rlvr doctor`, then `rlvr train recipes/laptop.toml --dry-run`.",
    )
    parser.add_argument("--version", action="version", version=f"rlvr {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    add_train(verbs.add_parser("train", help="run the stages of a recipe", description="Runs the stages of a recipe."))
    add_probe(verbs.add_parser("probe", help="say whether a recipe is worth its compute, before it is spent"))
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

    add_analyze(verbs.add_parser("analyze", help="say what a stage did: lengths, what was taught, thinking, returns"))
    add_compare(verbs.add_parser("compare", help="say in what two checkpoints differ, and what chance explains"))
    add_race(verbs.add_parser("race", help="run seeds side by side and pause those that cannot win"))
    explain = verbs.add_parser("explain", help="say what a key of a recipe, an algorithm or a metric means")
    explain.add_argument("key", metavar="KEY", help="rlvr.steps, optimizer.learning_rate, dapo, clip_high, train/kl, …")
    verbs.add_parser("doctor", help="say what this machine can do and what is missing")
    add_sandbox(verbs.add_parser("sandbox", help="say how well model-written code is kept in"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
