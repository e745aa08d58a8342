"""Which GPUs racers see: those that the race itself may use, counted when it runs."""

from pathlib import Path

import pytest

from rlvr.app.race.local import LocalExecutor, at_once_on, gpu_names
from rlvr.stages.race.executor import Job


@pytest.mark.parametrize(
    ("count", "visible", "names"),
    [
        (2, None, ("0", "1")),
        (2, "4,5", ("4", "5")),
        (2, " GPU-1f , GPU-2a", ("GPU-1f", "GPU-2a")),
        (1, "3,99", ("3",)),  # what is not there ends the list
        (0, "", ()),
        (0, None, ()),
    ],
)
def test_gpus_are_named_as_the_user_named_them(count: int, visible: str | None, names: tuple[str, ...]) -> None:
    assert gpu_names(count, visible) == names


def test_as_many_racers_share_a_gpu_as_before_when_there_are_others() -> None:
    assert at_once_on(2, asked=8, counted=8) == 2
    assert at_once_on(4, asked=4, counted=2) == 8
    assert at_once_on(8, asked=1, counted=8) == 1
    assert at_once_on(0, asked=4, counted=4) == 1
    assert at_once_on(0, asked=3, counted=0) == 3


def test_each_racer_sees_a_gpu_of_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Started:
        def __init__(self, command: object, env: dict[str, str], **_: object) -> None:
            seen.append(env["CUDA_VISIBLE_DEVICES"])

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.setattr("rlvr.app.race.local.subprocess.Popen", Started)
    executor = LocalExecutor({name: tmp_path / name for name in "abc"}, at_once=3, gpus=("4", "5"))
    for name in "abc":
        executor.submit(Job(name, 2))
    assert seen == ["4", "5", "4"]
