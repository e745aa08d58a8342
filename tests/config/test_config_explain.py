"""`rlvr explain KEY`: every key of the schema has a meaning and can be found."""

import pytest

from rlvr.config.explain import explain_key
from rlvr.config.keys import all_keys
from rlvr.errors import UsageError


def test_every_key_can_be_explained_and_says_something() -> None:
    keys = all_keys()
    assert len(keys) > 100
    for key in keys:
        text = explain_key(key.name)
        assert key.name in text.splitlines()[0]
        assert len(text.splitlines()) >= 3, key.name


def test_a_key_says_meaning_range_and_default() -> None:
    assert explain_key("rlvr.group_size").splitlines() == [
        "rlvr.group_size",
        "  G: completions sampled per prompt; at least 2 where the algorithm compares them.",
        "  takes: an integer, at least 1",
        "  default: 8",
    ]


def test_a_default_is_that_of_its_stage() -> None:
    assert "default: 2e-05" in explain_key("sft.optimizer.learning_rate")
    assert "default: 1e-06" in explain_key("rlvr.optimizer.learning_rate")
    assert 'default: "constant"' in explain_key("rlvr.optimizer.schedule")
    assert 'default: "muon"' in explain_key("pretrain.optimizer.name")


def test_a_short_name_lists_all_places_and_joins_those_that_agree() -> None:
    text = explain_key("checkpoint_every")
    assert "pretrain.checkpoint_every, sft.checkpoint_every, dpo.checkpoint_every" in text
    assert "rlvr.checkpoint_every" in text


def test_the_spelling_of_an_override_is_understood() -> None:
    assert explain_key("stage.2.continues") == explain_key("stage.rlvr.continues") == explain_key("rlvr.continues")
    assert explain_key("stage.2.steps").startswith("rlvr.steps, iterate.steps\n")


def test_a_kind_lists_its_keys() -> None:
    text = explain_key("rlvr")
    assert "prompts_per_step" in text
    assert "algorithm" in text


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        explain_key("rlvr.group_sise")
    assert caught.value.hint == "did you mean rlvr.group_size?"
    with pytest.raises(UsageError) as caught:
        explain_key("xyzzy")
    assert caught.value.exit_code == 2
