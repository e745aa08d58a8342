"""Problems of the reasoning-gym generators, by name.

Splits: "train" and "evaluation" differ in the generator's seed and part its problems by hash as well, so a generator
that repeats itself does not repeat across the split. Source: https://github.com/open-thought/reasoning-gym.
"""

import difflib
import json
import logging
import math
from collections.abc import Iterator
from typing import Any

from rlvr import keyed
from rlvr.data.formats import INSTRUCTION
from rlvr.data.split import problem_hash, split_of
from rlvr.errors import DataError, UsageError
from rlvr.types import Task

logger = logging.getLogger(__name__)


def tasks(
    split: str,
    *,
    name: str,
    limit: int = 1000,
    seed: int = 0,
    evaluation_share: float = 0.05,
    instruction: str = INSTRUCTION,
    **options: Any,
) -> Iterator[Task]:
    """Yields up to `limit` different tasks for the verifier "gym" of the generator `name`; `options` configure it.

    The reference is {"dataset": name, "entry": the generator's entry as JSON values}. A generator that runs out of
    different problems gives fewer tasks, with a logged warning.

    Raises: DataError where the generator, an option or the split is unknown; UsageError without reasoning-gym.
    """
    if split not in ("train", "evaluation"):
        raise DataError(f"there is no split {split!r} here", hint="use train or evaluation")
    share = evaluation_share if split == "evaluation" else 1.0 - evaluation_share
    if not (0.0 <= evaluation_share <= 1.0 and share > 0.0):
        raise DataError(f"evaluation_share is {evaluation_share}, which leaves nothing for {split}")
    # Four times the expected number of tries: fewer problems than that leaves mean that the generator repeats itself.
    num_tries = math.ceil(4 * limit / share) + 100
    number = int(keyed.bits(seed, f"gym/{split}/{name}")[()] >> 33)
    dataset = _create(name, {**options, "seed": number, "size": num_tries})
    return _distinct(dataset, name, split, limit, num_tries, evaluation_share, instruction)


def _distinct(
    dataset: Any, name: str, split: str, limit: int, num_tries: int, evaluation_share: float, instruction: str
) -> Iterator[Task]:
    seen: set[str] = set()
    for index in range(num_tries):
        if len(seen) == limit:
            return
        entry = dataset[index]
        question = str(entry["question"])
        key = problem_hash(question)
        if key in seen or split_of(question, evaluation_share=evaluation_share) != split:
            continue
        seen.add(key)
        prompt = f"{question.rstrip()}\n{instruction}" if instruction else question
        messages = ({"role": "user", "content": prompt},)
        reference = {"dataset": name, "entry": _as_json(entry, name)}
        yield Task(f"gym/{name}/{key}", messages, reference, "gym", f"gym/{name}", name)
    if len(seen) < limit:
        logger.warning("reasoning-gym %s gave %d different problems of %d for %s", name, len(seen), limit, split)


def _as_json(entry: Any, name: str) -> Any:
    try:
        return json.loads(json.dumps(entry))
    except (TypeError, ValueError) as error:
        raise DataError(f"an entry of the generator {name!r} does not fit into JSON: {error}") from error


def _create(name: str, options: dict[str, Any]) -> Any:
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise UsageError(
            f"the source gym/{name} needs reasoning-gym, which is not installed", hint="pip install 'rlvr[train]'"
        ) from error
    if name not in DATASETS:
        near = difflib.get_close_matches(name, list(DATASETS), n=1)
        hint = f"did you mean gym/{near[0]}?" if near else "see the gallery of reasoning-gym for the names"
        raise DataError(f"reasoning-gym has no generator {name!r}", hint=hint)
    try:
        return reasoning_gym.create_dataset(name, **options)
    except (TypeError, ValueError, AssertionError) as error:
        raise DataError(f"reasoning-gym {name} refuses its options: {error}", hint="see its configuration") from error
