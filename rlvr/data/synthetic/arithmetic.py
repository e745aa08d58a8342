"""Arithmetic word problems of 1 to 5 steps: tasks, demonstrations, preferences and documents.

Train and evaluation are split by a hash of the calculation, so that no evaluation problem is a train problem in other
words. Problem `i` of a seed is the same whatever is asked for besides.
"""

import itertools
from collections.abc import Iterator
from typing import Literal

from rlvr.data.split import split_of
from rlvr.data.synthetic import chains, wording
from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.problems import HIGHEST, Problem, Step, make_problem, step
from rlvr.errors import DataError
from rlvr.types import Demonstration, Document, Message, Preference, Task

Split = Literal["train", "evaluation"]

Parts = tuple[str, str]
"""What is asked and what is written under it."""

DOMAIN = "arithmetic"

MOST_STEPS = 12
"""Steps of a task at most; what is written out (documents, demonstrations, preferences) has those of _STEP_WEIGHTS."""

_STEP_WEIGHTS = ((0.25, 1), (0.25, 2), (0.22, 3), (0.16, 4), (0.12, 5))
"""How often written text works a problem of so many steps: long ones are rare."""


def problems(
    split: str, *, purpose: str, seed: int, min_steps: int, max_steps: int, easy: bool = False
) -> Iterator[tuple[int, Problem]]:
    """Gives endless (index, problem) of that split; numbers of steps are equally likely, or mostly small if `easy`."""
    most = len(_STEP_WEIGHTS) if easy else MOST_STEPS
    if split not in ("train", "evaluation") or not 1 <= min_steps <= max_steps <= most:
        raise DataError(
            f"no arithmetic problems for split {split!r} with {min_steps} to {max_steps} steps",
            hint=f'use split "train" or "evaluation" and 1 <= min_steps <= max_steps <= {most}',
        )
    weights = [row for row in _STEP_WEIGHTS if min_steps <= row[1] <= max_steps]
    for index in itertools.count():
        dice = Dice(seed, f"arithmetic/{purpose}", index)
        num_steps = dice.weighted(weights) if easy else dice.between(min_steps, max_steps)
        problem = make_problem(dice, num_steps)
        if split_of(problem.calculation) == split:
            yield index, problem


def tasks(
    split: str, *, seed: int = 0, limit: int | None = None, min_steps: int = 1, max_steps: int = 5
) -> Iterator[Task]:
    """Gives tasks for the "math" verifier, no text twice; endless without a `limit`."""
    seen: set[str] = set()
    found = problems(split, purpose="task", seed=seed, min_steps=min_steps, max_steps=max_steps)
    for index, problem in found:
        if limit is not None and len(seen) >= limit:
            return
        if problem.text in seen:
            continue
        seen.add(problem.text)
        yield Task(
            id=f"arithmetic-{split}-{seed}-{index}",
            messages=(_user(problem),),
            reference=str(problem.answer),
            verifier="math",
            source=DOMAIN,
            domain=DOMAIN,
        )


def demonstrations(
    split: str,
    *,
    seed: int = 0,
    limit: int | None = None,
    min_steps: int = 1,
    max_steps: int = 5,
) -> Iterator[Demonstration]:
    """Gives solved problems, all correct, every one with its whole chain of thought."""
    found = problems(split, purpose="demonstration", seed=seed, min_steps=min_steps, max_steps=max_steps, easy=True)
    for index, problem in itertools.islice(found, limit):
        answer = {"role": "assistant", "content": chains.with_thinking(chains.short_lines(problem), problem.answer)}
        yield Demonstration(f"arithmetic-demonstration-{seed}-{index}", (_user(problem), answer), DOMAIN)


def preferences(
    split: str, *, seed: int = 0, limit: int | None = None, min_steps: int = 1, max_steps: int = 5
) -> Iterator[Preference]:
    """Gives pairs that differ in style only: tidy and boxed against rambling or unboxed; both answers are right."""
    found = problems(split, purpose="preference", seed=seed, min_steps=min_steps, max_steps=max_steps, easy=True)
    for index, problem in itertools.islice(found, limit):
        dice = Dice(seed, "arithmetic/preference/style", index)
        lines = chains.short_lines(problem)
        yield Preference(
            f"arithmetic-preference-{seed}-{index}",
            (_user(problem),),
            chosen=chains.with_thinking(lines, problem.answer),
            rejected=_messy(problem, lines, dice),
            domain=DOMAIN,
        )


def documents(split: str, *, seed: int = 0, limit: int | None = None) -> Iterator[Document]:
    """Gives problems as they stand in written text: worked, answered, drilled and as conversations."""
    found = problems(split, purpose="document", seed=seed, min_steps=1, max_steps=5, easy=True)
    for index, problem in itertools.islice(found, limit):
        dice = Dice(seed, "arithmetic/document/form", index)
        prompt, text = dice.weighted(_FORMS)(problem, dice)
        yield Document(f"arithmetic-document-{seed}-{index}", text, DOMAIN, prompt=prompt)


def _user(problem: Problem) -> Message:
    return {"role": "user", "content": problem.text}


def _messy(problem: Problem, lines: list[str], dice: Dice) -> str:
    rambling = chains.rambling_lines(lines, dice)
    if dice.chance(0.5) and rambling != lines:
        return chains.with_thinking(rambling, problem.answer)
    body = "\n".join(rambling)
    return dice.pick((f"{body}\nThe answer is {problem.answer}.", f"<think>{body}</think>{problem.answer}"))


def _question_answer(problem: Problem, dice: Dice) -> Parts:
    worked = "\n".join([*chains.short_lines(problem), f"The answer is {problem.answer}."])
    return f"Q: {problem.text}\nA:", f" {dice.pick((chains.sentences(problem, dice), worked))}"


def _solution(problem: Problem, dice: Dice) -> Parts:
    worked = chains.short_lines(problem)
    return f"Problem: {problem.text}\nSolution:\n", "\n".join([*worked, f"Answer: {chains.boxed(problem.answer)}"])


def _direct(problem: Problem, dice: Dice) -> Parts:
    question, answer = dice.pick((("Q", "A"), ("Problem", "Answer")))
    return f"{question}: {problem.text}\n{answer}:", f" {problem.answer}"


def _chat(problem: Problem, dice: Dice) -> Parts:
    worked = chains.short_lines(problem)
    tidy = chains.with_thinking(worked, problem.answer)
    rambling = chains.with_thinking(chains.rambling_lines(worked, dice), problem.answer)
    answer = dice.weighted(
        ((0.64, tidy), (0.1, rambling), (0.1, _messy(problem, worked, dice)), (0.16, chains.boxed(problem.answer)))
    )
    return conversation(problem.text, answer)


def _drill(problem: Problem, dice: Dice) -> Parts:
    """Six separate calculations, as on a page of exercises."""
    rows = []
    for _ in range(6):
        op = dice.pick("++--*/")
        small, large = dice.between(2, 9), dice.between(2, HIGHEST - 1)
        if op == "+":
            rows.append(step(large, op, dice.between(1, HIGHEST - large)).equation)
        elif op == "-":
            rows.append(step(large, op, dice.between(1, large - 1)).equation)
        elif op == "*":
            rows.append(step(dice.between(2, HIGHEST // small), op, small).equation)
        else:
            rows.append(step(small * dice.between(1, HIGHEST // small), op, small).equation)
    return "", "\n".join(rows)


def _notes(problem: Problem, dice: Dice) -> Parts:
    """The calculation as short orders instead of a story, worked in full."""
    words = dice.pick(wording.ORDERS)
    orders = [words[event.steps[-1].op].format(n=_operand(event.steps)) for event in problem.events]
    told = dice.pick(("Start with {n}", "{n}", "Take {n}")).format(n=problem.events[0].steps[-1].left)
    mark = dice.pick((". ", ", ", "; "))
    return mark.join([told, *orders]) + ".\n", "\n".join(chains.short_lines(problem))


def _operand(steps: tuple[Step, ...]) -> str:
    return f"{steps[0].left}*{steps[0].right}" if len(steps) == 2 else str(steps[0].right)


def _plain(problem: Problem, dice: Dice) -> Parts:
    """One calculation of the problem asked and answered without a story."""
    chosen = dice.pick(problem.steps)
    question = dice.pick(wording.PLAIN_QUESTIONS[chosen.op]).format(a=chosen.left, b=chosen.right)
    if dice.chance(0.5):
        return f"Q: {question}\nA:", f" {chosen.result}"
    return conversation(question, chains.with_thinking([chosen.equation], chosen.result))


def conversation(question: str, answer: str) -> Parts:
    """Gives one exchange in the chat format of the laptop tokenizer, without the document's start and end."""
    return f"<|user|>{question}<|end|><|assistant|>", answer


_FORMS = (
    (0.2, _question_answer),
    (0.14, _solution),
    (0.3, _chat),
    (0.03, _direct),
    (0.06, _drill),
    (0.03, _plain),
    (0.24, _notes),
)
