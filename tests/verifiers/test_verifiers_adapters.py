"""Verifiers as other trainers call them: a plain function, TRL's reward function, verl's compute_score."""

import asyncio
import importlib.util
import inspect
import json
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rlvr.errors import UsageError
from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.adapters import compute_score, compute_scores, reward, trl_reward

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "verifiers.md"

PAIRS = [(r"\boxed{4}", "4"), (r"\boxed{5}", "4"), (r"\boxed{1+x}", "x+1"), (r"\boxed{2+x}", "x+1"), ("none", "4")]
OUTCOMES = [1.0, 0.0, 1.0, 0.0, 0.0]


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def raising(task: Task, completion: Completion) -> Verdict:
    if "bomb" in completion.text:
        raise ValueError("boom")
    return Verdict(1.0, "ok", str(task.reference))


def run(program: str) -> str:
    """Runs a program in an interpreter of its own: it forks, and this one has threads."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# The plain function.


def test_a_plain_function_tells_right_wrong_and_could_not_tell() -> None:
    judge = reward("math")
    assert [judge(text, answer) for text, answer in PAIRS] == OUTCOMES
    assert judge(r"\boxed{4}", None) is None
    assert judge(None, "4") is None
    assert reward("math", options={"slot": "marked"})("so\n#### 4", "4") == 1.0


def test_an_unknown_verifier_is_named_at_once() -> None:
    for adapter in (reward, trl_reward):
        with pytest.raises(UsageError, match="no verifier 'maths'"):
            adapter("maths")


def test_the_text_of_a_conversation_is_the_last_turn_of_the_assistant() -> None:
    judge = reward("math")
    tried = [{"role": "assistant", "content": r"\boxed{5}"}, {"role": "tool", "content": r"\boxed{6}"}]
    assert judge([*tried, {"role": "assistant", "content": r"\boxed{4}"}], "4") == 1.0
    assert judge(tried, "4") == 0.0
    assert judge(tried, "5") == 1.0
    assert judge([{"content": r"\boxed{4}"}], "4") == 1.0
    parts = [{"type": "text", "text": r"\boxed"}, {"type": "image"}, {"type": "text", "text": "{4}"}, None]
    assert judge([{"role": "assistant", "content": parts}], "4") == 1.0


@pytest.mark.parametrize("nothing", [[], [None], [{"role": "user", "content": r"\boxed{4}"}], [{"content": None}]])
def test_a_conversation_in_which_the_assistant_says_nothing_is_wrong(nothing: Any) -> None:
    assert reward("math")(nothing, "4") == 0.0


def test_references_that_columns_have_changed_are_read_as_they_were_meant() -> None:
    judge = reward("math")
    assert [judge(r"\boxed{4}", answer) for answer in (4, 4.0, ["4"], [4], {"answer": "4", "slot": None})] == [1.0] * 5
    assert [judge(r"\boxed{1}", answer) for answer in (True, ["1", "2"], {"answer": None})] == [None] * 3
    own = trl_reward(f"{__name__}:raising", name="own")
    extra: dict[str, list[Any]] = {}
    own(completions=["x"], answer=[{"a": None}], log_extra=extra.__setitem__)
    assert extra["own/extracted"] == ["{'a': None}"]


def test_it_works_from_many_threads_and_inside_a_running_loop() -> None:
    judge = reward("math")
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda pair: judge(*pair), PAIRS * 8)) == OUTCOMES * 8

    async def inside() -> list[float | None]:
        loop = asyncio.get_running_loop()
        elsewhere = [loop.run_in_executor(None, judge, *pair) for pair in PAIRS]
        return [judge(*pair) for pair in PAIRS] + list(await asyncio.gather(*elsewhere))

    assert asyncio.run(inside()) == OUTCOMES * 2


def test_it_can_be_pickled_and_works_in_spawned_processes() -> None:
    assert pickle.loads(pickle.dumps(trl_reward("math", name="m"))).__name__ == "m"
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as workers:
        texts, answers = zip(*PAIRS, strict=True)
        assert list(workers.map(reward("math"), texts, answers)) == OUTCOMES
        told = workers.submit(trl_reward("math"), completions=texts, answer=answers)
        assert told.result(timeout=120) == OUTCOMES


@pytest.mark.skipif(sys.platform != "linux", reason="stops processes and looks at them in /proc")
def test_a_fork_gets_a_pool_of_its_own_whatever_the_parent_is_doing() -> None:
    # The parent's workers are stopped with the very question under way, and the pool's lock is held while it forks.
    program = """
        import os, signal, threading, time
        from rlvr.verifiers import pool, pooled
        from rlvr.verifiers.adapters import reward

        judge = reward("math")
        assert judge(r"\\boxed{1+x}", "x+1") == 1.0
        parents = pool.shared().worker_pids()
        for pid in parents:
            os.kill(pid, signal.SIGSTOP)
        asking = threading.Thread(target=judge, args=(r"\\boxed{2+x}", "x+2"))
        asking.start()
        while len(pooled.memory._replies) < 2:
            time.sleep(0.01)
        with pool._shared_lock:
            child = os.fork()
        if child == 0:
            signal.alarm(120)
            right = [judge(r"\\boxed{2+x}", "x+2"), judge(r"\\boxed{3+x}", "x+2")] == [1.0, 0.0]
            own = pool.shared().worker_pids()
            pool.close_shared()
            os._exit(0 if right and own and not set(own) & set(parents) else 1)
        status = os.waitpid(child, 0)[1]
        for pid in parents:
            os.kill(pid, signal.SIGCONT)
        asking.join(120)
        assert set(pool.shared().worker_pids()) >= set(parents), "the child has ended the parent's workers"
        print(status, judge(r"\\boxed{3+x}", "x+3"))
    """
    assert run(program).split() == ["0", "1.0"]


def test_it_works_in_forked_process_pools() -> None:
    program = f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from rlvr.verifiers.adapters import reward

        judge, pairs = reward("math"), {PAIRS!r}
        before = [judge(*pair) for pair in pairs]
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as workers:
            print(before == list(workers.map(judge, *zip(*pairs))) == {OUTCOMES!r})
    """
    assert run(program).split() == ["True"]


# TRL.


class Trainer:
    """What GRPOTrainer gives a reward function, by its documented contract: keyword arguments only."""

    def __init__(self) -> None:
        self.extra: dict[str, list[Any]] = {}
        self.metrics: dict[str, float] = {}

    def call(self, function: Any, completions: list[Any], /, **columns: list[Any]) -> list[float | None]:
        return function(
            prompts=["?"] * len(completions),
            completions=completions,
            completion_ids=[[1, 2]] * len(completions),
            **columns,
            trainer_state=object(),
            log_extra=self.extra.__setitem__,
            log_metric=self.metrics.__setitem__,
        )


def test_trl_gets_a_number_or_none_for_each_completion_and_logs_what_was_read() -> None:
    texts, answers = map(list, zip(*PAIRS, strict=True))
    trainer, function = Trainer(), trl_reward("math")
    assert trainer.call(function, [*texts, r"\boxed{7}"], answer=[*answers, None]) == [*OUTCOMES, None]
    assert function.__name__ == "math"
    assert trainer.extra == {
        "math/status": ["ok", "ok", "ok", "ok", "no_answer", "bad_reference"],
        "math/extracted": ["4", "5", "1+x", "2+x", "", ""],
    }
    assert trainer.metrics == {"math/could_not_tell_rate": 1 / 6}


def test_trl_conversations_and_texts_give_the_same() -> None:
    texts, answers = map(list, zip(*PAIRS, strict=True))
    talks = [[{"role": "assistant", "content": text}] for text in texts]
    assert Trainer().call(trl_reward(), talks, solution=answers) == OUTCOMES


def test_the_column_of_the_reference_is_the_named_one_or_the_first_of_three() -> None:
    columns = {"solution": ["3"], "answer": ["4"], "gold": ["5"]}

    def told(boxed: str, **given: str) -> list[float | None]:
        return Trainer().call(trl_reward("math", **given), [rf"\boxed{{{boxed}}}"], **columns)

    assert told("4") == told("5", answer_field="gold") == told("3", answer_field="solution") == [1.0]
    with pytest.raises(UsageError, match=r"no column 'final'; found: .*gold.*\n.*answer_field"):
        told("4", answer_field="final")
    with pytest.raises(UsageError, match="no column 'reference' or 'answer' or 'solution'; found: label"):
        trl_reward("math")(completions=["x"], label=["4"])


def test_a_dataset_may_have_columns_with_the_names_of_our_own_arguments() -> None:
    columns = {name: ["x"] for name in ("self", "verifier", "options", "name", "answer_field", "fields")}
    assert Trainer().call(trl_reward("math"), [r"\boxed{4}"], answer=["4"], **columns) == [1.0]


def test_one_bad_row_costs_only_itself() -> None:
    function = trl_reward(f"{__name__}:raising")
    assert function.__name__ == "raising"
    assert Trainer().call(function, ["fine", "a bomb", 7, None, "fine"], answer=["a"] * 5) == [1, None, None, None, 1]


def test_options_are_added_to_each_reference() -> None:
    function = trl_reward("math", options={"slot": "marked"}, name="marked")
    assert Trainer().call(function, ["#### 4", "#### 4"], answer=["4", {"answer": "5"}]) == [1.0, 0.0]


@pytest.mark.skipif(not (installed("trl") and installed("torch")), reason="trl is not installed here")
def test_the_installed_trl_trains_on_our_reward(tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    base = ROOT / "models" / "laptop-base"
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    rows = [
        {"prompt": [{"role": "user", "content": f"What is {n} + {n}?"}], "answer": {"pattern": r"\d"}} for n in range(8)
    ]
    config = GRPOConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=24,
        logging_steps=1,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        gradient_checkpointing=False,
    )
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        processing_class=tokenizer,
        reward_funcs=trl_reward("regex", options={"match": "anywhere", "slot": "whole"}),
        args=config,
        train_dataset=Dataset.from_list(rows),
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "rewards/regex/mean" in entry]
    assert len(logged) == 2
    assert all(0.0 <= entry["rewards/regex/mean"] <= 1.0 for entry in logged)
    assert [entry["regex/could_not_tell_rate"] for entry in logged] == [0.0, 0.0]


# verl.


def test_verl_gets_the_same_keys_for_every_row_and_a_number_where_the_verifier_could_not_tell() -> None:
    right = compute_score(
        data_source="openai/gsm8k", solution_str=r"\boxed{4}", ground_truth="4", extra_info={"num_turns": None}
    )
    untold = compute_score("openai/gsm8k", r"\boxed{4}", None, {})
    assert right == {"score": 1.0, "acc": 1.0, "told": 1.0, "pred": "4", "status": "ok"}
    assert untold == {"score": 0.0, "acc": 0.0, "told": 0.0, "pred": "", "status": "bad_reference"}
    wrong = compute_score("x", r"\boxed{5}", "4", reward_router_address=None, reward_model_tokenizer=None)
    assert (wrong["score"], wrong["told"]) == (0.0, 1.0)


def test_verl_names_the_verifier_in_its_reward_kwargs() -> None:
    score = compute_score("x", "It is B.", {"answer": "it is b"}, {}, verifier="exact")
    assert (score["score"], score["status"]) == (0.0, "ok")
    assert compute_score("x", "#### 4", "4", {}, verifier="math", options={"slot": "marked"})["score"] == 1.0
    with pytest.raises(UsageError, match="no verifier 'maths'"):
        compute_score("x", "4", "4", {}, verifier="maths")


def test_verls_batch_reward_manager_gets_one_score_per_row_in_order() -> None:
    texts, answers = map(list, zip(*PAIRS, strict=True))
    scores = compute_scores(
        data_sources=["x"] * 5, solution_strs=texts, ground_truths=answers, extra_infos=[{}] * 5, verifier="math"
    )
    assert [score["score"] for score in scores] == OUTCOMES
    assert {tuple(score) for score in scores} == {("score", "acc", "told", "pred", "status")}


def test_a_score_reads_as_a_number_where_verl_takes_the_first_item_of_what_is_no_number() -> None:
    # Its prime manager: float(result[0]); what raises there makes every score of the batch 0.
    score = pickle.loads(pickle.dumps(compute_score("x", r"\boxed{4}", "4")))
    assert float(score[0]) == 1.0
    assert 0 not in score
    with pytest.raises(KeyError):
        score["reward"]


@pytest.mark.skipif(not installed("verl"), reason="verl is not installed here")
def test_the_installed_verl_calls_its_own_function_as_ours_can_be_called() -> None:
    # Read, not imported: verl's package wants a GPU stack.
    package = Path(str(importlib.util.find_spec("verl").submodule_search_locations[0]))  # type: ignore[union-attr, index]
    source = (package / "utils" / "reward_score" / "__init__.py").read_text(encoding="utf-8")
    theirs = re.search(r"def default_compute_score\(\s*(.*?)\):", source, re.DOTALL)
    assert theirs is not None
    names = [part.split("=")[0].split(":")[0].strip() for part in theirs[1].split(",") if part.strip()]
    assert names[:4] == list(inspect.signature(compute_score).parameters)[:4]
    managers = "".join(path.read_text(encoding="utf-8") for path in package.rglob("reward_manager/*.py"))
    for call in re.findall(r"compute_score\(\s*((?:\w+=[\w.]+,\s*)+)", managers):
        given = dict.fromkeys(re.findall(r"(\w+)=", call))
        function = compute_scores if "data_sources" in given else compute_score
        inspect.signature(function).bind(**given)


# The page.


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def printed(words: Sequence[str], folder: Path) -> str:
    """What a fresh interpreter prints in that folder; it has to end well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=300, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_of_the_page_runs_and_prints_what_the_page_says(tmp_path: Path) -> None:
    # A block that begins with a file's name is that file; a comment behind print(…) or below a loop is what it prints.
    program = []
    for block in blocks("python"):
        if named := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / named[1]).write_text(block, encoding="utf-8")
        elif "from trl" not in block:
            program.append(block)
    text = "\n".join(program)
    below = re.findall(r"^# (?!prints:)(.*)$", text, re.MULTILINE)
    expected = below + re.findall(r"^print\(.*\)  # (.*)$", text, re.MULTILINE)
    assert printed(["-c", text], tmp_path).splitlines() == expected
    assert len(expected) == 15


def test_the_files_and_commands_of_the_page_give_the_shown_output(tmp_path: Path) -> None:
    (rows,) = blocks("jsonl")
    (tmp_path / "answers.jsonl").write_text(rows, encoding="utf-8")
    (shown,) = (block for block in blocks("console") if "verify math" in block)
    command, _, output = shown.partition("\n")
    found = printed(["-m", "rlvr.app.cli", *command.removeprefix("$ rlvr ").split()], tmp_path)

    def told(text: str) -> list[str]:
        return [" ".join(line.split()) for line in text.splitlines()[1:] if line.strip()]

    assert told(found) == told(output)
    assert [json.loads(line)["id"] for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()] == [
        json.loads(line)["id"] for line in rows.splitlines()
    ]
