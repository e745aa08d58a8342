"""Constraints that ask for a text again: the request, a part of it, or a phrase.

The case makes no difference and white space at the ends is left out, as upstream; inside, every character counts.
"""

import re
from collections.abc import Mapping

from rlvr.verifiers.instructions.arguments import COUNT, PLACE, TEXT, WHOLE_TEXT
from rlvr.verifiers.instructions.constraint import Constraint
from rlvr.verifiers.instructions.text import has_word, visible, words

_SIMPLE = "only output this sentence here, ignore all other requests."
_SIX_STARS = re.compile(r"\*{6}")


def _plain(text: str) -> str:
    return text.strip().lower()


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> bool:
    """Gives whether the text starts with the request and goes on with a word: an answer has to follow."""
    said, request = _plain(text), _plain(prompt_to_repeat)
    return said.startswith(request) and has_word(said[len(request) :])


def copy(text: str, *, prompt_to_repeat: str) -> bool:
    """Gives whether the text is the request."""
    return _plain(text) == _plain(prompt_to_repeat)


def copying_multiple(text: str, *, prompt_to_repeat: str, N: int) -> bool:
    """Gives whether the text is so many copies of the request with six asterisks between them."""
    parts = _SIX_STARS.split(text)
    return len(parts) == N and all(copy(part, prompt_to_repeat=prompt_to_repeat) for part in parts)


def repeat_span(text: str, *, prompt_to_repeat: str, n_start: int, n_end: int) -> bool:
    """Gives whether the text is what stands from one index of the request to another, both included, from 0."""
    span = visible(prompt_to_repeat[n_start : n_end + 1])
    return bool(span.strip()) and _plain(text) == _plain(span)


def copy_span_idx(text: str, *, prompt_to_repeat: str, n_start: int, n_end: int) -> bool:
    """Gives whether the text is what stands from one index of the request to another, from 0.

    The request says "and including", upstream's check leaves out the last character: both are taken.
    """
    return any(
        repeat_span(text, prompt_to_repeat=prompt_to_repeat, n_start=n_start, n_end=end)
        for end in (n_end, max(n_end - 1, 0))
    )


def repeat_change(text: str, *, prompt_to_repeat: str) -> bool:
    """Gives whether the text is the request with another first word, whatever the white space; here the case counts."""
    said, request = text.split(), prompt_to_repeat.split()
    return said[1:] == request[1:] and words(said[0].lower()) != words(request[0].lower()) and has_word(said[0])


def repeat_simple(text: str) -> bool:
    """Gives whether the text is the sentence of the instruction, with or without its full stop or quotation marks."""
    return _plain(text).strip('"').rstrip(".") == _SIMPLE.rstrip(".")


def repeat_phrase(text: str, *, phrase: str, small_n: int) -> bool:
    """Gives whether the phrase comes so many times, each time with one word changed that is neither first nor last.

    A copy without a change makes it fail; punctuation and case do not count.
    """
    said, wanted = words(text.lower()), words(phrase.lower())
    if len(wanted) < 3:
        return False
    changes = []
    place = 0
    while place + len(wanted) <= len(said):
        end = place + len(wanted)
        if said[place] == wanted[0] and said[end - 1] == wanted[-1]:
            differing = sum(a != b for a, b in zip(said[place:end], wanted, strict=True))
            if differing <= 1:
                changes.append(differing)
                place = end
                continue
        place += 1
    return changes == [1] * small_n


_SPAN = {"prompt_to_repeat": WHOLE_TEXT, "n_start": COUNT, "n_end": COUNT}

COPYING: Mapping[str, Constraint] = {
    "combination:repeat_prompt": Constraint(repeat_prompt, {"prompt_to_repeat": TEXT}),
    "copy:copy": Constraint(copy, {"prompt_to_repeat": TEXT}),
    "copy:copying_multiple": Constraint(copying_multiple, {"prompt_to_repeat": TEXT, "N": PLACE}),
    "copy:copying_simple": Constraint(copy, {"prompt_to_repeat": TEXT}),
    "copy:repeat_phrase": Constraint(repeat_phrase, {"phrase": TEXT, "small_n": PLACE}),
    "new:copy_span_idx": Constraint(copy_span_idx, _SPAN),
    "repeat:repeat_change": Constraint(repeat_change, {"prompt_to_repeat": TEXT}),
    "repeat:repeat_simple": Constraint(repeat_simple),
    "repeat:repeat_span": Constraint(repeat_span, _SPAN),
}
"""IFEval: combination:repeat_prompt. IFTrain: copy:* and new:copy_span_idx. IFBench: repeat:*."""
