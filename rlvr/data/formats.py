"""Rows to items: our own columns and the conventions of Tulu/open-instruct, TRL and verl.

    tasks           {prompt | messages, answer | reference, verifier?, check?, domain?, id?, threshold?}
                    TRL {prompt, answer} · Tulu {messages, ground_truth, dataset}
                    (for "instructions" also as `rlvr.data.constraints` says, for "code" as `rlvr.data.programs`)
                    verl {prompt: [message, …], reward_model: {ground_truth}, data_source}
    demonstrations  {messages} or {prompt, completion}
    preferences     {prompt | messages, chosen, rejected}; chosen and rejected may be whole conversations (TRL, Tulu)
    documents       {text}

A prompt is a text (one user turn) or a list of messages. Each function raises DataError on a row it cannot use.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast, get_args

from rlvr.data import programs
from rlvr.data.constraints import reference_from_label
from rlvr.data.rows import BadRow, Row, parsed
from rlvr.data.split import problem_of, split_of
from rlvr.errors import DataError
from rlvr.types import Check, Demonstration, Document, Message, Preference, Solution, Task

Item = TypeVar("Item", Task, Solution, Demonstration, Preference, Document)

INSTRUCTION = "Put your final answer within \\boxed{}."
"""What a prompt asks for, in a last line of its own, so that the answer can be found."""

ROLES = ("system", "user", "assistant", "tool")

VERIFIER_OF_LABEL: dict[str, str] = {
    "gsm8k": "math",
    "math": "math",
    "openai/gsm8k": "math",
    "lighteval/math": "math",
    "digitallearninggmbh/math-lighteval": "math",
    "huggingfaceh4/math-500": "math",
    "math_dapo": "math",
    "ifeval": "instructions",
    "code": "code",
    "code_stdio": "code",
}
"""The verifier for a row that names, in `dataset` (Tulu) or `data_source` (verl), the data it came from."""


CHECK_OF_VERIFIER: dict[str, Check] = {"code": "tested", "instructions": "constrained", "judge": "judged"}
"""How each verifier checks where neither the row nor its tests say; "exact" for all others."""

_READ_LABEL: dict[str, Callable[[Any], Any]] = {"code": programs.from_label, "instructions": reference_from_label}

VERIFIER_OF_CHECK: dict[str, str] = {
    **{check: verifier for verifier, check in CHECK_OF_VERIFIER.items()},
    "in_process": "code",
}
"""The verifier for a row that says how its answer can be checked, and no more."""


def task_from_row(row: Row, *, domain: str, verifier: str | None = None) -> Task:
    """Gives the task of a row.

    Its verifier is the row's own, else the given one, else that of its `check`, `dataset` or `data_source`, else "math"
    where it names none of these. Its domain is the row's own, else the given one.
    """
    values = row.values
    messages = _prompt_of(values)
    if messages[-1]["role"] == "assistant":
        raise DataError("the last message of the prompt is the assistant's")
    domain = _text(values, "domain") or domain
    check = _check_of(values)
    verifier = _text(values, "verifier") or verifier or _verifier_of(values, check)
    reference = _reference_of(values)
    reference = _READ_LABEL[verifier](reference) if verifier in _READ_LABEL else reference
    return Task(
        id=_id_of(row, domain),
        messages=messages,
        reference=reference,
        verifier=verifier,
        source=row.where.rpartition(":")[0],
        domain=domain,
        threshold=_threshold_of(values),
        check=check or _usual_check(verifier, reference),
    )


def demonstration_from_row(row: Row, *, domain: str) -> Demonstration:
    """Gives the demonstration of a row."""
    values = row.values
    if values.get("completion") is not None:
        messages = _prompt_of(values) + _turns(values["completion"], role="assistant", name="completion")
    else:
        messages = _turns(values.get("messages"), role="user", name="messages")
    if not any(message["role"] == "assistant" for message in messages):
        raise DataError("no turn of the assistant")
    domain = _text(values, "domain") or domain
    return Demonstration(id=_id_of(row, domain), messages=messages, domain=domain)


def preference_from_row(row: Row, *, domain: str) -> Preference:
    """Gives the preference of a row; where it has no prompt, that is what comes before the chosen completion."""
    values = row.values
    chosen = _turns(values.get("chosen"), role="assistant", name="chosen")
    rejected = _turns(values.get("rejected"), role="assistant", name="rejected")
    if chosen[-1]["role"] != "assistant" or rejected[-1]["role"] != "assistant":
        raise DataError("chosen or rejected does not end with a turn of the assistant")
    if len(chosen) > 1 and chosen[:-1] != rejected[:-1]:
        raise DataError("chosen and rejected do not begin with the same prompt")
    messages = chosen[:-1] or _prompt_of(values)
    if chosen[-1]["content"] == rejected[-1]["content"]:
        raise DataError("chosen and rejected are the same text")
    domain = _text(values, "domain") or domain
    return Preference(_id_of(row, domain), messages, chosen[-1]["content"], rejected[-1]["content"], domain)


def document_from_row(row: Row, *, domain: str) -> Document:
    """Gives the document of a row."""
    text = _text(row.values, "text")
    if not text.strip():
        raise DataError("no text")
    domain = _text(row.values, "domain") or domain
    return Document(id=_id_of(row, domain), text=text, domain=domain)


def solved(row: Row, *, parse: Callable[[Row], Task]) -> Solution:
    """Gives the row's task with its solution: `solution`, or the first of `solutions` (a list, or its JSON text).

    Raises: DataError where it has none.
    """
    task, found = parse(row), row.values.get("solutions")
    if isinstance(found, str) and found.strip():
        found = programs.read_json(found, "solutions")
    first = found[0] if isinstance(found, list) and found else row.values.get("solution")
    if not isinstance(first, str) or not first.strip():
        raise DataError("no solution")
    return Solution(task, first)


def selected(
    rows: Iterable[Row | BadRow],
    parse: Callable[[Row], Item],
    *,
    split: str,
    evaluation_share: float,
    instruction: str = "",
) -> Iterator[Item | BadRow]:
    """Yields the items of a split ("train", "evaluation" or "all") with the instruction added to their prompts.

    Raises: DataError where the split is none of these or the share is not in [0, 1].
    """
    if split not in ("train", "evaluation", "all"):
        raise DataError(f"there is no split {split!r} here", hint="use train, evaluation or all")
    if not 0.0 <= evaluation_share <= 1.0:
        raise DataError(f"evaluation_share is {evaluation_share}, expected a number in [0, 1]")
    for item in parsed(rows, parse):
        if isinstance(item, BadRow):
            yield item
            continue
        problem = item.text if isinstance(item, Document) else problem_of(item.messages)
        if split == "all" or split_of(problem, evaluation_share=evaluation_share) == split:
            yield with_instruction(item, instruction)


def with_instruction(item: Item, instruction: str) -> Item:
    """Gives the item with `instruction` as a last line of its last user turn; "" leaves it as it is.

    So do documents and solutions, which nobody is asked for.
    """
    if isinstance(item, Document | Solution) or not instruction:
        return item
    messages = list(item.messages)
    for index in range(len(messages) - 1, -1, -1):
        if messages[index]["role"] == "user":
            messages[index] = {**messages[index], "content": f"{messages[index]['content'].rstrip()}\n{instruction}"}
            break
    return dataclasses.replace(item, messages=tuple(messages))


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{name} is {type(value).__name__}, expected text")
    return value


def _id_of(row: Row, domain: str) -> str:
    given = row.values.get("id")
    return f"{domain}/{row.where}" if given is None or given == "" else str(given)


def _threshold_of(values: Mapping[str, Any]) -> float:
    value = values.get("threshold")
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value <= 1.0:
        raise DataError(f"threshold is {value!r}, expected a number in (0, 1]")
    return float(value)


def _prompt_of(values: Mapping[str, Any]) -> tuple[Message, ...]:
    name = "prompt" if values.get("prompt") is not None else "messages"
    if values.get(name) is None:
        raise DataError(f"no prompt and no messages (the row has {', '.join(sorted(values)) or 'nothing'})")
    return _turns(values[name], role="user", name=name)


def _turns(value: Any, *, role: str, name: str) -> tuple[Message, ...]:
    """Gives messages from a text (one turn of `role`) or a list of messages."""
    if isinstance(value, str):
        if not value.strip():
            raise DataError(f"{name} is empty")
        return ({"role": role, "content": value},)
    if value is None or not isinstance(value, Sequence) or not value:
        raise DataError(f"no {name}" if not value else f"{name} is {type(value).__name__}, expected text or messages")
    return tuple(_message(turn, name) for turn in value)


def _message(turn: Any, name: str) -> Message:
    if not isinstance(turn, Mapping) or not isinstance(turn.get("content"), str):
        raise DataError(f"a message of {name} has no text content")
    if turn.get("role") not in ROLES:
        raise DataError(f"a message of {name} has the role {turn.get('role')!r}, expected one of {', '.join(ROLES)}")
    return {"role": turn["role"], "content": turn["content"]}


def _reference_of(values: Mapping[str, Any]) -> Any:
    if values.get("reference") is not None:
        return values["reference"]
    reward_model = values.get("reward_model")
    candidates = [values.get("answer"), values.get("ground_truth")]
    if isinstance(reward_model, Mapping):
        candidates.append(reward_model.get("ground_truth"))
    answer = next((candidate for candidate in candidates if candidate is not None), None)
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        if not math.isfinite(answer):
            raise DataError(f"the answer is {answer}")
        answer = str(answer)
    if answer is None or answer in ("", [], {}) or (isinstance(answer, str) and not answer.strip()):
        raise DataError("no answer and no reference")
    return answer


def _verifier_of(values: Mapping[str, Any], check: Check | Literal[""]) -> str:
    if check in ("", "exact"):
        return _labelled_verifier(values)
    if check not in VERIFIER_OF_CHECK:
        raise DataError(
            f'no verifier is known for a check {check!r}: name one, as verifier = "package.module:function"'
        )
    return VERIFIER_OF_CHECK[check]


def _check_of(values: Mapping[str, Any]) -> Check | Literal[""]:
    check = _text(values, "check")
    for known in get_args(Check):
        if check == known:
            return cast(Check, check)
    if check:
        raise DataError(f"check is {check!r}; expected one of {', '.join(get_args(Check))}")
    return ""


def _usual_check(verifier: str, reference: Any) -> Check:
    if verifier == "code" and isinstance(reference, Mapping) and reference.get("in_process"):
        return "in_process"
    return CHECK_OF_VERIFIER.get(verifier, "exact")


def _labelled_verifier(values: Mapping[str, Any]) -> str:
    for name in ("dataset", "data_source"):
        label = values.get(name)
        if isinstance(label, list) and len(label) == 1:
            label = label[0]
        if label is None:
            continue
        if str(label).lower() not in VERIFIER_OF_LABEL:
            raise DataError(f'no verifier is known for {name} {label!r}: name one, as verifier = "math"')
        return VERIFIER_OF_LABEL[str(label).lower()]
    return "math"
