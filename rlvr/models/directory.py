"""What can be told of a model's directory without loading it; no torch."""

import json
from pathlib import Path

from rlvr.errors import ModelError, RunError
from rlvr.runs.folder import Run, is_run
from rlvr.runs.publish import MANIFEST, damages, latest_whole

REWARD_MODEL_HINT = (
    'a [[stage]] of kind = "reward_model" makes one: AutoModelForSequenceClassification with num_labels = 1'
)


def check_directory(path: Path) -> None:
    """Raises ModelError when `path` is a run folder, or a published checkpoint whose files are not as written."""
    if is_run(path):
        inside = _last_checkpoint(path)
        raise ModelError(
            f"{str(path)!r} is a run folder; a model directory was expected",
            hint=f"its last whole checkpoint is {inside}" if inside else "it holds no whole checkpoint yet",
        )
    if (path / MANIFEST).is_file() and (found := damages(path)):
        raise ModelError(
            f"{str(path)!r} is a damaged checkpoint: {found[0]}",
            hint=f"restore it from a copy; a folder that was changed on purpose is taken without {MANIFEST}",
        )


def has_chat_template(path: Path) -> bool:
    """Whether the tokenizer in a model directory has a chat template. Raises ModelError where that cannot be read."""
    if (path / "chat_template.jinja").is_file() or any(path.glob("additional_chat_templates/*.jinja")):
        return True
    file = path / "tokenizer_config.json"
    if not file.is_file():
        return False
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}", hint="copy the model again") from error
    return isinstance(config, dict) and bool(config.get("chat_template"))


def check_one_number(path: str, architecture: str, labels: int) -> None:
    """Raises ModelError where the network in `path` has no head that gives one number per token, by its class's name.

    `architecture` is empty where config.json names none.
    """
    if not architecture.endswith("ForSequenceClassification"):
        what = f"is {architecture}" if architecture else "names no architecture"
        raise ModelError(
            f"{path!r} {what}, which gives no number per token; a reward model or critic was expected",
            hint=REWARD_MODEL_HINT,
        )
    if labels != 1:
        raise ModelError(
            f"the head of {path!r} gives {labels} numbers per token, one was expected",
            hint="a classifier of several labels is no reward model; train one with num_labels = 1",
        )


def check_reward_model(path: Path) -> None:
    """Raises ModelError when a directory holds no network with one number per token, as far as its files say."""
    check_directory(path)
    file = path / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}", hint=REWARD_MODEL_HINT) from error
    if not isinstance(config, dict):
        raise ModelError(f"{file} holds no object", hint=REWARD_MODEL_HINT)
    names = config.get("architectures") or [""]
    check_one_number(str(path), str(names[0]), len(config.get("id2label") or "12"))


def _last_checkpoint(path: Path) -> Path | None:
    """Gives the last whole checkpoint of a run: its own, else that of the last of its stages or rounds that has one."""
    own = Run(path)
    inner = [run for stage in own.stages or own.children for run in (stage, *stage.children)]
    for run in (own, *reversed(inner)):
        try:
            found = latest_whole(run.checkpoints)
        except RunError:
            continue
        if found is not None:
            return found[0]
    return None
