"""`rlvr probe`: from a recipe to figures, advice and an exit code, before anything is trained."""

import json
from pathlib import Path

import pytest

from rlvr.app.cli import main
from rlvr.app.pipeline import start
from rlvr.app.probe import probe
from rlvr.app.probe.advice import MEMORY, Finding, Place, findings_of, memory_finding
from rlvr.app.probe.start import Start, start_of
from rlvr.config.data import DataConfig
from rlvr.config.reading import read_recipe
from rlvr.config.rlvr import ConditionsConfig
from rlvr.errors import ModelError
from rlvr.runs.report import Condition, Contamination, Lengths, Working
from rlvr.statistics.intervals import Interval

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BASE = Path(__file__).parents[2] / "models" / "laptop-base"
RECIPE = """
name = "run"
seed = 5
runs = "RUNS"
[model]
path = "BASE"
[evaluation]
data = ["kill_resume:tasks:evaluation"]
samples = 1
max_completion_tokens = 8
[[stage]]
kind = "sft"
data = ["kill_resume:demonstrations:train"]
sequences_per_update = 32
max_length = 64
[[stage]]
kind = "rlvr"
algorithm = "dr_grpo"
data = [{ source = "kill_resume:tasks" }, { source = "arithmetic", limit = 8, options = { max_rung = 4 } }]
steps = 3
prompts_per_step = 4
group_size = 4
max_completion_tokens = 8
[[stage]]
kind = "iterate"
algorithm = "dr_grpo"
data = ["kill_resume:tasks:train"]
steps = 2
rounds = 3
prompts_per_step = 4
group_size = 4
max_completion_tokens = 8
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("probe")
    text = RECIPE.replace("RUNS", str(folder / "runs")).replace("BASE", str(BASE))
    (folder / "recipe.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield folder / "recipe.toml"


def probed(capsys, *words) -> tuple[int, str]:
    code = main(["probe", *map(str, words)])
    return code, " ".join(capsys.readouterr().out.split())


def test_all_stages_that_learn_from_rewards_are_probed_and_nothing_is_written(recipe, capsys) -> None:
    code, said = probed(capsys, recipe, "--tasks", "2")
    assert code == 0
    assert f"2-rlvr: up to 2 tasks of each domain, 16 samples of each, by {BASE}" in said
    assert f"3-iterate: up to 2 tasks of each domain, 16 samples of each, by {BASE}" in said
    assert "The stages before it are not run yet (sft): these are figures of the model before them" in said
    assert "The stages before it are not run yet (sft, rlvr)" in said
    assert "for 3 steps" in said
    assert "for 6 steps" in said  # 3 rounds of 2
    assert not (recipe.parent / "runs").exists()


def test_the_json_holds_every_figure_of_the_chosen_stage(recipe, capsys) -> None:
    code = main(["probe", str(recipe), "--tasks", "2", "--stage", "rlvr", "--json"])
    (stage,) = json.loads(capsys.readouterr().out)["stages"]
    assert (code, stage["stage"], stage["key"], stage["refused"]) == (0, "2-rlvr", "rlvr", False)
    assert stage["start"] == {"checkpoint": str(BASE), "not_run": ["sft"], "note": ""}
    conditions = stage["trial"]["conditions"]
    assert [found["domain"] for found in conditions] == ["arithmetic", "words"]
    assert [sum(found["histogram"]) for found in conditions] == [2, 2]
    assert stage["trial"]["pace"]["step_completions"] == 16
    assert stage["memory"]["weights"] > 0
    assert stage["room_tokens"] > 8


def test_what_fails_and_is_required_is_exit_code_1_and_what_is_not_is_a_warning(recipe, capsys) -> None:
    words = (recipe, "--tasks", "2", "--stage", "2-rlvr", "rlvr.max_completion_tokens=2")
    code, said = probed(capsys, *words)
    assert code == 0
    assert "of the samples are cut off at the length limit (expected at most 10%)" in said
    assert "longer answers: rlvr.max_completion_tokens=4" in said
    assert "rlvr.conditions.required=true would stop it" in said
    code, said = probed(capsys, *words, "rlvr.conditions.required=true")
    assert code == 1
    assert "The recipe requires these conditions (rlvr.conditions.required): the stage would stop." in said


def test_memory_is_no_condition_for_which_a_stage_would_stop(recipe, capsys, monkeypatch) -> None:
    short = Finding(MEMORY, "too little memory", ("a smaller model",), stops=False)
    monkeypatch.setattr(probe, "findings_of", lambda *given: [])
    monkeypatch.setattr(probe, "memory_finding", lambda *given: [short])
    code, said = probed(capsys, recipe, "--tasks", "2", "--stage", "rlvr", "rlvr.conditions.required=true")
    assert code == 0
    assert "memory: too little memory" in said
    assert "These are warnings: it would be trained all the same." in said


def test_tasks_that_are_held_out_are_counted_and_near_copies_are_written(recipe, capsys, tmp_path) -> None:
    words = [f"w{number}" for number in range(30)]
    texts = {"equal": words, "near": ["so", *words], "other": words[::-1]}
    rows = [
        {"id": name, "prompt": " ".join(text), "reference": {"answer": "1"}, "verifier": "math"}
        for name, text in texts.items()
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "held.jsonl").write_text(json.dumps(rows[0]) + "\n")
    copies = tmp_path / "copies.jsonl"
    changes = (f'rlvr.data=["{tmp_path}/train.jsonl:all"]', f'evaluation.data=["{tmp_path}/held.jsonl:all"]')
    code, said = probed(capsys, recipe, "--stage", "rlvr", "--copies", copies, *changes)
    assert code == 0
    assert "held out: 1 of train are evaluation tasks themselves, and are left out of training." in said
    assert "50.0% of 2 tasks are near copies of held-out ones" in said
    assert "rlvr.data.1.options.quarantine=copies.jsonl" in said
    (row,) = map(json.loads, copies.read_text().splitlines())
    # 31 words have 19 runs of 13, of which the 18 without "so" stand in the held-out problem: 95%
    assert row["reason"] == "95% of its n-grams of words stand in held-out problems"
    code, said = probed(capsys, recipe, "--stage", "rlvr", *changes, f"rlvr.data.1.options.quarantine={copies}")
    assert code == 0
    assert "near copies of held-out ones (" not in said


def test_a_stage_that_is_not_there_is_named_with_those_that_are(recipe, capsys) -> None:
    assert main(["probe", str(recipe), "--stage", "sft"]) == 2
    said = capsys.readouterr().err
    assert 'has no stage "sft" that learns from rewards' in said
    assert "--stage takes one of 2-rlvr, 3-iterate" in said


def test_a_stage_begins_with_what_a_run_of_the_recipe_has_made(recipe, tmp_path) -> None:
    def read(*words):
        return read_recipe(recipe, [f"runs={tmp_path}", *words]).recipe

    assert start_of(read(), 2) == Start(BASE, ("sft",), "")
    sft = read_recipe(recipe, [f"runs={tmp_path}"])
    only = sft.recipe.model_copy(update={"stage": sft.recipe.stage[:1]})
    path = start(type(sft)(only, sft.origins, sft.source, ""))
    made = start_of(read(), 2)
    assert made.checkpoint.parent == path / "1-sft" / "checkpoints"
    assert (made.not_run, made.note) == ((), "")
    # the rlvr stage has not run, so the next one would begin with what is nearest to it
    assert start_of(read(), 3) == Start(made.checkpoint, ("rlvr",), "")
    other = start_of(read("sft.epochs=2"), 2)
    assert (other.checkpoint, other.not_run) == (BASE, ("sft",))
    assert other.note == f"{path} is of no use from sft on: there it has other settings"
    assert "another seed" in start_of(read("seed=6"), 2).note
    (made.checkpoint / "model.safetensors").write_bytes(b"damaged")
    assert start_of(read(), 2) == Start(BASE, ("sft",), "")


def test_a_new_model_that_nobody_has_trained_is_refused(recipe, tmp_path) -> None:
    new = 'model.new={architecture="llama", settings={hidden_size=8}, tokenizer={data=["kill_resume:documents:train"]}}'
    found = read_recipe(recipe, [f"runs={tmp_path}", new]).recipe
    with pytest.raises(ModelError, match="every answer would be wrong"):
        start_of(found, 2)


RATE = Interval(0.5, 0.4, 0.6)


def condition(**changes) -> Condition:
    values = {
        "domain": "d",
        "num_tasks": 10,
        "num_samples": 16,
        "group_size": 4,
        "working_rate": 0.0,
        "working": None,
        "pass_at_1": RATE,
        "pass_at_k": Interval(0.9, 0.8, 1.0),
        "mixed_rate": RATE,
        "problems": (),
        "histogram": (1, 2, 3, 2, 1, 1),
        **changes,
    }
    return Condition(**values)


def advice(found: Condition, *entries, room: int = 1000) -> list[str]:
    data = {at: DataConfig.model_validate(entry) for at, entry in enumerate(entries, start=2)}
    place = Place("rlvr", data, 100, room)
    limits = ConditionsConfig.model_validate({})
    lines = [line for finding in findings_of([found], limits, {"d": place}) for line in finding.advice]
    return list(dict.fromkeys(lines))


ARITHMETIC = {"source": "arithmetic", "options": {"max_rung": 10}}


def test_what_holds_needs_no_advice() -> None:
    assert advice(condition(), ARITHMETIC) == []


def test_too_hard_tasks_are_made_easier_and_too_easy_ones_harder() -> None:
    hard = condition(mixed_rate=Interval(0.1, 0.0, 0.2), pass_at_1=Interval(0.05, 0, 0.1), histogram=(9, 1, 0, 0, 0, 0))
    assert advice(hard, ARITHMETIC, "mine.jsonl:train") == [
        "easier tasks: rlvr.data.2.options.max_rung=5",  # halfway between 1 and 10
        'or SFT first, on right answers to such tasks: a [[stage]] of kind = "sft" before this one',
    ]
    easy = condition(mixed_rate=Interval(0.1, 0.0, 0.2), pass_at_1=Interval(0.95, 0.9, 1), histogram=(0, 0, 0, 0, 1, 9))
    assert advice(easy, ARITHMETIC) == ["harder tasks: rlvr.data.2.options.min_rung=6"]
    assert advice(easy, "arithmetic:train") == ["harder tasks: rlvr.data.2.options.min_rung=…"]
    other = "harder tasks: another source, or what its own options change (rlvr.data.2.options)"
    assert advice(easy, "mine.jsonl:train") == [other]


def test_more_samples_are_proposed_where_they_would_mix_enough_groups() -> None:
    # 3 of 10 tasks were solved by some of 16 samples and not by all, so groups of 16 would be mixed in 30%
    rare = condition(mixed_rate=Interval(0.1, 0.0, 0.2), pass_at_1=Interval(0.05, 0, 0.1), histogram=(7, 3, 0, 0, 0, 0))
    assert advice(rare, ARITHMETIC)[0] == "more samples of each task: rlvr.group_size=16 would mix 30% of the groups"
    assert not advice(condition(**{**values_of(rare), "group_size": 16}), ARITHMETIC)[0].startswith("more samples")


def values_of(found: Condition) -> dict:
    return {name: getattr(found, name) for name in ("mixed_rate", "pass_at_1", "histogram")}


def test_a_longer_limit_is_proposed_as_far_as_the_context_goes() -> None:
    cut = condition(lengths=Lengths(Interval(0.4, 0.3, 0.5), 80.0, 100.0))
    assert advice(cut)[0] == "longer answers: rlvr.max_completion_tokens=200"
    assert advice(cut, room=150)[0] == "longer answers: rlvr.max_completion_tokens=150"
    assert advice(cut, room=100) == [
        'or SFT first, on answers that come to an end: a [[stage]] of kind = "sft" before this one'
    ]


def test_more_tasks_are_proposed_where_working_may_pay() -> None:
    few = Working(8, 0.5, 0.3, Interval(0.2, -0.1, 0.5))
    assert advice(condition(working=few))[0] == "more tasks may tell: rlvr probe RECIPE --tasks 64"
    none = Working(8, 0.5, 0.5, Interval(0.0, -0.1, 0.1))
    assert advice(condition(working=none))[0].startswith("SFT first, on working")


def test_copies_are_left_out_of_every_source_of_the_domain() -> None:
    copied = condition(contamination=Contamination(100, 0.02, 0.1))
    (line,) = advice(copied, ARITHMETIC, "mine.jsonl:train")
    assert line.endswith("rlvr.data.2.options.quarantine=copies.jsonl rlvr.data.3.options.quarantine=copies.jsonl")


def test_memory_that_is_not_there_is_a_finding() -> None:
    assert memory_finding({"weights": 5, "activations": 4}, 9, "rlvr") == []
    (found,) = memory_finding({"weights": 4_000, "activations": 5_000}, 8_999, "rlvr")
    said = "about 9.0 kB is needed and 9.0 kB is free; most of it for activations"
    assert (found.domain, found.problem, found.stops) == (MEMORY, said, False)
    assert found.advice[0].startswith("rlvr.microbatch_tokens=…")
