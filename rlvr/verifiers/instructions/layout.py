"""Constraints on the layout: marks, lists, sections, wrapping, first and last words, case.

A mark without content is none: an empty bracket, a bare title or a postscript of nothing keeps no constraint.
"""

import json
import re
from collections.abc import Mapping

from rlvr.verifiers.instructions.arguments import COUNT, RELATION, TEXT, WORD
from rlvr.verifiers.instructions.constraint import Constraint, compared
from rlvr.verifiers.instructions.text import (
    first_word,
    has_word,
    last_word,
    latin_share,
    lines,
    runs,
    sentences,
    words,
)

_PLACEHOLDER = re.compile(r"\[([^\[\]\n]+)\]")
_BULLET = re.compile(r"\s*[*-]\s+(\S.*)")
_EMPHASIS = re.compile(r"(\*{1,3})([^\n*]+)\1")
_TITLE = re.compile(r"<<([^<>\n]+)>>")
_PAIR = re.compile(r"<<([^<>]+)>>")
_BRACKETED = re.compile(r"\[([^\[\]\s]+)\]")
_FENCE = re.compile(r"```[A-Za-z]{0,10}\s*")
_POSTSCRIPTS = {"P.S.": r"p\.\s?s\.", "P.P.S": r"p\.\s?p\.\s?s\b\.?", "P.P.S.": r"p\.\s?p\.\s?s\."}
_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_SIX_STARS = re.compile(r"(?<!\*)\*{6}(?!\*)")
_JOINT = re.compile(r"[.!?]-(?=\S)")
_TOKEN = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")


def number_placeholders(text: str, *, num_placeholders: int) -> bool:
    """Gives whether at least so many square brackets on one line hold a word; the same one may come again."""
    return sum(map(has_word, _PLACEHOLDER.findall(text))) >= num_placeholders


def postscript(text: str, *, postscript_marker: str) -> bool:
    """Gives whether words follow the last marker and words stand before it; it need not start a line."""
    marker = postscript_marker.strip()
    pattern = _POSTSCRIPTS.get(marker.upper(), re.escape(marker))
    found = list(re.finditer(rf"(?<![^\W_])(?<!\.){pattern}", text, re.IGNORECASE))
    return bool(found) and has_word(text[: found[-1].start()]) and has_word(text[found[-1].end() :])


def number_bullet_lists(text: str, *, num_bullets: int) -> bool:
    """Gives whether exactly so many lines start with "* " or "- " and hold a word.

    Upstream also takes a divider, "-5" and a line that starts with *emphasis* for bullets.
    """
    found = (_BULLET.match(line) for line in lines(text))
    return sum(has_word(bullet.group(1)) for bullet in found if bullet) == num_bullets


def constrained_response(text: str) -> bool:
    """Gives whether exactly one of IFEval's three options occurs, as it is written."""
    return sum(option in text for option in _OPTIONS) == 1


def number_highlighted_sections(text: str, *, num_highlights: int) -> bool:
    """Gives whether at least so many stretches of a line stand in *one* or **more** asterisks, without blanks inside.

    A bullet's asterisk marks nothing; **bold** counts once.
    """
    found = 0
    for line in lines(text):
        bullet = _BULLET.match(line)
        inside = _EMPHASIS.findall(bullet.group(1) if bullet else line)
        found += sum(content == content.strip() and has_word(content) for _, content in inside)
    return found >= num_highlights


def multiple_sections(text: str, *, section_spliter: str, num_sections: int) -> bool:
    """Gives whether lines start at least so many sections "MARK 1", "MARK 2", …, each with its own number and a word.

    Marks of Markdown may stand before; the case counts.
    """
    heading = re.compile(rf"[\W_]*{re.escape(section_spliter.strip())}\s?(\d{{1,9}})(?!\d)")
    filled: dict[str, bool] = {}
    current = ""
    for line in lines(text):
        match = heading.match(line)
        if match and match.group(1) not in filled:
            current = match.group(1)
            filled[current] = has_word(line[match.end() :])
        elif current:
            filled[current] = filled[current] or has_word(line)
    return sum(filled.values()) >= num_sections


def json_format(text: str) -> bool:
    """Gives whether the text, or what its one code fence holds, is a JSON object or list that is not empty.

    IFEval takes any JSON value; a number or a quoted sentence is not "wrapped in JSON". NaN is no JSON.
    """
    inside = text.strip()
    fence = _FENCE.match(inside)
    if fence and inside.endswith("```") and len(inside) > fence.end() + 2:
        inside = inside[fence.end() : -3]
    try:
        value = json.loads(inside, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict | list) and bool(value)


def _refuse(name: str) -> None:
    raise ValueError(name)


def title(text: str) -> bool:
    """Gives whether <<…>> on one line holds a word and words stand outside of it."""
    return any(map(has_word, _TITLE.findall(text))) and has_word(_TITLE.sub(" ", text))


def two_responses(text: str) -> bool:
    """Gives whether six asterisks part two responses whose words differ; they may also stand at the ends."""
    parts = [part.strip() for part in _SIX_STARS.split(text)]
    inside = parts[1 if not parts[0] else 0 : len(parts) - 1 if not parts[-1] else len(parts)]
    said = [[run.lower() for run in runs(part)] for part in inside]
    return len(said) == 2 and all(said) and said[0] != said[1]


def quotation(text: str) -> bool:
    """Gives whether the text starts and ends with an ASCII double quotation mark and holds a word."""
    inside = text.strip()
    return inside.startswith('"') and inside.endswith('"') and has_word(inside)


def end_checker(text: str, *, end_phrase: str) -> bool:
    """Gives whether the text ends with the phrase; quotation marks and white space around the text are left out.

    As in IFEval the phrase may be the end of a longer word, and a full stop that is not in the phrase breaks it.
    """
    return text.strip().strip('"').rstrip().lower().endswith(end_phrase.strip().lower())


def start_checker(text: str, *, first_word: str) -> bool:
    """Gives whether the first run is this word; signs around it and the case make no difference."""
    return [run.strip("_").lower() for run in runs(text)[:1]] == [first_word.strip().lower()]


def first_word_answer(text: str, *, first_word: str) -> bool:
    """Gives whether the text starts with this word; signs around it and the case make no difference."""
    return _starts_with(text, first_word)


def first_word_sent(text: str, *, first_word: str) -> bool:
    """Gives whether every sentence starts with this word, as in `first_word_answer`."""
    found = sentences(text)
    return bool(found) and all(_starts_with(sentence, first_word) for sentence in found)


def _starts_with(text: str, word: str) -> bool:
    return first_word(text) == word.strip().lower()


def last_word_answer(text: str, *, last_word: str) -> bool:
    """Gives whether the text ends with this word; signs around it and the case make no difference."""
    return _ends_with(text, last_word)


def last_word_sent(text: str, *, last_word: str) -> bool:
    """Gives whether every sentence ends with this word, as in `last_word_answer`."""
    found = sentences(text)
    return bool(found) and all(_ends_with(sentence, last_word) for sentence in found)


def _ends_with(text: str, word: str) -> bool:
    return last_word(text) == "".join(words(word.lower()))


def bigram_wrapping(text: str) -> bool:
    """Gives whether every two words stand in <<…>>; one word may be left at the end, wrapped or not."""
    pairs = [words(inside) for inside in _PAIR.findall(text)]
    left = words(_PAIR.sub(" ", text))
    if not pairs or len(left) > 1 or (left and _PAIR.sub("", text).strip() != text.rsplit(">>", 1)[-1].strip()):
        return False
    return all(len(pair) == 2 for pair in pairs[:-1]) and len(pairs[-1]) in ((2,) if left else (1, 2))


def square_brackets(text: str) -> bool:
    """Gives whether every word stands in square brackets of its own; punctuation may stand outside."""
    return any(map(has_word, _BRACKETED.findall(text))) and not has_word(_BRACKETED.sub(" ", text))


def sentence_hyphens(text: str) -> bool:
    """Gives whether there are two sentences or more, all joined as in "One.-Two." without a blank."""
    return len(sentences(text)) == 1 and "\n" not in text.strip() and bool(_JOINT.search(text))


def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """Gives whether at least, or less than, so many words are in capitals; "I" and "WELL-KNOWN" are one each."""
    return compared(sum(word.isupper() for word in _TOKEN.findall(text)), capital_relation, capital_frequency)


def english_capital(text: str) -> bool:
    """Gives whether there are letters, most of them Latin, and none in lower case: the script stands for "English"."""
    return text.isupper() and 2 * latin_share(text) > 1


def english_lowercase(text: str) -> bool:
    """Gives whether there are letters, most of them Latin, and none in upper case: the script stands for "English"."""
    return text.islower() and 2 * latin_share(text) > 1


LAYOUT: Mapping[str, Constraint] = {
    "change_case:capital_word_frequency": Constraint(
        capital_word_frequency, {"capital_frequency": COUNT, "capital_relation": RELATION}
    ),
    "change_case:english_capital": Constraint(english_capital),
    "change_case:english_lowercase": Constraint(english_lowercase),
    "combination:two_responses": Constraint(two_responses),
    "detectable_content:number_placeholders": Constraint(number_placeholders, {"num_placeholders": COUNT}),
    "detectable_content:postscript": Constraint(postscript, {"postscript_marker": TEXT}),
    "detectable_format:bigram_wrapping": Constraint(bigram_wrapping),
    "detectable_format:constrained_response": Constraint(constrained_response),
    "detectable_format:json_format": Constraint(json_format),
    "detectable_format:multiple_sections": Constraint(
        multiple_sections, {"section_spliter": TEXT, "num_sections": COUNT}
    ),
    "detectable_format:number_bullet_lists": Constraint(number_bullet_lists, {"num_bullets": COUNT}),
    "detectable_format:number_highlighted_sections": Constraint(number_highlighted_sections, {"num_highlights": COUNT}),
    "detectable_format:sentence_hyphens": Constraint(sentence_hyphens),
    "detectable_format:square_brackets": Constraint(square_brackets),
    "detectable_format:title": Constraint(title),
    "first_word:first_word_answer": Constraint(first_word_answer, {"first_word": WORD}),
    "first_word:first_word_sent": Constraint(first_word_sent, {"first_word": WORD}),
    "last_word:last_word_answer": Constraint(last_word_answer, {"last_word": TEXT}),
    "last_word:last_word_sent": Constraint(last_word_sent, {"last_word": TEXT}),
    "startend:end_checker": Constraint(end_checker, {"end_phrase": TEXT}),
    "startend:quotation": Constraint(quotation),
    "startend:start_checker": Constraint(start_checker, {"first_word": WORD}),
}
"""Ours: startend:start_checker. IFTrain: bigram_wrapping, sentence_hyphens, square_brackets, first_word:*, last_word:*.
IFEval: the others."""
