"""IFBench's constraints that each belong to one request: a list of facts, CSV data, a sentence backwards."""

import datetime
import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from string import punctuation

from rlvr.verifiers.instructions.constraint import Constraint
from rlvr.verifiers.instructions.text import first_word, lines, sentences, words
from rlvr.verifiers.instructions.vocabulary import CAPITALS

_MULTIPLES = [14, 21, 28, 35, 42, 49]
_NUMBER = re.compile(r"\d{1,9}")
_QUESTION = re.compile(r"[*_#\s]*Question\b[^\n]{0,12}?[.:)]?")
_OPTION = re.compile(r"[*_\s]*[A-Ea-e][.):]\s*\S")
_COUNTRIES = 52
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NAPOLEON = (1769, 1821)


def multiples(text: str) -> bool:
    """Gives whether the numbers of the text are 14, 21, 28, 35, 42, 49 in this order, and no others."""
    return [int(number) for number in _NUMBER.findall(text)] == _MULTIPLES


def mcq_count_length(text: str) -> bool:
    """Gives whether the text is 4 questions labelled "Question", with 5 options a to e, each longer than the last.

    The length of a question is its characters before the first option; nothing may stand before the first label.
    """
    questions: list[list[str]] = []
    for line in lines(text):
        label = _QUESTION.match(line)
        if label:
            questions.append([line[label.end() :]])
        elif not questions:
            return False
        else:
            questions[-1].append(line)
    if len(questions) != 4:
        return False
    lengths = []
    for question in questions:
        options = [bool(_OPTION.match(line)) for line in question]
        if sum(options) != 5:
            return False
        asked = " ".join(line.strip() for line in question[: options.index(True)]).strip()
        lengths.append(len(asked))
    return all(before < after for before, after in pairwise(lengths))


def reverse_newline(text: str) -> bool:
    """Gives whether the lines from the one with Zimbabwe on, 52 or more, are in reverse alphabetical order.

    Accents do not count. That they are countries of Africa is not checked.
    """
    found = [_unaccented(line).strip(f"{punctuation} ") for line in lines(text)]
    start = next((place for place, line in enumerate(found) if "Zimbabwe" in line), len(found))
    listed = [line for line in found[start:] if line]
    return len(listed) >= _COUNTRIES and listed == sorted(listed, reverse=True)


def _unaccented(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def word_reverse(text: str) -> bool:
    """Gives whether the text is one sentence that names the bald eagle when its words are read backwards."""
    backwards = " ".join(reversed(words(text.lower())))
    return re.search(r"\bbald eagle\b", backwards) is not None and len(lines(text)) == 1


def character_reverse(text: str) -> bool:
    """Gives whether the bald eagle is named when the text is read backwards."""
    return "bald eagle" in text.lower()[::-1]


def sentence_alphabet(text: str) -> bool:
    """Gives whether there are 26 sentences that start with the letters from a to z."""
    return [first_word(sentence)[:1] for sentence in sentences(text)] == [chr(97 + place) for place in range(26)]


def european_capitals_sort(text: str) -> bool:
    """Gives whether the text is the capitals north of 45 degrees, from north to south, with commas between them.

    Upstream's list leaves out Kyiv; with it or without, the answer is taken. Accents do not count.
    """
    named = [_unaccented(name).strip().rstrip(".") for name in text.split(",")]
    named = ["Kyiv" if name == "Kiev" else name for name in named if name]
    return named in (list(CAPITALS), [name for name in CAPITALS if name != "Kyiv"])


def _table(text: str, delimiter: str) -> list[list[str]]:
    """The fields of each line, quotation marks kept; a quoted field may hold the delimiter but no new line."""
    rows: list[list[str]] = []
    for line in lines(text):
        rows.append([])
        field, quoted = "", False
        for sign in line.rstrip("\r"):
            if sign == delimiter and not quoted:
                rows[-1].append(field.strip())
                field = ""
                continue
            quoted ^= sign == '"'
            field += sign
        rows[-1].append(field.strip())
    return rows


def _headed(rows: list[list[str]], names: Sequence[str], num_rows: int) -> bool:
    header = [field.strip('"') for field in rows[0]] if rows else []
    return header == list(names) and len(rows) == num_rows + 1 and all(len(row) == len(names) for row in rows)


def csv_city(text: str) -> bool:
    """Gives whether the text is CSV with the columns ID, Country, City, Year, Count and 7 rows."""
    return _headed(_table(text, ","), ("ID", "Country", "City", "Year", "Count"), 7)


def csv_special_character(text: str) -> bool:
    """Gives whether the text is CSV with the five columns and 14 rows, and a quoted field holds a special character."""
    rows = _table(text, ",")
    special = any(_is_quoted(field) and _has_sign(field[1:-1]) for row in rows[1:] for field in row)
    return special and _headed(rows, ("ProductID", "Category", "Brand", "Price", "Stock"), 14)


def _is_quoted(field: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == '"'


def _has_sign(text: str) -> bool:
    return any(not (character.isalnum() or character.isspace() or character == "_") for character in text)


def csv_quotes(text: str) -> bool:
    """Gives whether the text is tab-delimited with the five columns and 3 rows, each field in double quotes."""
    rows = _table(text, "\t")
    quoted = all(_is_quoted(field) for row in rows for field in row)
    return quoted and _headed(rows, ("StudentID", "Subject", "Grade", "Semester", "Score"), 3)


def date_format_list(text: str) -> bool:
    """Gives whether the text is dates YYYY-MM-DD of Napoleon's lifetime (1769 to 1821), with commas between them.

    They have to be days of the calendar; that battles began on them is not checked.
    """
    return all(_is_date(date.strip()) for date in text.strip().split(","))


def _is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        return _NAPOLEON[0] <= datetime.date.fromisoformat(text).year <= _NAPOLEON[1]
    except ValueError:
        return False


RECITALS: Mapping[str, Constraint] = {
    "custom:character_reverse": Constraint(character_reverse),
    "custom:csv_city": Constraint(csv_city),
    "custom:csv_quotes": Constraint(csv_quotes),
    "custom:csv_special_character": Constraint(csv_special_character),
    "custom:date_format_list": Constraint(date_format_list),
    "custom:european_capitals_sort": Constraint(european_capitals_sort),
    "custom:mcq_count_length": Constraint(mcq_count_length),
    "custom:multiples": Constraint(multiples),
    "custom:reverse_newline": Constraint(reverse_newline),
    "custom:sentence_alphabet": Constraint(sentence_alphabet),
    "custom:word_reverse": Constraint(word_reverse),
}
