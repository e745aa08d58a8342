"""Listeners that copy a run's metrics to TensorBoard or Weights & Biases, where those are installed."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from rlvr.errors import UsageError
from rlvr.runs.folder import Listener, Run


def tensorboard(run: Run) -> Listener:
    """Gives a listener that writes event files to the run's folder tensorboard/.

    Raises UsageError when TensorBoard is not installed.
    """
    summary = _load("tensorboard.summary", extra="tensorboard")
    writer = summary.Writer(str(run.path / "tensorboard"))

    def listen(step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return listen


def wandb(run: Run) -> Listener:
    """Gives a listener that logs offline to the run's folder wandb/; `wandb sync` sends it when the user wants.

    Raises UsageError when Weights & Biases is not installed.
    """
    library = _load("wandb", extra="wandb")
    session = library.init(
        project="rlvr", name=run.path.name, dir=str(run.path), config=run.config(), mode="offline", reinit="create_new"
    )

    def listen(step: int, metrics: Mapping[str, float]) -> None:
        session.log(dict(metrics), step=step)

    return listen


SINKS = {"tensorboard": tensorboard, "wandb": wandb}


def _load(module: str, *, extra: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.partition(".")[0]):
            raise
        raise UsageError(
            f"the sink {extra} needs a package that is not installed", hint=f"pip install rlvr[{extra}]"
        ) from error
