"""`rlvr evaluate --suite`: an endpoint and a checkpoint, results on disk, contamination, and what is refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from endpoint import KEY, Reply, endpoint, part, says

from rlvr.app.cli import main
from rlvr.config.reading import read_recipe, resolved_json
from rlvr.runs.folder import Run
from rlvr.statistics.intervals import rate_interval

ROOT = Path(__file__).parents[2]
PROBLEM = "A wagon carries {n} crates of pears and {n} crates of plums to the market. How many crates are that?"


@pytest.fixture
def gsm8k(tmp_path: Path) -> Path:
    """Six problems in the published layout; problem n has the answer 2n."""
    rows = [
        {"question": PROBLEM.format(n=n), "answer": f"{n} + {n} = <<{n}+{n}={2 * n}>>\n#### {2 * n}"} for n in range(6)
    ]
    path = tmp_path / "gsm8k_test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sums(body: dict[str, Any]) -> Reply:
    """Right for problems below 4; wrong ones all say 99."""
    number = int(re.findall(r"\d+", body["messages"][-1]["content"])[0])
    answer = 2 * number if number < 4 else 99
    return Reply(f"So \\boxed{{{answer}}}.", usage={"prompt_tokens": 30, "completion_tokens": 8})


def evaluated(capsys: pytest.CaptureFixture[str], *words: Any) -> dict[str, Any]:
    assert main(["evaluate", *map(str, words), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def refused(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    assert main(["evaluate", *map(str, words)]) in (1, 2)
    return capsys.readouterr().err


def test_an_endpoint_is_scored_and_the_results_are_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, gsm8k: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUITE_KEY", KEY)
    out = tmp_path / "out"
    words = ["--suite", "gsm8k", "--suite-path", f"gsm8k={gsm8k}", "--samples", 4, "--output", out]
    with endpoint(sums) as seen:
        asked = [seen.url, "--model", "stub", "--api-key-env", "SUITE_KEY", *words]
        found = evaluated(capsys, *asked)
        assert len(seen.requests) == 24
        assert set(seen.keys) == {f"Bearer {KEY}"}
        assert found == evaluated(capsys, *asked)
        assert len(seen.requests) == 24  # all answers were on disk
    (suite,) = found["suites"]
    figures = {figure["name"]: figure for figure in suite["figures"]}
    expected = rate_interval([1, 1, 1, 1, 0, 0])
    for name in ("pass@1", "pass@2", "pass@4", "maj@4"):
        assert (figures[name]["mean"], figures[name]["low"]) == pytest.approx((expected.mean, expected.low))
    assert (suite["tokens"], suite["truncated_rate"], suite["num_answers"]) == (8.0, 0.0, 24)
    assert (suite["is_whole"], suite["num_tasks"], suite["num_tasks_published"]) == (False, 6, 1319)
    assert json.loads((out / "results.json").read_text()) == found
    page = (out / "results.md").read_text()
    assert "| gsm8k (part) | pass@1 (avg@4) | 66.7 [" in page
    assert "Only 6 of the 1319 published tasks: this is no score of the suite." in page
    assert "Contamination was not looked for" in page
    verdicts = [json.loads(line) for line in (out / "gsm8k-verdicts.jsonl").read_text().splitlines()]
    assert [v["outcome"] for v in verdicts] == [1.0] * 16 + [0.0] * 8
    assert KEY not in page + (out / "gsm8k-answers.jsonl").read_text() + (out / "results.json").read_text()


def test_two_suites_make_one_table_and_a_limit_is_said(capsys: pytest.CaptureFixture[str], gsm8k: Path) -> None:
    words = ["--suite", "mine", "--suite-path", f"mine={gsm8k}", "--model", "stub"]
    # GSM8K's columns are not those of a file of one's own
    assert "gives no task; 6 bad rows" in refused(capsys, "http://localhost:1/v1", *words)
    own = gsm8k.with_name("own.jsonl")
    own.write_text("".join(json.dumps({"prompt": PROBLEM.format(n=n), "answer": str(2 * n)}) + "\n" for n in (1, 5)))
    with endpoint(sums) as seen:
        words = [seen.url, "--model", "stub", "--suite", "gsm8k", "--suite-path", f"gsm8k={gsm8k}", "--suite", str(own)]
        assert main(["evaluate", *words, "--limit", "2"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"gsm8k \(part\) +pass@1 +100\.0 \[[\d.]+, 100\.0\] +2 of 1319", out)
    assert re.search(r"own +pass@1 +50\.0 \[[\d.]+, [\d.]+\] +2 of 2", out)
    with endpoint(sums) as seen:
        words = [seen.url, "--model", "stub", "--suite", str(own), "--limit", "1"]
        assert main(["evaluate", *words]) == 0
        out = capsys.readouterr().out
        assert evaluated(capsys, *words)["suites"][0]["is_whole"] is False
    assert re.search(r"own \(part\) +pass@1 +100\.0 \[[\d.]+, 100\.0\] +1 of the first 1", out)
    assert "Only the first 1 tasks of the file: this is no score of all of it." in out


def test_fields_that_are_sent_beside_stand_in_the_results(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, gsm8k: Path
) -> None:
    out = tmp_path / "out"
    fields = ["top_p=0.9", "seed=null", "max_tokens=null", "max_completion_tokens=1024"]
    with endpoint(sums) as seen:
        words = [seen.url, "--model", "stub", "--suite", "gsm8k", "--suite-path", f"gsm8k={gsm8k}", "--output", out]
        found = evaluated(capsys, *words, *(word for field in fields for word in ("--field", field)))
    assert found["fields"] == {"top_p": 0.9, "seed": None, "max_tokens": None, "max_completion_tokens": 1024}
    assert (seen.requests[0]["max_completion_tokens"], "max_tokens" in seen.requests[0]) == (1024, False)
    said = "Each request is sent with top_p=0.9, no seed, no max_tokens, max_completion_tokens=1024."
    assert said in (out / "results.md").read_text()


RECIPE = """
name = "trained"
[model]
path = "{model}"
[[stage]]
kind = "sft"
data = [{{source = "file", split = "all", path = "{data}"}}]
"""


def test_tasks_that_were_trained_on_are_found_and_the_score_without_them_is_given(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, gsm8k: Path
) -> None:
    other = "Tell me which birds stay the winter in the far north and why they do not leave with all the others."
    seen_turns = [PROBLEM.format(n=n) for n in (4, 5)]
    rows = [[("user", text), ("assistant", "Gladly.")] for text in [other, *seen_turns]]
    data = tmp_path / "train.jsonl"
    turns = [{"messages": [{"role": r, "content": c} for r, c in row]} for row in rows]
    data.write_text("".join(json.dumps(row) + "\n" for row in turns))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(model=ROOT / "models" / "laptop-base", data=data))
    # the problems share all words but the number n: of 13 words in a row a task needs those with its own number
    with endpoint(sums) as seen:
        words = [seen.url, "--model", "stub", "--suite", "gsm8k", "--suite-path", f"gsm8k={gsm8k}"]
        found = evaluated(capsys, *words, "--contamination-of", recipe)
    contamination = found["suites"][0]["contamination"]
    assert (contamination["recipe"], contamination["num_texts"]) == ("trained", 3)
    assert (contamination["told"], contamination["overlapping"]) == (6, 2)
    assert contamination["first"] == ["gsm8k/gsm8k_test.jsonl:5", "gsm8k/gsm8k_test.jsonl:6"]
    assert (contamination["clean"]["value"]["mean"], contamination["clean"]["num_tasks"]) == (1.0, 4)
    assert found["suites"][0]["figures"][0]["mean"] == pytest.approx(4 / 6)


def test_short_problems_that_were_trained_on_are_found_and_a_shared_template_is_no_copy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    template = "Read the question with care, think about it as long as you need, and then write one number:"
    own = " ".join(f"word{n}" for n in range(14))
    suite, data, recipe = (tmp_path / name for name in ("own.jsonl", "train.jsonl", "recipe.toml"))
    prompts = ["What is 1 + 1?", "What is 5 + 2?", f"{template} {own} 3?"]
    suite.write_text("".join(json.dumps({"prompt": prompt, "answer": "2"}) + "\n" for prompt in prompts))
    trained = ["what is 1 + 1?", f"{template} how much is 3 and 3?"]
    data.write_text("".join(json.dumps({"prompt": prompt, "completion": "2"}) + "\n" for prompt in trained))
    recipe.write_text(RECIPE.format(model=ROOT / "models" / "laptop-base", data=data))
    with endpoint(sums) as seen:
        found = evaluated(capsys, seen.url, "--model", "stub", "--suite", suite, "--contamination-of", recipe)
    contamination = found["suites"][0]["contamination"]
    # the first is equal, the second too short to tell, the third shares its template alone
    assert (contamination["told"], contamination["overlapping"]) == (2, 1)


def test_two_suites_whose_tasks_have_the_same_ids_are_told_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, recipe = tmp_path / "train.jsonl", tmp_path / "recipe.toml"
    data.write_text(json.dumps({"prompt": PROBLEM.format(n=1), "completion": "2"}) + "\n")
    recipe.write_text(RECIPE.format(model=ROOT / "models" / "laptop-base", data=data))
    words: list[Any] = ["--model", "stub", "--contamination-of", recipe]
    for name, n in (("first", 1), ("second", 2)):
        (tmp_path / f"{name}.jsonl").write_text(
            json.dumps({"id": "1", "prompt": PROBLEM.format(n=n), "answer": str(2 * n)}) + "\n"
        )
        words += ["--suite", tmp_path / f"{name}.jsonl"]
    with endpoint(sums) as seen:
        found = evaluated(capsys, seen.url, *words)
    assert [one["contamination"]["overlapping"] for one in found["suites"]] == [1, 0]
    assert found["suites"][0]["contamination"]["clean"] is None


def test_a_checkpoint_whose_training_data_are_gone_is_measured_all_the_same(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path, gsm8k: Path
) -> None:
    data, recipe = tmp_path / "train.jsonl", tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(model=ROOT / "models" / "laptop-base", data=data))
    run = Run.create(tmp_path / "run", config=resolved_json(read_recipe(recipe)), provenance={})
    shutil.copytree(ROOT / "models" / "laptop-base", run.path / "1-sft" / "model")
    words = ["--suite", "gsm8k", "--suite-path", f"gsm8k={gsm8k}", "--limit", "2", "max_completion_tokens=8"]
    assert main(["evaluate", str(run.path / "1-sft" / "model"), *words]) == 0
    assert "Contamination was not looked for" in capsys.readouterr().out
    assert "what trained trains on cannot be read here: no data file at" in caplog.text


def test_pairs_are_judged_in_both_orders_by_the_judge_that_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pairs = tmp_path / "alpaca_eval.json"
    pairs.write_text(json.dumps([{"instruction": f"Name {n} birds.", "output": "A wren."} for n in range(4)]))

    def judge(body: dict[str, Any]) -> Reply:
        return says("A" if "owl" in part(body, "ANSWER A") else "B")(body)

    words = ["--suite", "alpaca-eval", "--suite-path", f"alpaca-eval={tmp_path}"]
    with endpoint([Reply("An owl.")]) as model, endpoint(judge) as judging:
        asked = [model.url, "--model", "stub", *words]
        assert "no such judge" not in refused(capsys, *asked)
        assert model.requests == []  # without a judge nothing is asked
        named = ["--judge", "model=j", "--judge", f"base_url={judging.url}", "--judge", "canary_rate=0"]
        found = evaluated(capsys, *asked, *named)
        assert len(judging.requests) == 8
    figures = {figure["name"]: figure for figure in found["suites"][0]["figures"]}
    assert figures["win rate"]["mean"] == 1.0
    assert figures["win rate"]["num_tasks"] == 4
    # "An owl." and "A wren." are 7 characters each: none of ours is the longer, so nothing is said at matched length
    assert "win rate at matched length" not in figures


def test_a_checkpoint_is_scored_with_its_own_chat_template(capsys: pytest.CaptureFixture[str], gsm8k: Path) -> None:
    model = ROOT / "models" / "laptop-base"
    words = [model, "--suite", "gsm8k", "--suite-path", f"gsm8k={gsm8k}"]
    found = evaluated(capsys, *words, "--limit", 4, "max_completion_tokens=48")
    (suite,) = found["suites"]
    assert (suite["num_tasks"], suite["num_answers"], suite["temperature"], suite["max_tokens"]) == (4, 4, 0.0, 48)
    assert 0 < suite["tokens"] <= 48
    assert found == evaluated(capsys, *words, "--limit", 4, "max_completion_tokens=48")  # keyed draws
    assert "no task is left to use" in refused(capsys, *words)  # 1024 tokens do not fit its context of 512


def test_answers_under_another_chat_template_are_those_of_another(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, gsm8k: Path
) -> None:
    model = shutil.copytree(ROOT / "models" / "laptop-base", tmp_path / "model")
    words = [model, "--suite", "gsm8k", "--suite-path", f"gsm8k={gsm8k}", "--limit", 2, "max_completion_tokens=8"]
    out = tmp_path / "out"
    evaluated(capsys, *words, "--output", out)
    template = model / "chat_template.jinja"
    template.write_text(template.read_text() + "{# another #}")
    assert "with another version" in refused(capsys, *words, "--output", out)


ASKED = ["http://localhost:1/v1", "--model", "m", "--suite", "FILE", "--field"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["http://localhost:1/v1"], "an endpoint is measured on suites"),
        (["http://localhost:1/v1", "--suite", "FILE"], "the endpoint's model has no name"),
        (["MODEL", "--suite", "gsm8k"], "the suite gsm8k needs its published file"),
        (["MODEL", "--suite", "gsm9k"], "did you mean 'gsm8k'"),
        (["MODEL", "--suite", "FILE", "--model", "x"], "--model is for an endpoint"),
        (["MODEL", "--suite", "FILE", "--samples", "2", "temperature=0"], "2 greedy answers are all the same"),
        (["MODEL", "--suite", "FILE", "temprature=1"], "did you mean temperature"),
        (["MODEL", "--suite", "FILE", "temperature=hot"], "temperature is 'hot'; expected a number"),
        (["MODEL", "--suite", "FILE", "temperature=NaN"], "temperature is nan; expected a number"),
        (["MODEL", "--suite", "FILE", "samples=0"], "samples is 0; at least 1"),
        (["MODEL", "--suite", "FILE", "--suite-path", "gsm8k=x"], "--suite-path names 'gsm8k'"),
        (["MODEL", "--suite", "FILE", "--suite-path", "gsm8k"], "NAME=FILE_OR_FOLDER was expected"),
        (["MODEL", "--suite", "FILE", "--suite", "FILE"], "two suites are called own"),
        (["MODEL", "--suite", "FILE", "--data", "gsm8k:test"], "--suite and --data"),
        (["MODEL", "--data", "FILE", "--output", "x"], "--output is for suites"),
        (["MODEL", "--suite", "FILE", "--contamination-of", "none.toml"], "none.toml"),
        (["MODEL", "--suite", "FILE", "--samples", "513"], "samples is 513; at most 512 answers"),
        (["MODEL", "--suite", "PASSING"], "gsm8k.jsonl is a file of your own, and its results would be called gsm8k"),
        ([*ASKED, "temperature=1"], "--field temperature would be sent in the place of what the results state"),
        ([*ASKED, "model=other"], "--field model would be sent"),
        ([*ASKED, "seed=3"], "--field seed would be sent"),
        ([*ASKED, "max_tokens=9"], "--field max_tokens would be sent"),
        ([*ASKED, "max_completion_tokens=9"], "=9 is another limit than max_completion_tokens=1024"),
        ([*ASKED, "max_tokens=null"], "without max_tokens no limit of 1024 tokens would be sent"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], said: str
) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"prompt": "1 + 1?", "answer": "2"}) + "\n")
    shutil.copy(own, tmp_path / "gsm8k.jsonl")
    places = {"PASSING": str(tmp_path / "gsm8k.jsonl"), "MODEL": str(ROOT / "models" / "laptop-base"), "FILE": str(own)}
    assert said in refused(capsys, *(places.get(word, word) for word in words))
