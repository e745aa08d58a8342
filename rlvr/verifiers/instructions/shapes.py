"""IFBench's constraints on the shape of the text: nesting, lists, templates, indents, case, emojis."""

import re
from collections.abc import Mapping
from itertools import pairwise

from rlvr.verifiers.instructions.arguments import TEXT
from rlvr.verifiers.instructions.constraint import Constraint
from rlvr.verifiers.instructions.text import has_word, lines, sentences, words
from rlvr.verifiers.instructions.vocabulary import MINOR_WORDS, is_emoji

_CLOSES = {")": "(", "]": "[", "}": "{"}
_BRACKET_LEVELS = 5
_QUOTE_LEVELS = 3
_SHUTS = {"”": "“", "’": "‘"}
_STAR = re.compile(r"\s*\*(?!\*)\s*(\S.*)")
_DASH = re.compile(r"\s*-\s*(\S.*)")
_LETTER_OPTIONS = re.compile(r"\W*a\W*b\W*c\W*", re.IGNORECASE)
_ITALICS = re.compile(r"<(i|em)>([^<]*)</\1>", re.IGNORECASE)
_TEMPLATE = ("My Answer:", "My Conclusion:", "Future Outlook:")
_SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \t\n…”’»"
_CASED = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def parentheses(text: str) -> bool:
    """Gives whether brackets stand in brackets five levels deep, all five closed in order; a wrong one starts anew."""
    stack: list[tuple[str, int]] = []
    for sign in text:
        if sign in "([{":
            stack.append((sign, 0))
        elif sign in ")]}":
            if not stack or stack[-1][0] != _CLOSES[sign]:
                stack.clear()
                continue
            levels = stack.pop()[1] + 1
            if levels >= _BRACKET_LEVELS:
                return True
            if stack:
                stack[-1] = (stack[-1][0], max(stack[-1][1], levels))
    return False


def quotes(text: str) -> bool:
    """Gives whether quotations stand in quotations three levels deep, double and single in turn, all three closed.

    A straight mark closes the innermost quotation where that has the same one. An apostrophe inside a word is none.
    """
    stack: list[tuple[str, int]] = []
    for place, sign in enumerate(text):
        if sign in "'’" and text[place - 1 : place].isalnum() and text[place + 1 : place + 2].isalnum():
            continue
        if stack and sign in "\"'”’" and stack[-1][0] == _SHUTS.get(sign, sign):
            levels = stack.pop()[1] + 1
            if levels >= _QUOTE_LEVELS:
                return True
            if stack:
                stack[-1] = (stack[-1][0], max(stack[-1][1], levels))
        elif sign in "\"'“‘" and not (stack and _same_kind(stack[-1][0], sign)):
            stack.append((sign, 0))
    return False


def _same_kind(one: str, other: str) -> bool:
    return (one in '"“') == (other in '"“')


def options(text: str, *, options: str) -> bool:
    """Gives whether the text is one of the options, which "/", else "or", else commas part.

    Signs around it and the case do not count, except for lettered options like "a)", which are taken as they stand.
    """
    parted = options.split("/") if "/" in options else re.split(r"\bor\b", options)
    offered = [option.strip() for option in (parted if len(parted) > 1 else options.split(","))]
    if _LETTER_OPTIONS.match(options):
        return text.strip() in offered
    return text.strip(_SIGNS).lower() in {option.strip(_SIGNS).lower() for option in offered}


def newline(text: str) -> bool:
    """Gives whether every line that holds a word holds one alone."""
    found = [words(line) for line in lines(text)]
    return any(found) and all(len(line) <= 1 for line in found)


def emoji(text: str) -> bool:
    """Gives whether an emoji ends every sentence, before or behind its end sign."""
    found = sentences(text)
    for place, sentence in enumerate(found):
        bare = sentence.rstrip(_SIGNS)
        behind = found[place + 1].lstrip(_SIGNS)[:1] if place + 1 < len(found) else ""
        if not (bare and is_emoji(bare[-1])) and not (behind and is_emoji(behind)):
            return False
    return bool(found)


def line_indent(text: str) -> bool:
    """Gives whether there are two lines or more, each with more blanks before it than the one above."""
    indents = [len(line) - len(line.lstrip(" \t")) for line in lines(text)]
    return len(indents) > 1 and all(above < below for above, below in pairwise(indents))


def quote_unquote(text: str) -> bool:
    """Gives whether there is a quotation in double marks, words follow each, and none follows another directly."""
    parts = text.replace("“", '"').replace("”", '"').split('"')
    return len(parts) > 2 and len(parts) % 2 == 1 and all(has_word(part) for part in parts[2::2])


def list_of(text: str, *, sep: str) -> bool:
    """Gives whether at least two items that hold a word stand behind the separator.

    The instruction says "instead of bullet points", upstream counts it anywhere: it need not start a line.
    """
    return sum(has_word(item) for item in text.split(sep.strip())[1:]) >= 2


def thesis(text: str) -> bool:
    """Gives whether words stand in HTML italics (<i> or <em>) and words follow that are not.

    What a section is the instruction does not say, so one thesis is enough, as upstream.
    """
    found = _ITALICS.search(text)
    return found is not None and has_word(found.group(2)) and has_word(_ITALICS.sub(" ", text[found.end() :]))


def sub_bullets(text: str) -> bool:
    """Gives whether lines start with "*" and each of these has a line that starts with "-" before the next.

    Double asterisks are bullets without anything, as upstream: **bold** breaks a strict reading. Upstream takes any
    hyphen for a sub-bullet, and a text without bullets.
    """
    counts: list[int] = []
    for line in lines(text):
        if _filled(_STAR.match(line)):
            counts.append(0)
        elif counts and _filled(_DASH.match(line)):
            counts[-1] += 1
    return bool(counts) and all(counts) and "**" not in text


def no_bullets_bullets(text: str) -> bool:
    """Gives whether two or more sentences with a full stop come first, then two or more lines that start with "*".

    Nothing but these lines may follow.
    """
    found = lines(text)
    stars = [bool(_filled(_STAR.match(line))) for line in found]
    first = stars.index(True) if True in stars else len(found)
    opening = sentences("\n".join(found[:first]))
    ended = sum(one.rstrip(_SIGNS.replace(".", "")).endswith(".") for one in opening)
    return ended >= 2 and len(stars) - first >= 2 and all(stars[first:])


def _filled(match: re.Match[str] | None) -> bool:
    return match is not None and has_word(match.group(1))


def title_case(text: str) -> bool:
    """Gives whether every word starts with a capital, except short articles, conjunctions and prepositions inside."""
    found = _CASED.findall(text)
    capital = all(not word[0].islower() or word in MINOR_WORDS for word in found)
    return bool(found) and found[0][0].isupper() and capital


def output_template(text: str) -> bool:
    """Gives whether the three labels come in order, each followed by a word; nothing may stand before the first."""
    rest = text.lstrip("*_# \n")
    if not rest.startswith(_TEMPLATE[0]):
        return False
    for place, label in enumerate(_TEMPLATE):
        head, found, rest = rest.partition(label)
        if not found or (place > 0 and not has_word(head)):
            return False
    return has_word(rest)


def no_whitespace(text: str) -> bool:
    """Gives whether there is no white space inside the text."""
    return not any(character.isspace() for character in text.strip())


SHAPES: Mapping[str, Constraint] = {
    "format:emoji": Constraint(emoji),
    "format:line_indent": Constraint(line_indent),
    "format:list": Constraint(list_of, {"sep": TEXT}),
    "format:newline": Constraint(newline),
    "format:no_bullets_bullets": Constraint(no_bullets_bullets),
    "format:no_whitespace": Constraint(no_whitespace),
    "format:options": Constraint(options, {"options": TEXT}),
    "format:output_template": Constraint(output_template),
    "format:parentheses": Constraint(parentheses),
    "format:quote_unquote": Constraint(quote_unquote),
    "format:quotes": Constraint(quotes),
    "format:sub-bullets": Constraint(sub_bullets),
    "format:thesis": Constraint(thesis),
    "format:title_case": Constraint(title_case),
}
