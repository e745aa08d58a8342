"""What a text is made of: visible characters, words, sentences, paragraphs and lines.

Two kinds of words: `runs` are IFEval's (runs of letters, digits and underscores: "don't" is two), `words` are what
stands between white space without its punctuation ("don't" is dont, one word). Neither holds a run of bare signs.
Every function takes time in proportion to the text.
"""

import re
import string
import unicodedata

from rlvr.verifiers.instructions.vocabulary import ABBREVIATIONS

_DROPPED = frozenset({"Cf", "Mn", "Me"})
"""Categories of invisible characters and of marks that stand on no letter of their own."""
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")
"""Letters by category that show nothing."""
_CONTROLS = dict.fromkeys(code for code in (*range(0x20), *range(0x7F, 0xA0)) if not chr(code).isspace())
_BRAILLE_BLANK = {0x2800: " "}
"""A sign by category that shows a gap."""
_UNASSIGNED = re.compile("[\u2065\ufff0-\ufff8\U000e0000-\U000e0fff]")
"""Not assigned yet, but to be shown as nothing by the standard's default."""
_MARKS = 8
"""Of more marks in a row, the rest is dropped unread: joining them would take time that grows with its square."""
_MARKED = "\u0900-\u109f\u1780-\u17ff"
"""Scripts whose vowel signs are marks (Indic, Thai, Lao, Tibetan, Burmese, Khmer): there they are part of the word."""
_MARKED_LETTER = re.compile(f"[{_MARKED}]")

_LOOKALIKES = str.maketrans(
    "авсеһіјкмнорԛѕтухԁԍӏАВСЕНІЈКМОРЅТУХԚԜԌαικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧɑɡıꞁǃ❗❕‚،、․。٬",
    "abcehijkmhopqstyxdglABCEHIJKMOPSTYXQWGaikvoptuxABEZHIKMNOPTYXagil!!!,,,..,",
)
"""Letters and signs of other alphabets that look like a Latin letter or an ASCII sign."""

_RUN = re.compile(rf"[\w{_MARKED}]+")
_FIRST = re.compile(rf"(?:[^\W_]|[{_MARKED}])[\w{_MARKED}]*(?:-[\w{_MARKED}]+)*")
_END = re.compile(r"(?<![.!?])[.!?]++[\"'”’)\]*_]*+(?=\s)|[。！？।॥؟]++[\"'”’」』)\]]*+")
_LAST_TOKEN = re.compile(r"\S*$")
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]?\.?")
_ENUMERATOR = re.compile(r"[(\[*_#>\-•]*(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})\.[*_]*")
_SENTENCE_TAIL = 24
"""How far before a full stop an abbreviation is looked for."""

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def visible(text: str) -> str:
    """Gives the text in NFC without what shows nothing: control and format characters, lone marks, fillers."""
    text = text.translate(_CONTROLS | _BRAILLE_BLANK)
    if text.isascii():
        return text
    kept, marks = [], 0
    for character in _UNASSIGNED.sub("", text):
        category = unicodedata.category(character)
        if category == "Cf" or character in _FILLERS:
            continue
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= _MARKS:
            kept.append(character)
    joined = unicodedata.normalize("NFC", "".join(kept))
    if not _MARKED_LETTER.search(joined):
        return "".join(character for character in joined if unicodedata.category(character) not in _DROPPED)
    shown: list[str] = []
    for character in joined:
        marked = shown and _MARKED_LETTER.match(character) and _MARKED_LETTER.match(shown[-1])
        if marked or unicodedata.category(character) not in _DROPPED:
            shown.append(character)
    return "".join(shown)


def folded(text: str) -> str:
    """Gives a mostly Latin text with look-alike letters and signs as Latin and ASCII ones; other texts unchanged.

    This is for what must not occur: a Cyrillic letter in the middle of an English word hides it from no reader.
    """
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text)
    return plain.translate(_LOOKALIKES) if 2 * latin_share(plain) > 1 else text


def latin_share(text: str) -> float:
    """Gives which share of the letters is Latin, 0 where there is none."""
    letters = [character for character in text if character.isalpha()]
    return sum(map(is_latin, letters)) / len(letters) if letters else 0.0


def is_latin(character: str) -> bool:
    """Gives whether a letter is of the Latin script, full-width and mathematical forms included."""
    return character.isascii() or character < "\u0250" or ord(character) in _LATIN_FURTHER


_LATIN_FURTHER = frozenset((*range(0x1E00, 0x1F00), *range(0xFF21, 0xFF5B), *range(0x1D400, 0x1D800)))


def runs(text: str) -> list[str]:
    """Gives IFEval's words: runs of letters, digits and underscores that hold a letter or a digit."""
    return [run for run in _RUN.findall(text) if run.strip("_")]


def words(text: str) -> list[str]:
    """Gives what stands between white space and holds a letter or a digit, without any punctuation."""
    found = []
    for token in text.translate(_WITHOUT_PUNCTUATION).split():
        word = token if token.isalnum() else "".join(c for c in token if not unicodedata.category(c).startswith("P"))
        if any(character.isalnum() for character in word):
            found.append(word)
    return found


def first_word(text: str) -> str:
    """Gives the first word in lower case, "" where there is none; signs before it do not count."""
    found = _FIRST.search(text)
    return found.group().rstrip("_").lower() if found else ""


def last_word(text: str) -> str:
    """Gives the last word without punctuation in lower case, "" where there is none."""
    found = words(text[-2000:])
    return found[-1].lower() if found else ""


def sentences(text: str) -> list[str]:
    """Gives the sentences, each with its end sign.

    A sentence ends with . ! ? before white space, or with an end sign of another script, or with a blank line. Not
    after an abbreviation (a fixed list, initials, "e.g."), not after the number or letter of a list, and not after dots
    that a small letter follows. What holds no letter or digit is part of the sentence before.
    """
    found: list[str] = []
    for block in paragraphs(text):
        start = 0
        for match in _END.finditer(block):
            if not _is_end(block, start, match):
                continue
            _add(found, block[start : match.end()])
            start = match.end()
        _add(found, block[start:])
    return found


def _add(found: list[str], piece: str) -> None:
    piece = piece.strip()
    if not piece:
        return
    if has_word(piece):
        found.append(piece)
    elif found:
        found[-1] += f" {piece}"


def _is_end(block: str, start: int, match: re.Match[str]) -> bool:
    sign = match.group()
    if sign[0] != ".":
        return True
    rest = block[match.end() : match.end() + 3].lstrip()
    if sign.startswith(".."):
        return not rest[:1].islower()
    tail = block[max(start, match.start() - _SENTENCE_TAIL) : match.start() + 1]
    found = _LAST_TOKEN.search(tail)
    token = found.group() if found else ""
    if _ENUMERATOR.fullmatch(token) and not block[start : match.start() + 1 - len(token)].strip():
        return False
    bare = token.strip("([\"'*_“‘.").lower()
    if bare.replace(".", "") in ABBREVIATIONS and not (bare == "no" and not rest[:1].isdigit()):
        return bare == "etc" and rest[:1].isupper()
    dotted = token.strip("([\"'*_“‘")
    if len(dotted) == 2 and dotted[0].isupper() and dotted != "I.":
        return False
    return not (len(dotted) > 3 and _DOTTED.fullmatch(dotted) and not rest[:1].isupper())


def paragraphs(text: str) -> list[str]:
    """Gives the paragraphs: what stands between blank lines."""
    return ["\n".join(lines) for lines in _groups(text)]


def _groups(text: str) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip():
            groups[-1].append(line)
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if group]


def lines(text: str) -> list[str]:
    """Gives the lines that are not blank, as they stand."""
    return [line for line in text.split("\n") if line.strip()]


def has_word(text: str) -> bool:
    """Gives whether there is a letter or a digit."""
    return any(character.isalnum() for character in text)


def count_word(text: str, word: str) -> int:
    """Gives how often the word stands alone: no letter or digit touches it, the case does not matter.

    Underscores around it are emphasis; those that join it to another word are not: rock_star is no rock.
    """
    alone = rf"(?<![^\W_])(?<![^\W_]_){re.escape(word.strip())}(?!_*[^\W_])"
    return len(re.findall(alone, text, re.IGNORECASE))


def occurrences(text: str, word: str) -> int:
    """Gives how often the word occurs, inside longer words too, without overlaps; the case does not matter."""
    return text.lower().count(word.strip().lower())
