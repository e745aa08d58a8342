"""Verifiers for the tests of the audit: good, bad and broken ones, as a stranger might write them."""

import math
import os
import random
import re
import time
from collections import Counter

from rlvr.types import Completion, Task, Verdict

_BOX = re.compile(r"\\boxed\{([^{}]*)\}")
_calls: Counter[str] = Counter()


def substring(task: Task, completion: Completion) -> Verdict:
    return Verdict(float(str(task.reference) in completion.text), "ok")


def last_box(task: Task, completion: Completion) -> Verdict:
    found = _BOX.findall(completion.text)
    return Verdict(float(bool(found) and found[-1].strip() == task.reference), "ok", version="last-box-1")


def _numbers(task: Task, completion: Completion) -> tuple[float, float]:
    found = _BOX.findall(completion.text)
    try:
        return float(found[-1]), float(task.reference)
    except (IndexError, ValueError):
        return math.nan, 0.0


def within_four_percent(task: Task, completion: Completion) -> Verdict:
    given, wanted = _numbers(task, completion)
    return Verdict(float(abs(given - wanted) <= 0.04 * abs(wanted)), "ok")


def blind_to_signs(task: Task, completion: Completion) -> Verdict:
    given, wanted = _numbers(task, completion)
    return Verdict(float(abs(given) == abs(wanted)), "ok")


def any_percentage(task: Task, completion: Completion) -> Verdict:
    given, wanted = _numbers(task, completion)
    return Verdict(float(any(abs(given - wanted * times) < 1e-9 for times in (1, 100, 0.01))), "ok")


def whole_part(task: Task, completion: Completion) -> Verdict:
    given, wanted = _numbers(task, completion)
    return Verdict(float(math.isfinite(given) and int(given) == int(wanted)), "ok")


def always_right(task: Task, completion: Completion) -> Verdict:
    return Verdict(1.0, "ok")


def always_wrong(task: Task, completion: Completion) -> Verdict:
    return Verdict(0.0, "ok")


async def always_right_later(task: Task, completion: Completion) -> Verdict:
    return Verdict(1.0, "ok")


def tossing(task: Task, completion: Completion) -> Verdict:
    return Verdict(float(random.random() < 0.5), "ok")


def right_the_first_time(task: Task, completion: Completion) -> Verdict:
    _calls[completion.text] += 1
    return Verdict(float(_calls[completion.text] == 1), "ok")


def raising(task: Task, completion: Completion) -> Verdict:
    raise ValueError("the dog ate the rubric")


def talking(task: Task, completion: Completion) -> object:
    return "looks right to me"


def beyond(task: Task, completion: Completion) -> Verdict:
    return Verdict(7.0, "ok")


def ending(task: Task, completion: Completion) -> Verdict:
    if completion.text == "end":
        os._exit(3)
    return Verdict(1.0, "ok")


def hanging(task: Task, completion: Completion) -> Verdict:
    if completion.text.startswith("hang"):
        time.sleep(3600)
    return Verdict(1.0, "ok")


def backtracking(task: Task, completion: Completion) -> Verdict:
    """One regular expression that takes for ever and holds the interpreter's lock meanwhile."""
    return Verdict(float(re.fullmatch("(a+)+b", completion.text) is not None), "ok")


def executing(task: Task, completion: Completion) -> Verdict:
    try:
        value = eval("".join(_BOX.findall(completion.text)[-1:]))
    except Exception:
        return Verdict(0.0, "wrong_format")
    return Verdict(float(str(value) == task.reference), "ok")
