"""Answers on disk, so that an evaluation that was killed goes on where it ended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rlvr.data.split import problem_hash
from rlvr.engines.base import Answer
from rlvr.errors import UsageError
from rlvr.runs.atomic import strict_json
from rlvr.runs.lines import append_line, read_lines
from rlvr.types import Task


class AnswerFile:
    """The answers of one suite as JSON lines, a task a line; without a path they are not kept.

    `asked` says who was asked and how; it stands in the first line.
    """

    def __init__(self, path: Path | None, asked: Mapping[str, Any]) -> None:
        """Raises UsageError where the file holds the answers of another model, or to another way of asking."""
        self._path = path
        self._known: dict[tuple[str, str], list[dict[str, Any]]] = {}
        if path is None:
            return
        lines, header = read_lines(path), {"asked": json.loads(strict_json(asked))}
        if lines and lines[0] != header:
            old, new = lines[0].get("asked", {}), header["asked"]
            other = [key for key in new if not isinstance(old, Mapping) or old.get(key) != new[key]]
            raise UsageError(
                f"{path} holds answers that were asked for with another {', '.join(other)}",
                hint="give another --output folder, or remove that file",
            )
        if not lines:
            append_line(path, header, fsync=False)
        self._known = {(line["task"], line["prompt"]): line["answers"] for line in lines[1:]}

    @property
    def has_answers(self) -> bool:
        """Whether some answer is on disk."""
        return bool(self._known)

    def known(self, task: Task, *, question_id: int) -> tuple[Answer, ...]:
        """Gives the answers to a task that are on disk, none where it was not asked or was asked in other words."""
        found = self._known.get((task.id, _prompt(task)), [])
        return tuple(Answer(**{**answer, "question_id": question_id}) for answer in found)

    def add(self, task: Task, answers: Sequence[Answer]) -> None:
        """Keeps a task's answers, unless one of them never came: then the task is asked again next time."""
        if self._path is None or any(answer.finish == "abort" for answer in answers):
            return
        rows = [{key: value for key, value in asdict(a).items() if key != "question_id"} for a in answers]
        append_line(self._path, {"task": task.id, "prompt": _prompt(task), "answers": rows}, fsync=False)


def _prompt(task: Task) -> str:
    return problem_hash(json.dumps([dict(message) for message in task.messages]))
