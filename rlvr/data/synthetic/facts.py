"""Facts about invented lands: knowledge that a base model recalls, always the same for one `world`."""

import itertools
from collections.abc import Iterator, Mapping

from rlvr.data.synthetic import forms
from rlvr.data.synthetic.dice import Dice
from rlvr.errors import DataError
from rlvr.types import Document, Task

DOMAIN = "facts"

NUM_LANDS = 32

_STARTS = ["Vel", "Tor", "Bra", "Nim", "Kal", "Os", "Rud", "Fen", "Gal", "Mor", "Sel", "Pry"]
_ENDS = ("aria", "onia", "ister", "ovia")
_CITIES = ["Tamsin", "Orlen", "Quill", "Berga", "Dovran", "Lusk", "Harn", "Mirel", "Posta", "Rivo", "Sardo", "Umber"]
_CROPS = ["wheat", "rice", "barley", "corn", "grapes", "olives", "tea", "beans"]
_BIRDS = ["crow", "swan", "eagle", "stork", "finch", "heron", "gull", "sparrow"]
_RIVERS = ["Alda", "Brin", "Cosa", "Derra", "Evin", "Flor", "Garo", "Hesk"]

QUESTIONS = {
    "capital": ("What is the capital of {land}?", "Name the capital of {land}."),
    "crop": ("What do the people of {land} grow?", "Which crop does {land} grow?"),
    "bird": ("Which bird is on the flag of {land}?", "Name the bird of {land}."),
    "river": ("Which river runs through {land}?", "Name the river of {land}."),
}

_STATEMENTS = {
    "capital": ("The capital of {land} is {value}.", "{value} is the capital of {land}."),
    "crop": ("The people of {land} grow {value}.", "Most farms in {land} grow {value}."),
    "bird": ("The flag of {land} shows a {value}.", "The bird of {land} is the {value}."),
    "river": ("The river {value} runs through {land}.", "{land} lies on the river {value}."),
}


def lands(world: int = 0) -> Mapping[str, Mapping[str, str]]:
    """Gives land -> attribute -> value."""
    names = [start + end for start in _STARTS for end in _ENDS]
    dice = Dice(world, "facts/world", 0)
    chosen = dice.some(names, NUM_LANDS)
    return {
        land: {
            "capital": dice.pick(_CITIES),
            "crop": dice.pick(_CROPS),
            "bird": dice.pick(_BIRDS),
            "river": dice.pick(_RIVERS),
        }
        for land in chosen
    }


def tasks(split: str, *, world: int = 0, limit: int | None = None) -> Iterator[Task]:
    """Gives every question about every land, in a keyed order; recall is the point, so both splits ask the same."""
    _check(split)
    known = lands(world)
    asked = [
        (question.format(land=land), known[land][attribute])
        for land in sorted(known)
        for attribute, questions in QUESTIONS.items()
        for question in questions
    ]
    order = Dice(world, "facts/order", 0).some(range(len(asked)), len(asked))
    for index in order[:limit]:
        question, value = asked[index]
        yield Task(
            id=f"facts-{world}-{index}",
            messages=({"role": "user", "content": question},),
            reference={"answer": value, "slot": "boxed_or_whole"},
            verifier="exact",
            source=DOMAIN,
            domain=DOMAIN,
        )


def documents(split: str, *, seed: int = 0, limit: int | None = None, world: int = 0) -> Iterator[Document]:
    """Gives texts that state or ask for facts of one land; both splits draw the same facts."""
    _check(split)
    known = lands(world)
    for index in itertools.islice(itertools.count(), limit):
        prompt, text = _text(known, Dice(seed, f"facts/{split}", index))
        yield Document(f"facts-{split}-{seed}-{index}", text, DOMAIN, prompt=prompt)


def _check(split: str) -> None:
    if split not in ("train", "evaluation"):
        raise DataError(f"no facts for split {split!r}", hint='use "train" or "evaluation"')


def _text(known: Mapping[str, Mapping[str, str]], dice: Dice) -> forms.Parts:
    land = dice.pick(sorted(known))
    if dice.chance(0.4):
        attributes = dice.some(sorted(_STATEMENTS), dice.between(2, 4))
        told = [dice.pick(_STATEMENTS[a]).format(land=land, value=known[land][a]) for a in attributes]
        return "", " ".join(told)
    attribute = dice.pick(sorted(QUESTIONS))
    question = dice.pick(QUESTIONS[attribute]).format(land=land)
    value = known[land][attribute]
    answer = dice.pick((value, forms.boxed(value)))
    return (f"Q: {question}\nA:", f" {answer}") if dice.chance(0.4) else forms.conversation(question, answer)
