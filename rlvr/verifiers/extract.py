"""Where the answer stands in a completion: after the thinking part, in the last balanced box, tag or answer line."""

import re
from dataclasses import dataclass

from rlvr.types import Status

MAX_ANSWER_CHARACTERS = 2000
MAX_NESTED_BOXES = 8
MAX_BOX_DISTANCE = 1_000_000
"""Characters from the end of a text within which a box is looked for."""

_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*")
_SHORT = re.compile(r"\{[^\\{}]{0,200}\}")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE = re.compile(r"[^\s$]{1,100}(?![^\s$])")
_TOKEN = re.compile(r"\\[a-zA-Z]+|\S")
_THINK = re.compile(r"<(/?)think(?:ing)?\s*>", re.IGNORECASE)
_TAG = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL)
_LINE = re.compile(
    r"(?:^|\n)[ \t*]*(?:(?:so|thus|hence|therefore),?[ \t]+)?"
    r"(?:####|A:|Answer:|(?:the )?(?:final )?answer(?:[ \t]+is:?|:))[ \t*]*([^\n]*)",
    re.IGNORECASE,
)
_BREAK = re.compile(r"\n|[.!?;][\"')\]$*]*\s")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a completion: its text where `status` is "ok".

    `alternatives` are the differing boxes of one breath, where there are several; the status is then "hedged".
    """

    text: str
    status: Status
    alternatives: tuple[str, ...] = ()


NO_ANSWER = Answer("", "no_answer")


def after_thinking(text: str) -> str | None:
    """Gives the text after the last `</think>`, or None where a `<think>` is still open."""
    if "<" not in text:
        return text
    end, is_open = 0, False
    for mark in _THINK.finditer(text):
        end, is_open = (mark.end(), False) if mark[1] else (end, True)
    return None if is_open else text[end:]


def _closing_braces(text: str) -> dict[int, int]:
    stack: list[int] = []
    closing: dict[int, int] = {}
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            stack.append(match.start())
        elif match.group() == "}" and stack:
            closing[stack.pop()] = match.start()
    return closing


def _short_end(text: str, start: int) -> int | None:
    """Gives the brace that closes the one at `start` where it stands near, with nothing special in between."""
    match = _SHORT.match(text, start)
    return match.end() - 1 if match else None


def balanced(text: str) -> bool:
    """Gives whether every brace of LaTeX text has its partner; escaped braces do not count."""
    braces = [match.group() for match in _BRACE.finditer(text) if match.group() in "{}"]
    return braces.count("{") == braces.count("}") == len(_closing_braces(text))


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """Gives (start, end, content) of every outermost balanced box, in order."""
    found: list[tuple[int, int, str]] = []
    closing: dict[int, int] | None = None
    position = 0
    while match := _BOX.search(text, position):
        position = match.end()
        if position < len(text) and text[position] == "{":
            end = _short_end(text, position)
            if end is None:
                closing = _closing_braces(text) if closing is None else closing
                end = closing.get(position)
            if end is not None:
                found.append((match.start(), end + 1, text[position + 1 : end]))
                position = end + 1
        elif bare := _BARE.match(text, position):
            # TeX boxes one token. A longer run is ambiguous (4 or 42?), so it is no answer.
            run = bare.group().rstrip(".,;:!?)")
            if _TOKEN.fullmatch(run):
                found.append((match.start(), position + len(run), run))
    return found


def _unwrapped(content: str) -> str:
    """Gives the content of the innermost box where a box holds nothing but a box."""
    content = content.strip()
    for _ in range(MAX_NESTED_BOXES):
        inner = _boxes(content) if _BOX.match(content) else []
        if not inner or inner[0][:2] != (0, len(content)):
            break
        content = inner[0][2].strip()
    return content


def _is_working(gap: str) -> bool:
    return bool(_BREAK.search(gap)) and len(_WORD.findall(gap)) >= 3


def holds_box(text: str) -> bool:
    """Gives whether a box stands in `text`."""
    return _BOX.search(text) is not None


def box(text: str) -> Answer:
    """Gives the last balanced `\\boxed{…}` of `text`; differing boxes with no working between them are a hedge."""
    text = text[-MAX_BOX_DISTANCE:]
    found = _boxes(text)
    if not found:
        return NO_ANSWER
    breath = [_unwrapped(found[-1][2])]
    if len(found) == 1:
        return Answer(breath[0], "ok")
    for (_, end, content), (start, _, _) in zip(reversed(found[:-1]), reversed(found), strict=False):
        if _is_working(text[end:start]):
            break
        breath.append(_unwrapped(content))
    differing = tuple(dict.fromkeys("".join(content.split()) for content in reversed(breath)))
    if len(differing) > 1:
        return Answer(breath[0], "hedged", differing[:100])
    return Answer(breath[0], "ok")


def tag(text: str) -> Answer:
    """Gives what stands in the last `<answer>…</answer>`, or in the box inside it."""
    found = _TAG.findall(text) if "</answer>" in text else []
    if not found:
        return NO_ANSWER
    inner = box(found[-1])
    return Answer(found[-1].strip(), "ok") if inner.status == "no_answer" else inner


def box_or_tag(text: str) -> Answer:
    """Gives the box, or the tag where there is no box; a tag that says something else than the box is a hedge."""
    boxed, tagged = box(text), tag(text)
    if boxed.status == "no_answer":
        return tagged
    if tagged.status == "ok" and "".join(tagged.text.split()) != "".join(boxed.text.split()):
        return Answer(boxed.text, "hedged", (boxed.text, tagged.text))
    return boxed


def boxed_only(text: str) -> Answer:
    """Gives the box, never a tag alone; a tag that says something else than the box is a hedge."""
    boxed = box(text)
    return boxed if boxed.status == "no_answer" or "</answer>" not in text else box_or_tag(text)


def marked(text: str) -> Answer:
    """Gives what follows the last "####", "A:", "Answer:" or "(So) the answer is" that begins a line, or its box."""
    found = _LINE.findall(text)
    if not found:
        return NO_ANSWER
    line = found[-1].strip().rstrip("*").strip()
    boxed = box(line)
    return Answer(line, "ok") if boxed.status == "no_answer" else boxed


def whole(text: str) -> Answer:
    """Gives the whole text."""
    return Answer(text.strip(), "ok")


def box_or_whole(text: str) -> Answer:
    """Gives the box, or the whole text where there is no box."""
    boxed = boxed_only(text)
    return whole(text) if boxed.status == "no_answer" else boxed


SLOTS = {
    "boxed": boxed_only,
    "boxed_or_tag": box_or_tag,
    "boxed_or_whole": box_or_whole,
    "tag": tag,
    "marked": marked,
    "whole": whole,
}
"""Where an answer may stand; the name is what a reference gives as "slot"."""


def extract(text: str, slot: str, *, max_characters: int = MAX_ANSWER_CHARACTERS) -> Answer:
    """Gives the answer in that slot of a completion: status "ok", "no_answer", "hedged" or "wrong_format".

    "wrong_format" is an answer of more than `max_characters`. Raises KeyError for a slot that SLOTS does not hold.
    """
    read = SLOTS[slot]
    rest = after_thinking(text)
    if rest is None:
        return NO_ANSWER
    answer = read(rest)
    if answer.status == "ok" and not answer.text:
        return NO_ANSWER
    if answer.status == "ok" and len(answer.text) > max_characters:
        return Answer(answer.text[:200], "wrong_format")
    return answer
