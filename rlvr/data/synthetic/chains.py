"""Ways to write down the calculation of a word problem: from a bare answer to every small step."""

from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.problems import Problem

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"

_FILLERS = ("Hmm, let me see.", "Wait.", "Let me think again.", "I am not sure.", "So many numbers.", "Let me check.")


def short_lines(problem: Problem) -> list[str]:
    """Gives one equation for each step."""
    return [s.equation for s in problem.steps]


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
