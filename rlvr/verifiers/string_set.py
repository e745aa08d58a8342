"""Texts without order: all of a set, or any one of several spellings."""

import re
from typing import Any

from rlvr.types import Completion, Task, Verdict
from rlvr.verifiers.reference import answered, read_reference

VERSION = "string_set-3"
MATCHES = ("all", "any")

_KEYS = {"answers": list, "match": str, "case": bool}
_BETWEEN = re.compile(r"[,;\n]")
_AND = re.compile(r"(?:^|\s)(?:and|&)\s", re.IGNORECASE)
_MARKS = "\"'*`“”‘’"
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+")
_IN_LATEX = re.compile(r"\\(?:text|mathrm|mbox|textbf|textit)\s*\{([^{}]*)\}")


def check_reference(reference: Any) -> str | None:
    """Gives what is wrong with a reference, or None: {"answers": […], "match": "all" | "any", "case": …, "slot": …}."""
    read = read_reference(reference, _KEYS, required=("answers",))
    if isinstance(read, str):
        return read
    answers = read["answers"]
    if not answers or not all(isinstance(answer, str) and _plain(answer, case=True) for answer in answers):
        return f"answers has to be a list of texts that are not empty, found {str(answers)[:80]!r}"
    if read.get("match", "all") not in MATCHES:
        return f"match is {read['match']!r}; known: {', '.join(MATCHES)}"
    split = [answer for answer in answers if _BETWEEN.search(answer)]
    if split and read.get("match", "all") == "all":
        return f"the answer {split[0][:40]!r} holds a comma, semicolon or new line, which part the answers"
    return None


def verify(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the answer names exactly the reference's texts, in any order ("all"), or just one ("any").

    The reference is {"answers": ["red", "blue"], "match": "all", "case": false, "slot": …}, the slot "boxed_or_whole"
    by default. Commas, semicolons, new lines, bullets and, where what stands between these is none of the texts, the
    word "and" part the texts; white space, quotation marks, asterisks and fonts of LaTeX around them, and case unless
    `case`, do not count. With "all" `parts` holds precision and recall.
    """
    if check_reference(task.reference) is not None:
        return Verdict(None, "bad_reference", version=VERSION)
    answer = answered(task.reference, completion, default="boxed_or_whole", version=VERSION)
    if isinstance(answer, Verdict):
        return answer
    answer = _IN_LATEX.sub(r"\1", answer)
    case = task.reference.get("case", False)
    wanted = {_plain(text, case=case) for text in task.reference["answers"]}
    if task.reference.get("match", "all") == "any":
        return Verdict(float(_plain(answer, case=case) in wanted), "ok", answer[:200], version=VERSION)
    found: set[str] = set()
    for part in _BETWEEN.split(answer):
        named = _plain(_BULLET.sub("", part), case=case)
        found |= {named} if named in wanted else {_plain(one, case=case) for one in _AND.split(named)}
    found.discard("")
    met = len(found & wanted)
    parts = {"precision": met / len(found) if found else 0.0, "recall": met / len(wanted)}
    return Verdict(float(found == wanted), "ok", answer[:200], parts=parts, version=VERSION)


def _plain(text: str, *, case: bool) -> str:
    plain = " ".join(text.split()).rstrip(".").strip(_MARKS)
    return plain if case else plain.casefold()
