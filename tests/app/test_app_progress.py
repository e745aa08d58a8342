"""Progress: plain lines without control characters where stderr is no terminal; rate and time left."""

import io

import pytest

from rlvr.app.progress import Progress, StageListener, duration_text


def test_a_file_gets_plain_lines_and_always_the_last_one() -> None:
    stream = io.StringIO()
    with Progress(stream, line_seconds=1000) as progress:
        listener = progress.stage("1-sft", 3)
        for step in range(3):
            listener(step, {"train/loss": 0.5 - step / 10})
        progress.note("done [all] of it")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("1-sft  1/3  ")
    assert "loss 0.500" in lines[0]
    assert lines[1].startswith("1-sft  3/3  done · loss 0.300")
    assert lines[2] == "done [all] of it"
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_rate_and_time_left_count_the_steps_of_this_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("rlvr.app.progress.time.monotonic", lambda: now[0])
    listener = StageListener("x", None, 0, lambda _: None)
    listener.expect(50, start=40)
    assert listener.seconds_left is None
    now[0] = 110.0
    listener(43, {})
    # 4 steps (40 to 43) in 10 s: 0.4 a second; 6 are left: 15 s
    assert listener.steps_per_second == pytest.approx(0.4)
    assert listener.seconds_left == pytest.approx(15.0)
    assert listener.line() == "x  44/50  15 s left · 2.5 s/step"


def test_an_unknown_total_has_no_time_left() -> None:
    listener = StageListener("x", None, 0, lambda _: None)
    listener(0, {"rollout/outcome_mean": 0.25, "rollout/informative_rate": 0.5, "train/loss": float("nan")})
    assert listener.line().startswith("x  1/?  outcome 25.0% · informative 50%")
    assert "left" not in listener.line()
    assert "loss" not in listener.line()


def test_held_out_results_of_several_domains_are_shown_as_their_mean() -> None:
    listener = StageListener("x", 1, 0, lambda _: None)
    listener(0, {"eval/pass_at_1/a": 0.2, "eval/pass_at_1/b": 0.4})
    assert "held-out 30.0%" in listener.words()


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.7, "1:00 min"), (185, "3:05 min"), (7800, "2:10 h")])
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
