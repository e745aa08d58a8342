"""The judge against `transformers serve`, with a tiny local model whose weights are set so that it says one line."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoint import completion, settings, task

from rlvr.types import Verdict
from rlvr.verifiers.judge import client
from rlvr.verifiers.judge.judge import Judge

CODE = "c0dec0dec0de"
LINE = json.dumps({"code": CODE, "verdict": "yes"})
START_SECONDS = 240.0


def write_model(folder: Path) -> Path:
    """A Llama whose layers add nothing: after LINE comes the end, after any other token comes LINE."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {"<unk>": 0, "<end>": 1, LINE: 2}
    raw = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", eos_token="<end>", pad_token="<end>", chat_template=template
    ).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=3, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=4096, bos_token_id=None, eos_token_id=1, pad_token_id=1, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(3, 8))
        model.lm_head.weight.zero_()
        model.lm_head.weight[2, :2] = 1.0  # after <unk> and <end>
        model.lm_head.weight[1, 2] = 1.0  # after LINE
    model.save_pretrained(folder)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"transformers serve did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a running server, and the name of its model."""
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        pytest.skip("transformers serve needs fastapi and uvicorn")
    folder = tmp_path_factory.mktemp("served")
    model = str(write_model(folder / "model"))
    port, log = free_port(), folder / "log"
    program = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", model]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*program, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            stdout=out, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip
        try:
            wait_until_up(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1", model
        finally:
            server.terminate()
            try:
                server.wait(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def ask(url: str, model: str) -> tuple[Verdict, Judge]:
    async def inside() -> tuple[Verdict, Judge]:
        async with Judge(settings(url, model=model, max_reply_tokens=8, price_out_per_million=1.0)) as judge:
            return await judge.verify(task(), completion("4")), judge

    return asyncio.run(inside())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_server_is_asked_and_its_reply_read(served: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    # The model says one line, so its code has to be the one of the request.
    monkeypatch.setattr(client, "fresh_code", lambda inquiry: CODE)
    verdict, judge = ask(*served)
    assert (verdict.outcome, verdict.status) == (1.0, "ok")
    assert judge.counts.requests == 1
    assert judge.counts.tokens_in > 50
    assert 1 <= judge.counts.tokens_out <= 8
    assert judge.counts.cost == pytest.approx(judge.counts.tokens_out / 1e6)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_line_with_another_code_is_no_verdict(served: tuple[str, str]) -> None:
    verdict, judge = ask(*served)
    assert (verdict.outcome, verdict.status) == (None, "judge_error")
    assert (judge.counts.requests, judge.counts.unreadable) == (2, 2)
