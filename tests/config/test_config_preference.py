"""Keys of the preference losses: each has its own defaults, and a key without a meaning is refused with the reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from rlvr.config.preference import LOSS_ROWS, describe_loss
from rlvr.config.reading import from_json, read_recipe, resolved_json
from rlvr.config.supervised import DpoConfig
from rlvr.errors import RecipeError

ROOT = Path(__file__).parents[2]
RECIPE = """\
name = "small"
[model]
path = "models/base"
[[stage]]
kind = "dpo"
data = ["gsm8k:train"]
"""


def stage(tmp_path: Path, *overrides: str, text: str = RECIPE) -> Any:
    path = tmp_path / "small.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, overrides).recipe.stage[0]


# copied by hand from docs/papers.md
BETAS = {"sigmoid": 0.1, "sigmoid_norm": 5.0, "ipo": 5.0, "hinge": 0.1, "simpo": 2.0, "kto": 0.1}


@pytest.mark.parametrize("loss", LOSS_ROWS)
def test_a_recipe_that_names_only_the_loss_gets_the_beta_of_that_loss(loss, tmp_path):
    found = stage(tmp_path, f"dpo.loss={loss}")
    assert found.beta == BETAS[loss]
    assert found.target_margin == (1.0 if loss == "simpo" else 0.0)


def test_a_beta_that_is_written_stays_whatever_the_loss(tmp_path):
    assert stage(tmp_path, "dpo.loss=simpo", "dpo.beta=0.3").beta == 0.3
    assert stage(tmp_path, "dpo.loss=simpo", "dpo.target_margin=0").target_margin == 0.0


def test_a_stored_recipe_gives_the_same_numbers_again(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE, encoding="utf-8")
    resolved = read_recipe(path, ["dpo.loss=simpo"])
    stored = json.loads(json.dumps(resolved_json(resolved)))
    assert (stored["recipe"]["stage"][0]["beta"], stored["origins"]["stage.1.beta"]) == (2.0, "default")
    assert from_json(stored).recipe == resolved.recipe


REFUSED = [
    (("loss=ipo", "label_smoothing=0.1"), "label_smoothing is a key of sigmoid, sigmoid_norm, not of ipo: it mixes"),
    (("loss=hinge", "robust=true"), "robust is a key of sigmoid, sigmoid_norm, not of hinge"),
    (("loss=kto", "label_smoothing=0.1"), "label_smoothing is a key of sigmoid, sigmoid_norm, not of kto"),
    (("target_margin=0.5",), "target_margin is a key of simpo, not of sigmoid"),
    (("loss=simpo", "desirable_weight=2.0"), "desirable_weight is a key of kto, not of simpo"),
    (("undesirable_weight=2.0",), "undesirable_weight is a key of kto, not of sigmoid"),
    (
        ("loss=kto", "nll_coefficient=0.1"),
        "nll_coefficient weighs the chosen completion of a pair, and kto has no pairs",
    ),
    (("robust=true",), "robust = true corrects for label_smoothing, which is 0"),
    (("label_smoothing=0.5",), "label_smoothing = 0.5 in stage.1 (dpo); expected a number, at least 0, below 0.5"),
    (("loss=simop",), 'did you mean "simpo"?'),
]


@pytest.mark.parametrize(("keys", "words"), REFUSED)
def test_a_key_that_its_loss_does_not_read_is_refused_with_the_reason(keys, words, tmp_path):
    with pytest.raises(RecipeError) as caught:
        stage(tmp_path, *(f"dpo.{key}" for key in keys))
    assert words in f"{caught.value.message}\n{caught.value.hint}"


def test_the_recipes_of_the_house_keep_their_numbers():
    found = {
        path.stem: [(s.loss, s.beta, s.nll_coefficient) for s in read_recipe(path).recipe.stage if s.kind == "dpo"]
        for path in (ROOT / "recipes" / "laptop.toml", ROOT / "recipes" / "gsm8k.toml")
    }
    assert found == {
        "laptop": [("sigmoid", 0.1, 0.2), ("sigmoid", 0.1, 0.2)],
        "gsm8k": [("sigmoid", 0.1, 0.0)],
    }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"loss": "simpo"}, "loss simpo, beta 2, target_margin 1, no reference"),
        ({"loss": "kto", "undesirable_weight": 1.5}, "loss kto, beta 0.1, undesirable_weight 1.5"),
        ({"label_smoothing": 0.1, "robust": True}, "loss sigmoid, beta 0.1, label_smoothing 0.1, robust"),
        ({"nll_coefficient": 0.2}, "loss sigmoid, beta 0.1, nll_coefficient 0.2"),
    ],
)
def test_a_loss_is_described_with_the_numbers_that_are_in_force(values, words):
    config = DpoConfig.model_validate({"kind": "dpo", "data": ["x"], **values})
    assert describe_loss(config.loss, config.model_dump()) == words


def test_the_page_of_papers_shows_the_default_of_every_loss():
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    for loss, beta in BETAS.items():
        lines = page[page.index(f"| `{loss}` |") :].splitlines()
        assert any(line.startswith(f"| | | `beta` | {beta:g} |") for line in lines[1:5]), loss
