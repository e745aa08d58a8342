import sys
from types import ModuleType, SimpleNamespace

import pytest

from rlvr.errors import UsageError
from rlvr.runs.folder import Run
from rlvr.runs.sinks import SINKS


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "demo", config={"seed": 1}, provenance={})


@pytest.mark.parametrize(("name", "module"), [("tensorboard", "tensorboard"), ("wandb", "wandb")])
def test_a_missing_package_says_what_to_install(run, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"pip install rlvr\[{name}\]"):
        SINKS[name](run)


def test_tensorboard_gets_each_metric_at_its_step(run, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder: str) -> None:
            written.append(folder)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def flush(self) -> None:
            written.append("flush")

    summary = ModuleType("tensorboard.summary")
    summary.Writer = Writer
    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "tensorboard.summary", summary)
    run.listeners.append(SINKS["tensorboard"](run))
    with run.step(3) as record:
        record.metrics({"train/loss": 0.5})
    assert written[:2] == [str(run.path / "tensorboard"), ("train/loss", 0.5, 3)]
    assert written[-1] == "flush"


def test_weights_and_biases_stays_offline_inside_the_run(run, monkeypatch):
    started, logged = {}, []

    def init(**options: object) -> SimpleNamespace:
        started.update(options)
        return SimpleNamespace(log=lambda values, step: logged.append((values["train/loss"], step)))

    library = ModuleType("wandb")
    library.init = init
    monkeypatch.setitem(sys.modules, "wandb", library)
    run.listeners.append(SINKS["wandb"](run))
    with run.step(3) as record:
        record.metrics({"train/loss": 0.5})
    assert (started["mode"], started["dir"], started["name"]) == ("offline", str(run.path), "demo")
    assert logged == [(0.5, 3)]


def test_tensorboard_files_can_be_read_back(run):
    pytest.importorskip("tensorboard", reason="TensorBoard is an extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run.listeners.append(SINKS["tensorboard"](run))
    with run.step(3) as record:
        record.metrics({"train/loss": 0.5})
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    (event,) = events.Tensors("train/loss")
    assert (event.step, event.tensor_proto.float_val[0]) == (3, 0.5)


def test_weights_and_biases_itself_writes_an_offline_run(run, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="Weights & Biases is an extra")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run.listeners.append(SINKS["wandb"](run))
    with run.step(3) as record:
        record.metrics({"train/loss": 0.5})
    wandb.finish()
    assert list((run.path / "wandb").glob("offline-run-*"))
