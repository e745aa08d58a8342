"""One checkpoint by itself: measured, or asked."""

import tempfile
from pathlib import Path

from rlvr.app.importing import import_from
from rlvr.app.measuring import recipe_of
from rlvr.app.meter import Meter
from rlvr.app.wiring import make_engine, make_parts, open_house
from rlvr.config.data import EvaluateConfig
from rlvr.config.schema import Recipe
from rlvr.data.chat import encode_prompt, stop_token_ids
from rlvr.engines.base import Request, Sampling
from rlvr.errors import UsageError
from rlvr.models.policy import context_length, load_policy, pick_device
from rlvr.runs.folder import Run
from rlvr.runs.report import StageReport
from rlvr.stages.evaluate import measure


def evaluate_checkpoint(path: str, config: EvaluateConfig, *, seed: int) -> StageReport:
    """Measures one checkpoint outside of its run, which stays untouched."""
    trained_by = recipe_of(Path(path))
    import_from(trained_by.source.parent if trained_by else Path.cwd())
    judging = trained_by.recipe.model_dump(include={"judge", "verifier"}) if trained_by else {}
    recipe = Recipe.model_validate(
        {"name": "evaluate", "seed": seed, "model": {"path": path}, "evaluation": config, "stage": [config], **judging}
    )
    house = open_house(recipe)
    meter = Meter()
    with tempfile.TemporaryDirectory(prefix="rlvr-") as folder:
        run = Run.create(Path(folder) / "evaluate", config={}, provenance={})
        found = measure(make_parts(house, start=path, parent=None, stage=config), config, run)
    house.scorer.close()
    spent = meter.durations()
    return StageReport(
        name=Path(path).name,
        kind="evaluate",
        checkpoint=path,
        cpu_seconds=spent["cpu_seconds"],
        seconds=spent["elapsed_seconds"],
        domains=found.domains,
        kl=None,
        perplexity=found.perplexity,
        no_signal_rate=None,
        beyond={},
        conditions=(),
    )


def generate_text(path: str, prompt: str, *, samples: int, temperature: float, max_tokens: int, seed: int) -> list[str]:
    """Gives completions of one user prompt.

    Raises UsageError when prompt and completion do not fit the model's context.
    """
    policy = load_policy(path, device=pick_device("auto"))
    ids = encode_prompt(policy.tokenizer, [{"role": "user", "content": prompt}])
    context = context_length(policy.model)
    if len(ids) + max_tokens > context:
        raise UsageError(
            f"a prompt of {len(ids)} tokens and {max_tokens} more do not fit the model's context of {context}",
            hint=f"--max-completion-tokens {context - len(ids)}" if len(ids) < context else "shorten the prompt",
        )
    engine = make_engine(policy.model, policy.tokenizer, samples, len(ids) + max_tokens)
    sampling = Sampling(temperature, max_tokens, stop_token_ids(policy.tokenizer), seed, "generate")
    engine.submit([Request(0, 0, ids, samples, sampling)])
    texts: dict[int, str] = {}
    while engine.has_work:
        texts.update({done.sample_index: done.completion.text for done in engine.step()})
    return [texts[index] for index in range(samples)]
