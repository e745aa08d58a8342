"""The scripted engine says what its function says."""

from dataclasses import replace

import numpy as np
import pytest

from rlvr.engines.base import Request, Sampling
from rlvr.engines.scripted import ScriptedEngine
from rlvr.errors import EngineError

ASK = Request(3, 40, np.array([5, 6]), 2, Sampling(1.0, 4, (1,), 0, "train"))


def test_replies_are_tokenized_stopped_and_carry_the_version(tokenizer, run_all):
    seen = []

    def reply(prompt, request, sample_index):
        seen.append((prompt, request.draw_index, sample_index))
        return "w7 w8" if sample_index == 0 else "w9 w9 w9 w9 w9"

    engine = ScriptedEngine(reply, tokenizer)
    engine.load_weights(None, version=2)
    done = run_all(engine, [ASK])
    assert seen == [("w5 w6", 40, 0), ("w5 w6", 40, 1)]
    first, second = done[3, 0].completion, done[3, 1].completion
    assert (first.token_ids.tolist(), first.text, first.finish, first.policy_version) == ([7, 8, 1], "w7 w8", "stop", 2)
    assert first.logprobs.tolist() == [0.0, 0.0, 0.0]
    assert first.trainable.tolist() == [True, True, True]
    # four of the five tokens fit max_new_tokens = 4, so the stop token is not reached
    assert (second.token_ids.tolist(), second.text, second.finish) == ([9] * 4, "w9 w9 w9 w9", "length")


def test_a_reply_that_leaves_no_room_for_the_stop_token_finishes_by_length(tokenizer, run_all):
    done = run_all(ScriptedEngine(lambda *_: "w2 w3 w4 w5", tokenizer), [ASK])
    assert (done[3, 0].completion.token_ids.tolist(), done[3, 0].completion.finish) == ([2, 3, 4, 5], "length")


def test_requests_are_answered_one_per_step_in_order(tokenizer):
    engine = ScriptedEngine(lambda *_: "w2", tokenizer)
    engine.submit([ASK, replace(ASK, id=1)])
    assert [f.request_id for f in engine.step()] == [3, 3]
    assert [f.request_id for f in engine.step()] == [1, 1]
    assert engine.step() == []


def test_ids_in_flight_must_differ_and_a_sleeping_engine_refuses(tokenizer):
    engine = ScriptedEngine(lambda *_: "w2", tokenizer)
    with pytest.raises(EngineError, match="id 3 is already in flight"):
        engine.submit([ASK, ASK])
    engine.submit([ASK])
    engine.sleep()
    with pytest.raises(EngineError, match="asleep"):
        engine.step()
    engine.wake()
    assert len(engine.step()) == 2
