"""Kills a run of all stages with SIGKILL, resumes it, and compares the ending bit for bit with an undisturbed run.

    python benchmarks/kill_resume.py --kills 40

Prints one line per ending and a summary. Half of the kills come after a keyed random time, the other half at a keyed
random dealing with the disk (a file opened, renamed, removed; a folder made), so that unfinished checkpoints are met.
Every run is a process of its own, forked from one that has only imported the libraries.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).parent))

from rlvr import keyed
from rlvr.types import Completion, Demonstration, Document, Preference, Task, Verdict

WORDS = (*"abcdefghij", "cat", "dog", "bird", "red", "green", "blue", "old", "new", "big", "small")
RECIPE = """
name = "run"
seed = 5
threads = 1
runs = "{runs}"
[model{model}
[evaluation]
data = ["kill_resume:tasks:evaluation"]
text = ["kill_resume:documents:evaluation"]
samples = 4
max_completion_tokens = 8
[[stage]]
kind = "pretrain"
data = ["kill_resume:documents:train"]
sequences_per_update = 8
max_length = 64
checkpoint_every = 2
[[stage]]
kind = "sft"
data = ["kill_resume:demonstrations:train"]
sequences_per_update = 8
max_length = 64
batching = "packed"
checkpoint_every = 1
optimizer = {{ learning_rate = 1e-3 }}
[[stage]]
kind = "dpo"
data = ["kill_resume:preferences:train"]
sequences_per_update = 4
max_length = 64
checkpoint_every = 3
optimizer = {{ learning_rate = 1e-3 }}
[[stage]]
kind = "dpo"
name = "own-pairs"
pairs = "policy"
data = ["kill_resume:tasks:train"]
group_size = 4
max_completion_tokens = 56
sequences_per_update = 4
max_length = 64
checkpoint_every = 1
optimizer = {{ learning_rate = 1e-3 }}
[[stage]]
kind = "rlvr"
algorithm = {{ preset = "grpo", updates_per_step = 2 }}
data = ["kill_resume:tasks:train", {{ source = "arithmetic", split = "train", limit = 8 }}]
steps = 6
prompts_per_step = 4
group_size = 4
max_completion_tokens = 8
checkpoint_every = 2
evaluate_every = 3
optimizer = {{ learning_rate = 1e-3 }}
[[stage]]
kind = "rlvr"
name = "more"
continues = true
algorithm = {{ preset = "grpo", updates_per_step = 2 }}
data = ["kill_resume:tasks:train", {{ source = "arithmetic", split = "train", limit = 8 }}]
steps = 2
prompts_per_step = 4
group_size = 4
max_completion_tokens = 8
checkpoint_every = 1
conditions = {{ tasks = 0 }}
optimizer = {{ learning_rate = 1e-3 }}
[[stage]]
kind = "iterate"
algorithm = {{ preset = "grpo", updates_per_step = 1 }}
data = ["kill_resume:tasks:train"]
rounds = 2
steps = 1
candidates = 6
candidate_samples = 8
prompts_per_step = 2
group_size = 4
max_completion_tokens = 8
checkpoint_every = 1
optimizer = {{ learning_rate = 1e-3 }}
"""
SETTINGS = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
NEW_MODEL = f""".new]
architecture = "llama"
settings = {{ {", ".join(f"{key} = {value}" for key, value in SETTINGS.items())} }}
tokenizer = {{ vocabulary_size = 400 }}
"""
DEADLINE_SECONDS = 300.0


def _words(purpose: str, split: str, index: int, count: int) -> str:
    picks = keyed.integers(3, f"{purpose}/{split}", len(WORDS), index, list(range(count)))
    return " ".join(WORDS[i] for i in picks)


def _question(split: str, index: int) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": f"Say {_words('question', split, index, 2 + index % 3)}."},)


def documents(split: str) -> Iterator[Document]:
    """Yields 64 documents of keyed random words."""
    for i in range(64):
        yield Document(f"document-{split}-{i}", _words("document", split, i, 4 + i % 20), "words")


def demonstrations(split: str) -> Iterator[Demonstration]:
    """Yields 40 conversations of keyed random words."""
    for i in range(40):
        turn = {"role": "assistant", "content": _words("answer", split, i, 1 + i % 5)}
        yield Demonstration(f"demonstration-{split}-{i}", (*_question(split, i), turn), "words")


def preferences(split: str) -> Iterator[Preference]:
    """Yields 24 preferences between keyed random words."""
    for i in range(24):
        chosen, rejected = _words("chosen", split, i, 3), _words("rejected", split, i, 4)
        yield Preference(f"preference-{split}-{i}", _question(split, i), chosen, rejected, "words")


def tasks(split: str) -> Iterator[Task]:
    """Yields 24 tasks for `even`."""
    for i in range(24 if split == "train" else 8):
        yield Task(f"task-{split}-{i}", _question(split, 100 + i), None, "kill_resume:even", "words", "words")


def even(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the number of letters is even: about half of whatever a model says."""
    return Verdict(float(sum(letter.isalpha() for letter in completion.text) % 2 == 0), "ok")


def make_base(folder: Path) -> None:
    """Writes a tiny model with its tokenizer."""
    import torch

    from rlvr.models.policy import create_model
    from rlvr.models.tokenizer import train_tokenizer

    tokenizer = train_tokenizer((d.text for d in documents("train")), vocab_size=400, max_length=128)
    model = create_model("llama", SETTINGS, tokenizer=tokenizer, seed=1, device=torch.device("cpu"))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def go_on(recipe: Path, run: Path) -> None:
    """Starts the recipe, or resumes its run where one stands."""
    from rlvr.app.pipeline import resume, start
    from rlvr.config.reading import read_recipe
    from rlvr.runs.folder import is_run

    if is_run(run):
        resume(run)
    else:
        start(read_recipe(recipe))


def in_child(work: Callable[[], object], log: Path) -> int:
    """Runs `work` in a forked process of its own session and gives its process id; its output goes to `log`."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def finish(work: Callable[[], object], log: Path) -> None:
    """Runs `work` in a child to its end. Raises SystemExit when it fails."""
    code = os.waitstatus_to_exitcode(os.waitpid(in_child(work, log), 0)[1])
    if code:
        raise SystemExit(f"exit code {code}:\n{log.read_text()[-3000:]}")


def die_after_dealings(folder: Path, dealings: int) -> None:
    """Has this process kill itself when it deals with the disk under `folder` for that time."""
    left = dealings

    def dealing(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir") and str(folder) in str(arguments[0]):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(dealing)


def count_dealings(folder: Path, out: Path, work: Callable[[], object]) -> None:
    """Runs `work` and writes how often it dealt with the disk under `folder`."""
    count = 0

    def dealing(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        count += event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir") and str(folder) in str(
            arguments[0]
        )

    sys.addaudithook(dealing)
    work()
    out.write_text(str(count))


def kill_once(recipe: Path, run: Path, log: Path, *, seconds: float | None, dealings: int | None) -> bool:
    """Starts or resumes a run and kills it at the given instant; gives whether the kill came before the end."""

    def work() -> None:
        if dealings is not None:
            die_after_dealings(run, dealings)
        go_on(recipe, run)

    child = in_child(work, log)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"exit code {code}:\n{log.read_text()[-3000:]}")
    return code != 0


def compare(first: Path, second: Path, folder: Path) -> list[str]:
    """Gives the differences between two runs, found in a child so that this process starts no thread."""
    out = folder / "differences.txt"

    def work() -> None:
        from rlvr.runs.sameness import differences

        out.write_text("\n".join(differences(first, second)))

    finish(work, folder / "compare.log")
    return out.read_text().splitlines()


def where(run: Path) -> str:
    """Gives the stage folder that was worked in last."""
    stages = [path.name for path in run.glob("[0-9]-*") if path.is_dir()]
    files = [path for path in run.rglob("*") if path.is_file()]
    latest = max(files, key=lambda path: path.stat().st_mtime_ns, default=None)
    inside = latest.relative_to(run).parts[0] if latest else "nothing"
    return inside if inside in stages else "start"


def write_recipe(folder: Path, base: Path | None) -> tuple[Path, Path]:
    """Gives a recipe in `folder`, from `base` or a new model, and where its run will be."""
    folder.mkdir(parents=True)
    recipe = folder / "recipe.toml"
    model = NEW_MODEL if base is None else f']\npath = "{base}"'
    recipe.write_text(RECIPE.format(runs=folder / "runs", model=model))
    return recipe, folder / "runs" / "run"


def undisturbed(folder: Path, base: Path | None) -> tuple[Path, float, int]:
    """Gives an undisturbed run, its seconds and its dealings with the disk."""
    recipe, run = write_recipe(folder, base)
    began = time.monotonic()
    finish(lambda: count_dealings(run, folder / "dealings", lambda: go_on(recipe, run)), folder / "log")
    return run, time.monotonic() - began, int((folder / "dealings").read_text())


def ending(
    folder: Path, base: Path | None, reference: tuple[Path, float, int], *, seed: int, kills: int
) -> tuple[list[str], int]:
    """Kills a new run up to `kills` times, finishes it, compares, prints a line; gives differences and kills.

    A run that ends before its instant comes is not killed, and not counted as such.
    """
    good, seconds, dealings = reference
    recipe, run = write_recipe(folder, base)
    places: list[str] = []
    for number in range(kills):
        at, timed = keyed.uniform(seed, "kill", number, [0, 1])
        if timed < 0.5:
            alive = kill_once(recipe, run, folder / "log", seconds=at * seconds, dealings=None)
            instant = f"{at * seconds:.2f} s"
        else:
            alive = kill_once(recipe, run, folder / "log", seconds=None, dealings=1 + int(at * dealings))
            instant = f"dealing {1 + int(at * dealings)}"
        if not alive:
            break
        places.append(f"{where(run)} ({instant})")
    finish(lambda: go_on(recipe, run), folder / "log")
    found = compare(good, run, folder)
    killed = f"killed in {', '.join(places)}" if places else "ended before its kill"
    print(f"ending {seed}: {killed}: {found[0] if found else 'bit-equal'}", flush=True)
    return found, len(places)


def main() -> int:
    """Makes the endings that the command line asks for; 0 when all are bit-equal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=40, help="how many kills in all (default 40)")
    parser.add_argument("--per-ending", type=int, default=1, help="kills of one run before it may end (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the instants (default 0)")
    options = parser.parse_args()
    import rlvr.app.pipeline  # noqa: F401  imported once, so that a forked run begins at once

    endings = bad = kills = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        finish(lambda: make_base(root / "base"), root / "base.log")
        references = {base: undisturbed(root / f"undisturbed-{base is None}", base) for base in (root / "base", None)}
        while kills < options.kills:
            base = None if endings % 8 == 7 else root / "base"
            seed = options.seed * 10_000 + endings
            left = min(options.per_ending, options.kills - kills)
            found, landed = ending(root / f"ending-{endings}", base, references[base], seed=seed, kills=left)
            bad, kills, endings = bad + bool(found), kills + landed, endings + 1
    print(f"{endings - bad} of {endings} endings bit-equal after {kills} kills")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
