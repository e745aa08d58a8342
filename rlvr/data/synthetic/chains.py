"""Ways to write down the calculation of a word problem: from a bare answer to every small step."""

from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.problems import Problem, Step, step

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"

_FILLERS = ("Hmm, let me see.", "Wait.", "Let me think again.", "I am not sure.", "So many numbers.", "Let me check.")


def split_step(whole: Step) -> list[Step]:
    """Gives the smaller steps that a careful writer takes: tens first, then units; `whole` alone where it is small."""
    left, op, right = whole.left, whole.op, whole.right
    tens, units = right // 10 * 10, right % 10
    if op in "+-" and tens and units:
        first = step(left, op, tens)
        return [first, step(first.result, op, units)] if first.result > 0 else [whole]
    if op == "*" and left > 10 and left % 10:
        first, second = step(left // 10 * 10, op, right), step(left % 10, op, right)
        return [first, second, step(first.result, "+", second.result)]
    return [whole]


def short_lines(problem: Problem) -> list[str]:
    """Gives one equation for each step."""
    return [s.equation for s in problem.steps]


def careful_lines(problem: Problem) -> list[str]:
    """Gives the equations with two-digit numbers taken apart."""
    return [small.equation for whole in problem.steps for small in split_step(whole)]


def boxed(answer: int) -> str:
    """Gives the answer as the verifier reads it."""
    return f"\\boxed{{{answer}}}"


def with_thinking(lines: list[str], answer: int) -> str:
    """Gives a whole completion: the lines between the thinking tags, then the boxed answer."""
    return f"{THINK_OPEN}" + "\n".join(lines) + f"{THINK_CLOSE}{boxed(answer)}"


def rambling_lines(lines: list[str], dice: Dice) -> list[str]:
    """Gives the lines with fillers between them and some of them said twice."""
    out: list[str] = []
    for line in lines:
        if dice.chance(0.5):
            out.append(dice.pick(_FILLERS))
        out.append(line)
        if dice.chance(0.3):
            out.append(line)
    return out


def sentences(problem: Problem, dice: Dice) -> str:
    """Gives the calculation as running text that ends with the answer."""
    starts = ["First", *[dice.pick(("Then", "Next", "After that")) for _ in problem.steps[1:]]]
    told = " ".join(f"{start} {s.equation}." for start, s in zip(starts, problem.steps, strict=True))
    return f"{told} {dice.pick(('The answer is', 'So the answer is', 'That makes'))} {problem.answer}."


def quoting_lines(problem: Problem) -> list[str]:
    """Gives one line for each event: its sentence, then its equations."""
    return [
        f"{event.sentence.rstrip('.?')}: " + ", ".join(s.equation for s in event.steps) for event in problem.events
    ]
