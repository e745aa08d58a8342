"""Arithmetic word problems of 1 to 12 steps; a problem's rung is its number of steps.

Train and evaluation are split by a hash of the calculation, so that no evaluation problem is a train problem in other
words. Problem `i` of a seed is the same whatever is asked for besides.
"""

import itertools
from collections.abc import Iterator

from rlvr.data.synthetic import forms, wording
from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.exercise import Exercise, drawn
from rlvr.data.synthetic.problems import HIGHEST, Problem, Step, make_problem, step
from rlvr.types import Document

DOMAIN = "arithmetic"

HIGHEST_RUNG = 12

_WRITTEN = (0.2, 0.2, 0.18, 0.15, 0.12, 0.08, 0.05, 0.02, 0.0, 0.0, 0.0, 0.0)
"""How often written text works a problem of 1, 2, … steps: long ones are rare, the longest do not occur."""


def exercises(
    split: str, *, purpose: str, seed: int, min_rung: int, max_rung: int, written: bool
) -> Iterator[tuple[int, Exercise]]:
    """Gives endless word problems of that split, each with one equation a step as its working."""
    for index, problem in _problems(split, purpose, seed, min_rung, max_rung, written):
        answer = str(problem.answer)
        yield (
            index,
            Exercise(
                question=problem.text,
                lines=tuple(s.equation for s in problem.steps),
                answer=answer,
                frame="box",
                reference=answer,
                verifier="math",
                rung=len(problem.steps),
                key=problem.calculation,
            ),
        )


def drills(split: str, *, seed: int = 0, limit: int | None = None) -> Iterator[Document]:
    """Gives calculations without a story: pages of exercises, short orders, single questions."""
    found = _problems(split, "drill", seed, 1, HIGHEST_RUNG, written=True)
    for index, problem in itertools.islice(found, limit):
        dice = Dice(seed, "arithmetic/drill/form", index)
        prompt, text = dice.weighted(_DRILLS)(problem, dice)
        yield Document(f"arithmetic-drill-{seed}-{index}", text, DOMAIN, prompt=prompt)


def _problems(
    split: str, purpose: str, seed: int, min_rung: int, max_rung: int, written: bool
) -> Iterator[tuple[int, Problem]]:
    weights = [(_WRITTEN[steps - 1], steps) for steps in range(min_rung, max_rung + 1)]
    name = f"{DOMAIN}/{purpose}"
    return drawn(split, name, seed, weights, make_problem, lambda made: made.calculation, written=written)


def _page(problem: Problem, dice: Dice) -> forms.Parts:
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


def _orders(problem: Problem, dice: Dice) -> forms.Parts:
    """The calculation as short orders instead of a story, worked in full."""
    words = dice.pick(wording.ORDERS)
    orders = [words[event.steps[-1].op].format(n=_operand(event.steps)) for event in problem.events]
    told = dice.pick(("Start with {n}", "{n}", "Take {n}")).format(n=problem.events[0].steps[-1].left)
    mark = dice.pick((". ", ", ", "; "))
    return mark.join([told, *orders]) + ".\n", "\n".join(s.equation for s in problem.steps)


def _operand(steps: tuple[Step, ...]) -> str:
    return f"{steps[0].left}*{steps[0].right}" if len(steps) == 2 else str(steps[0].right)


def _single(problem: Problem, dice: Dice) -> forms.Parts:
    """One calculation of the problem asked and answered without a story."""
    chosen = dice.pick(problem.steps)
    question = dice.pick(wording.PLAIN_QUESTIONS[chosen.op]).format(a=chosen.left, b=chosen.right)
    answer = f"{forms.THINK_OPEN}{chosen.equation}{forms.THINK_CLOSE}{forms.boxed(str(chosen.result))}"
    return (f"Q: {question}\nA:", f" {chosen.result}") if dice.chance(0.5) else forms.conversation(question, answer)


_DRILLS = ((0.18, _page), (0.09, _single), (0.73, _orders))
"""Ways to write down the calculation of a word problem without its story."""
