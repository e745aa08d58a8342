"""What is put to a verifier: a reference with answers to it, and a completion of which it is known what it is worth."""

import re
from dataclasses import dataclass
from typing import Any

CANARY = "{{CANARY}}"
"""Stands for the path of an empty folder: when anything lies in it afterwards, a completion was executed."""

BOXES = ("boxed", "boxed_or_tag", "boxed_or_whole")
"""Slots that read the last box."""

_PLACES = {
    "boxed": r"\boxed{%}",
    "boxed_or_tag": r"\boxed{%}",
    "boxed_or_whole": r"\boxed{%}",
    "tag": "<answer>%</answer>",
    "marked": "#### %",
    "whole": "%",
}
_STANDBYS = ("7361829", "-52907", "880.125")
_COMMAND = re.compile(r"\\[a-zA-Z]+")


@dataclass(frozen=True, slots=True)
class Target:
    """A reference, and answers to it as they stand in its slot: `rights` and `wrongs`.

    `single`: right is one value, so that what offers another beside it, or none, is wrong. Not so for a pattern or a
    constraint, which many texts meet.
    """

    name: str
    reference: Any
    slot: str
    rights: tuple[str, ...]
    wrongs: tuple[str, ...]
    single: bool = True

    @property
    def right(self) -> str:
        """The first right answer."""
        return self.rights[0]

    @property
    def others(self) -> tuple[str, ...]:
        """Three wrong answers or more: known ones that are no part of a right one, then numbers of no meaning."""
        offered = (*self.wrongs, *_STANDBYS)
        apart = tuple(text for text in offered if not any(_plain(text) in _plain(right) for right in self.rights))
        return apart[: max(3, len(self.wrongs))]

    def placed(self, answer: str) -> str:
        """Gives a text with that answer in the slot."""
        return _PLACES[self.slot].replace("%", answer)


@dataclass(frozen=True, slots=True)
class Case:
    """A completion for a reference; `expected` says whether it is right, None that it only has to be survived."""

    name: str
    group: str
    reference: Any
    completion: str
    expected: bool | None


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


def is_number_like(text: str) -> bool:
    """Gives whether an answer has digits and no letter outside of LaTeX commands."""
    bare = _COMMAND.sub("", text)
    return any(map(str.isdecimal, bare)) and not any(map(str.isalpha, bare)) and "text" not in text


def is_plain(text: str) -> bool:
    """Gives whether an answer is no set, interval, relation or list in words: beside it, another value is a second."""
    return not re.search(r"[\[\]()<>=;]|\\[{}]|\\(?:begin|cup|in|le|ge|lt|gt|pm|mp|text)|\bor\b|\band\b", text)
