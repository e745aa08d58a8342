"""Tasks, demonstrations, preferences and documents of every generated domain, made of its exercises."""

import itertools
from collections.abc import Iterator, Mapping
from functools import partial

from rlvr.data.formats import CHECK_OF_VERIFIER
from rlvr.data.synthetic import arithmetic, forms, functions, instructions, shipped
from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.exercise import Domain, Exercise
from rlvr.errors import DataError
from rlvr.types import Demonstration, Document, Message, Preference, Task

DOMAINS: Mapping[str, Domain] = {
    "arithmetic": arithmetic.exercises,
    "instructions": instructions.exercises,
    "functions": functions.exercises,
    "chain_sum": partial(shipped.exercises, "chain_sum"),
    "spell_backward": partial(shipped.exercises, "spell_backward"),
}
"""Every generated domain; the last two are reasoning-gym's, whose tasks come from "gym/NAME"."""

HIGHEST_RUNGS: Mapping[str, int] = {
    "arithmetic": arithmetic.HIGHEST_RUNG,
    "instructions": instructions.HIGHEST_RUNG,
    "functions": functions.HIGHEST_RUNG,
    "chain_sum": 1,
    "spell_backward": 1,
}

Rows = Iterator[tuple[int, Exercise]]


def tasks(
    name: str,
    split: str,
    *,
    seed: int = 0,
    limit: int | None = None,
    min_rung: int = 1,
    max_rung: int = 0,
) -> Iterator[Task]:
    """Gives tasks of that domain with all rungs equally likely, no text twice; endless without a `limit`."""
    seen: set[str] = set()
    for index, exercise in _exercises(name, split, "task", seed, min_rung, max_rung, written=False):
        if limit is not None and len(seen) >= limit:
            return
        if exercise.question in seen:
            continue
        seen.add(exercise.question)
        yield Task(
            id=f"{name}-{split}-{seed}-{index}",
            messages=(_user(exercise),),
            reference=exercise.reference,
            verifier=exercise.verifier,
            source=name,
            domain=name,
            rung=exercise.rung,
            check=CHECK_OF_VERIFIER.get(exercise.verifier, "exact"),
        )


def demonstrations(
    name: str,
    split: str,
    *,
    seed: int = 0,
    limit: int | None = None,
    min_rung: int = 1,
    max_rung: int = 0,
    answer_only_share: float = 0.0,
) -> Iterator[Demonstration]:
    """Gives solved exercises, all correct; hard ones are as rare as in written text.

    Each shows its whole working, but for a share of `answer_only_share` that says the answer and nothing else.
    """
    found = _exercises(name, split, "demonstration", seed, min_rung, max_rung, written=True)
    for index, exercise in itertools.islice(found, limit):
        short = Dice(seed, f"{name}/demonstration/form", index).chance(answer_only_share)
        answer = forms.answer_only(exercise) if short else forms.completion(exercise)
        messages = (_user(exercise), {"role": "assistant", "content": answer})
        yield Demonstration(f"{name}-demonstration-{seed}-{index}", messages, name)


def preferences(
    name: str, split: str, *, seed: int = 0, limit: int | None = None, min_rung: int = 1, max_rung: int = 0
) -> Iterator[Preference]:
    """Gives pairs that differ in style only: tidy against rambling working; both answers are the same."""
    found = _exercises(name, split, "preference", seed, min_rung, max_rung, written=True)
    for index, exercise in itertools.islice(found, limit):
        yield Preference(
            f"{name}-preference-{seed}-{index}",
            (_user(exercise),),
            chosen=forms.completion(exercise),
            rejected=forms.messy(exercise, Dice(seed, f"{name}/preference/style", index)),
            domain=name,
        )


def documents(name: str, split: str, *, seed: int = 0, limit: int | None = None, form: str = "") -> Iterator[Document]:
    """Gives exercises as they stand in written text: worked, answered and as conversations; or all in one `form`."""
    if form and form not in forms.FORMS:
        raise DataError(f"there is no form {form!r}", hint=f"use one of {', '.join(forms.FORMS)}")
    found = _exercises(name, split, "document", seed, 1, 0, written=True)
    for index, exercise in itertools.islice(found, limit):
        prompt, text = forms.write_down(exercise, Dice(seed, f"{name}/document/form", index), form)
        yield Document(f"{name}-document-{seed}-{index}", text, name, prompt=prompt)


def _exercises(name: str, split: str, purpose: str, seed: int, low: int, high: int, *, written: bool) -> Rows:
    top = HIGHEST_RUNGS[name]
    high = high or top
    if split not in ("train", "evaluation") or not 1 <= low <= high <= top:
        raise DataError(
            f"no {name} for split {split!r} and rungs {low} to {high}",
            hint=f'use split "train" or "evaluation" and 1 <= min_rung <= max_rung <= {top}',
        )
    return DOMAINS[name](split, purpose=purpose, seed=seed, min_rung=low, max_rung=high, written=written)


def _user(exercise: Exercise) -> Message:
    return {"role": "user", "content": exercise.question}
