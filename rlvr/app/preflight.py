"""What a recipe names and a run would only find out late: functions, sinks and the chat template. No torch."""

import importlib.util
import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from rlvr.app.trust import check_audits
from rlvr.config.data import CHAT, DataConfig
from rlvr.config.keys import nearest
from rlvr.config.rlvr import REINFORCED, ShapingConfig
from rlvr.config.schema import Recipe
from rlvr.errors import ModelError, RecipeError
from rlvr.models.directory import REWARD_MODEL_HINT, check_directory, check_reward_model, has_chat_template
from rlvr.verifiers.judge.settings import check_settings, settings_from
from rlvr.verifiers.scorer import Scorer
from rlvr.verifiers.shaping import SHAPINGS
from rlvr.verifiers.table import JUDGE

SINK_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb"}
"""What each sink imports; the extra that installs it has the sink's name."""

_GIVEN = ("task", "completion", "verdict", "reward")


def preflight(recipe: Recipe) -> None:
    """Raises UsageError for a sink that is not installed, a function that cannot be imported, or an unfit model."""
    for sink in recipe.sinks:
        if importlib.util.find_spec(SINK_PACKAGES[sink]) is None:
            raise RecipeError(
                f"the sink {sink} needs a package that is not installed", hint=f'pip install "rlvr[{sink}]"'
            )
    for entry in _data(recipe):
        if ":" in entry.source:
            import_path(entry.source, "source")
        if isinstance(entry.options.get("verifier"), str):
            check_verifiers([entry.options["verifier"]], recipe)
    if recipe.judge:
        check_settings(settings_from(recipe.judge))
    check_verifiers([entry.name for entry in recipe.verifier if entry.name], recipe)
    check_audits(recipe)
    for stage in recipe.stage:
        for step in getattr(stage, "shaping", ()):
            shaping_function(step)
    _check_reward_models(recipe)
    _check_model(recipe)


def shaping_function(step: ShapingConfig) -> Callable[..., float]:
    """Gives a step of shaping with its options: `(task, completion, verdict, reward) -> float`.

    Raises RecipeError for an unknown name, an option that the function does not take, or one that it needs.
    """
    if step.name not in SHAPINGS and ":" not in step.name:
        close = nearest(step.name, SHAPINGS)
        raise RecipeError(
            f'there is no shaping "{step.name}"',
            hint=f'did you mean "{close}"?' if close else f"known: {', '.join(SHAPINGS)}, or pkg.module:function",
        )
    function = SHAPINGS.get(step.name) or import_path(step.name, "shaping")
    _check_options(step, function)
    return partial(function, **step.options)


def import_path(name: str, what: str) -> Callable[..., Any]:
    """Gives the function at "package.module:function". Raises RecipeError where there is none."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module), attribute)
    except Exception as error:  # whatever the user's module raises
        raise RecipeError(
            f'the {what} "{name}" cannot be imported: {type(error).__name__}: {error}',
            hint="modules are looked up in the folder where rlvr is started and in the recipe's",
        ) from error
    if not callable(function):
        raise RecipeError(f'the {what} "{name}" is {type(function).__name__}, expected a function')
    return function  # type: ignore[no-any-return]


def check_verifiers(names: Iterable[str], recipe: Recipe) -> None:
    """Raises UsageError for a verifier that is not known and cannot be imported, or a judge that is not set up."""
    scorer = Scorer()
    for name in names:
        if name != JUDGE or not recipe.judge:
            scorer.resolve(name)


def _check_options(step: ShapingConfig, function: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(function)
        signature.bind_partial(*_GIVEN)
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f'the shaping "{step.name}" cannot be called: {error}',
            hint=f"write def shape({', '.join(_GIVEN)}, *, option) -> float",
        ) from error
    rest = list(signature.parameters.values())[len(_GIVEN) :]
    named = [option for option in rest if option.kind in (option.KEYWORD_ONLY, option.POSITIONAL_OR_KEYWORD)]
    names = [option.name for option in named]
    takes_any = any(option.kind is option.VAR_KEYWORD for option in rest)
    for option in step.options:
        if option not in names and (not takes_any or option in _GIVEN):
            close = nearest(option, names)
            raise RecipeError(
                f'the shaping "{step.name}" has no option "{option}"',
                hint=f'did you mean "{close}"?' if close else f"it takes {', '.join(names) or 'none'}",
            )
    for parameter in named:
        if parameter.default is parameter.empty and parameter.name not in step.options:
            raise RecipeError(
                f'the shaping "{step.name}" needs the option "{parameter.name}"',
                hint=f'shaping = [{{name = "{step.name}", options = {{{parameter.name} = …}}}}]',
            )


def _data(recipe: Recipe) -> list[DataConfig]:
    sections = [*recipe.stage, *([recipe.evaluation] if recipe.evaluation else [])]
    entries = [entry for part in sections for key in ("data", "text") for entry in getattr(part, key, ())]
    return [*entries, *(recipe.model.new.tokenizer.data if recipe.model.new else ())]


def _check_reward_models(recipe: Recipe) -> None:
    """Raises RecipeError where a scorer or critic is no reward_model stage before its own, nor a directory with one."""
    names = [stage.label for stage in recipe.stage]
    for number, stage in enumerate(recipe.stage):
        if isinstance(stage, REINFORCED):
            for role, wanted in (("scored by", stage.scorer.reward_model), ("given a critic from", stage.critic.path)):
                if wanted:
                    _check_reward_model(recipe, names, number, role, wanted)


def _check_reward_model(recipe: Recipe, names: Sequence[str], number: int, role: str, wanted: str) -> None:
    places = [place for place, name in enumerate(names) if name == wanted]
    if [recipe.stage[place].kind for place in places if place < number] == ["reward_model"]:
        return
    if places:
        raise RecipeError(
            f'the stage {names[number]} is {role} "{wanted}", which is the name of '
            + (f"{len(places)} stages" if len(places) > 1 else "no reward_model stage before it"),
            hint='put a [[stage]] of kind = "reward_model" with that name, and one only, before it',
        )
    if Path(wanted).exists() or wanted.startswith((".", "/", "~")) or wanted.count("/") != 1:
        _check_reward_directory(wanted, names[:number])


def _check_reward_directory(path: str, before: Sequence[str]) -> None:
    if not Path(path).exists():
        close = nearest(path, before)
        raise ModelError(
            f'the reward model "{path}" is no stage of the recipe and no directory',
            hint=f'did you mean the stage "{close}"?' if close else REWARD_MODEL_HINT,
        )
    check_reward_model(Path(path))


def _check_model(recipe: Recipe) -> None:
    path = Path(recipe.model.path)
    if not recipe.model.path or not path.is_dir():
        return
    check_directory(path)
    asked = [f"the stage {stage.label}" for stage in recipe.stage if _asks(stage)]
    asked += ["[evaluation]"] if recipe.evaluation and _asks(recipe.evaluation) else []
    if asked and not has_chat_template(path):
        raise ModelError(
            f'the tokenizer in "{path}" has no chat template, which {asked[0]} needs',
            hint="put a chat_template.jinja there; pretrain, and the perplexity of text, need none",
        )


def _asks(stage: Any) -> bool:
    """Whether a stage writes messages, not plain documents."""
    if stage.kind == "evaluate":
        return bool(stage.data) and CHAT in stage.prompts
    return stage.kind != "pretrain" and getattr(stage, "prompt", CHAT) == CHAT
