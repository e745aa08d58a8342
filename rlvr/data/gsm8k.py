"""GSM8K in its published layout: JSON lines (or the Hub's Parquet) with `question` and `answer`.

An answer is working with calculator marks `<<48/2=24>>`, then a last line `#### 24`.
Source: Cobbe et al., "Training Verifiers to Solve Math Word Problems", 2021, https://github.com/openai/grade-school-math.
Splits: "train" and "evaluation" part the published training file by hash ("all" is both), "test" is the published
test file. Where `path` is a file, it is taken for the one that the split needs.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from rlvr import keyed
from rlvr.data.formats import INSTRUCTION, Item, selected
from rlvr.data.rows import BadRow, Row, first_match, read_rows
from rlvr.data.split import problem_hash
from rlvr.errors import DataError
from rlvr.types import Demonstration, Document, Message, Preference, Task

DOMAIN = "gsm8k"

_CALCULATOR_MARK = re.compile(r"<<[^<>]*>>")
_INTEGER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


def tasks(
    split: str, *, path: str | Path, evaluation_share: float = 0.05, instruction: str = INSTRUCTION
) -> Iterator[Task | BadRow]:
    """Yields tasks for the verifier "math" whose reference is the integer after `####`, as text without commas.

    `path` is a file, or a folder with the published files; `evaluation_share` is what "evaluation" takes of the
    training file; `instruction` becomes the last line of each prompt ("" for none).
    """
    return _items(task_from_row, split, path, evaluation_share, instruction)


def demonstrations(
    split: str, *, path: str | Path, evaluation_share: float = 0.05, instruction: str = INSTRUCTION
) -> Iterator[Demonstration | BadRow]:
    """Yields the published solutions without calculator marks, ending in `\\boxed{gold}`; options as `tasks`."""
    return _items(demonstration_from_row, split, path, evaluation_share, instruction)


def preferences(
    split: str, *, path: str | Path, evaluation_share: float = 0.05, instruction: str = INSTRUCTION
) -> Iterator[Preference | BadRow]:
    """Yields each published solution against the same working with a wrong final number; options as `tasks`."""
    return _items(preference_from_row, split, path, evaluation_share, instruction)


def documents(split: str, *, path: str | Path, evaluation_share: float = 0.05) -> Iterator[Document | BadRow]:
    """Yields each problem with its published solution below it as one text, split by problem as the tasks are."""
    for item in _items(demonstration_from_row, split, path, evaluation_share, ""):
        if isinstance(item, BadRow):
            yield item
        else:
            text = "\n".join(message["content"] for message in item.messages)
            yield Document(item.id, text, item.domain)


def task_from_row(row: Row) -> Task:
    """Gives the task of a row. Raises: DataError where it has no question or no integer after `####`."""
    _, gold = _solution_of(row)
    return Task(_id_of(row), _prompt_of(row), gold, "math", DOMAIN, DOMAIN)


def demonstration_from_row(row: Row) -> Demonstration:
    """Gives the demonstration of a row. Raises: as `task_from_row`."""
    working, gold = _solution_of(row)
    turn = {"role": "assistant", "content": _boxed(working, gold)}
    return Demonstration(_id_of(row), (*_prompt_of(row), turn), DOMAIN)


def preference_from_row(row: Row) -> Preference:
    """Gives the preference of a row: the last number of the working that equals the answer is changed in the rejected.

    The wrong number is 1 to 9 more, or ten times the right one, keyed by the question. Raises: as `task_from_row`.
    """
    working, gold = _solution_of(row)
    key = int(problem_hash(str(row.values["question"]))[:8], 16)
    offset = int(keyed.integers(0, "gsm8k/wrong", 10, key)[()])
    wrong = str(int(gold) + offset) if offset else str(int(gold) * 10 or 1)
    matches = [m for m in _NUMBER.finditer(working) if m.group().replace(",", "") == gold.lstrip("-")]
    slipped = working
    if matches:
        last = matches[-1]
        slipped = working[: last.start()] + wrong.lstrip("-") + working[last.end() :]
    return Preference(_id_of(row), _prompt_of(row), _boxed(working, gold), _boxed(slipped, wrong), DOMAIN)


def _items(
    parse: Callable[[Row], Item], split: str, path: str | Path, evaluation_share: float, instruction: str
) -> Iterator[Item | BadRow]:
    part = "test" if split == "test" else "train"
    patterns = [f"{stem}.{kind}" for stem in (part, f"gsm8k_{part}") for kind in ("jsonl", "jsonl.gz", "parquet")]
    patterns += [f"{part}-*.parquet", f"main/{part}-*.parquet"]
    rows = read_rows(first_match(path, patterns, what=f"GSM8K {part} file"))
    wanted = "all" if split == "test" else split
    return selected(rows, parse, split=wanted, evaluation_share=evaluation_share, instruction=instruction)


def _id_of(row: Row) -> str:
    return f"{DOMAIN}/{row.where}"


def _prompt_of(row: Row) -> tuple[Message, ...]:
    question = row.values.get("question")
    if not isinstance(question, str) or not question.strip():
        raise DataError("no question")
    return ({"role": "user", "content": question.strip()},)


def _solution_of(row: Row) -> tuple[str, str]:
    """Gives the working without calculator marks, and the answer."""
    answer = row.values.get("answer")
    if not isinstance(answer, str) or not answer.strip():
        raise DataError("no answer")
    working, mark, last = answer.rpartition("####")
    gold = last.strip().replace(",", "")
    if not mark or not _INTEGER.fullmatch(gold):
        raise DataError(f"no integer after #### in the answer {answer[-40:]!r}")
    return _CALCULATOR_MARK.sub("", working).strip(), gold


def _boxed(working: str, answer: str) -> str:
    return f"{working}\nThe answer is \\boxed{{{answer}}}".lstrip()
