"""Small stories without numbers: text to keep, which no reward ever touches."""

import itertools
from collections.abc import Iterator

from rlvr.data.split import split_of
from rlvr.data.synthetic import wording
from rlvr.data.synthetic.dice import Dice
from rlvr.errors import DataError
from rlvr.types import Document

DOMAIN = "stories"

_ANIMALS = ["dog", "cat", "fox", "owl", "horse", "goat", "duck", "rabbit", "hen", "mouse"]
_PLACES = ["forest", "garden", "river", "market", "village", "hill", "barn", "lake", "bridge", "harbor"]
_THINGS = ["lamp", "rope", "kite", "drum", "basket", "map", "bell", "boat", "coat", "flute"]
_COLORS = ["red", "blue", "green", "white", "black", "brown", "golden", "gray"]
_MOODS = ["happy", "tired", "brave", "quiet", "curious", "hungry", "lonely", "proud"]
_TIMES = ("One morning", "Late in the evening", "On a rainy day", "In the spring", "Last winter", "At noon")

_FIRST = (
    "{time} {name} walks to the {place} with a {color} {thing}.",
    "{time} a {mood} {animal} sits near the {place}.",
    "There was once a {mood} {animal} that lived by the {place}.",
    "{time} {name} finds a {color} {thing} in the {place}.",
)
_MIDDLE = (
    "A {color} {animal} comes out of the {place2} and looks at {object}.",
    "{name} is {mood2} and sings a song for the {animal}.",
    "The {animal} hides the {thing} behind the {place2}.",
    "It starts to rain, and everyone runs to the {place2}.",
    "{name} asks {friend} for help, but {friend} is far away.",
    "The {animal} and {name} share some bread and become friends.",
    "{friend} brings a {color2} {thing2} and gives it to {name}.",
    "The wind takes the {thing} over the {place2}.",
)
_LAST = (
    "In the end they all go home.",
    "At night the {animal} sleeps and {name} is {mood}.",
    "Since that day the {animal} waits for {name} at the {place}.",
    "{name} never forgets the {color} {thing}.",
    "Everyone in the {place2} is {mood2} again.",
)


def documents(split: str, *, seed: int = 0, limit: int | None = None) -> Iterator[Document]:
    """Gives stories of 4 to 6 sentences, split by a hash of their text; endless without a `limit`."""
    if split not in ("train", "evaluation"):
        raise DataError(f"no stories for split {split!r}", hint='use "train" or "evaluation"')
    yielded = 0
    for index in itertools.count():
        if limit is not None and yielded >= limit:
            return
        text = _story(Dice(seed, "stories", index))
        if split_of(text) == split:
            yielded += 1
            yield Document(f"stories-{split}-{seed}-{index}", text, DOMAIN)


def _story(dice: Dice) -> str:
    person, friend = dice.some(wording.PEOPLE, 2)
    place, place2 = dice.some(_PLACES, 2)
    thing, thing2 = dice.some(_THINGS, 2)
    color, color2 = dice.some(_COLORS, 2)
    mood, mood2 = dice.some(_MOODS, 2)
    fields = {
        "name": person.name,
        "object": person.object,
        "friend": friend.name,
        "animal": dice.pick(_ANIMALS),
        "time": dice.pick(_TIMES),
        "place": place,
        "place2": place2,
        "thing": thing,
        "thing2": thing2,
        "color": color,
        "color2": color2,
        "mood": mood,
        "mood2": mood2,
    }
    middle = dice.some(_MIDDLE, dice.between(2, 4))
    return " ".join(part.format(**fields) for part in [dice.pick(_FIRST), *middle, dice.pick(_LAST)])
