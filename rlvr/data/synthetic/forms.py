"""Ways to write an exercise down: as a conversation, a worked solution, a question with a bare answer."""

from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.exercise import Exercise

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"

Parts = tuple[str, str]
"""What is asked and what is written under it."""

_FILLERS = ("Hmm, let me see.", "Wait.", "Let me think again.", "I am not sure.", "So many of them.", "Let me check.")


def boxed(answer: str) -> str:
    """Gives the answer as the verifier reads it."""
    return f"\\boxed{{{answer}}}"


def completion(exercise: Exercise) -> str:
    """Gives the whole completion: the working between the thinking tags, then the answer."""
    return _thought(list(exercise.lines), answer_only(exercise))


def answer_only(exercise: Exercise) -> str:
    """Gives a completion without its working."""
    if exercise.frame == "box":
        return boxed(exercise.answer)
    return f"```python\n{exercise.answer}\n```" if exercise.frame == "fence" else exercise.answer


def messy(exercise: Exercise, dice: Dice) -> str:
    """Gives a completion in poor style that the verifier takes all the same: its working rambles."""
    lines = _rambling(list(exercise.lines), dice)
    if lines == list(exercise.lines):
        lines = [dice.pick(_FILLERS), *lines]
    return _thought(lines, answer_only(exercise))


def conversation(question: str, answer: str) -> Parts:
    """Gives one exchange in the chat format of the laptop tokenizer, without the document's start and end."""
    return f"<|user|>{question}<|end|><|assistant|>", answer


def write_down(exercise: Exercise, dice: Dice, form: str = "") -> Parts:
    """Gives the exercise in that form of FORMS; without a name in one of them, as likely as written text has it."""
    return (FORMS[form] if form else dice.weighted(_OFTEN))(exercise, dice)


def _thought(lines: list[str], end: str) -> str:
    return THINK_OPEN + "\n".join(lines) + THINK_CLOSE + end


def _rambling(lines: list[str], dice: Dice) -> list[str]:
    """The lines with fillers between them and some of them said twice."""
    out: list[str] = []
    for line in lines:
        if dice.chance(0.5):
            out.append(dice.pick(_FILLERS))
        out.append(line)
        if dice.chance(0.3):
            out.append(line)
    return out


def _chat(exercise: Exercise, dice: Dice) -> Parts:
    return conversation(exercise.question, completion(exercise))


def _untidy_chat(exercise: Exercise, dice: Dice) -> Parts:
    return conversation(exercise.question, messy(exercise, dice))


def _bare_chat(exercise: Exercise, dice: Dice) -> Parts:
    return conversation(exercise.question, answer_only(exercise))


def _question_answer(exercise: Exercise, dice: Dice) -> Parts:
    if exercise.frame == "line":  # Without tags or a frame nothing would part the draft from the answer.
        return f"Q: {exercise.question}\nA:", f" {exercise.answer}"
    answer = "\n".join([*exercise.lines, answer_only(exercise)])
    if exercise.frame == "box" and dice.chance(0.5):
        starts = ["First", *[dice.pick(("Then", "Next", "After that")) for _ in exercise.lines[1:]]]
        told = " ".join(f"{start} {line}." for start, line in zip(starts, exercise.lines, strict=True))
        answer = f"{told} {dice.pick(('The answer is', 'So the answer is', 'That makes'))} {boxed(exercise.answer)}."
    return f"Q: {exercise.question}\nA:", f" {answer}"


def _solution(exercise: Exercise, dice: Dice) -> Parts:
    if exercise.frame == "line":
        return _question_answer(exercise, dice)
    answer = f"Answer:{_set_off(exercise)}"
    return f"Problem: {exercise.question}\nSolution:\n", "\n".join([*exercise.lines, answer])


def _bare_answer(exercise: Exercise, dice: Dice) -> Parts:
    question, answer = dice.pick((("Q", "A"), ("Problem", "Answer")))
    return f"{question}: {exercise.question}\n{answer}:", _set_off(exercise)


def _set_off(exercise: Exercise) -> str:
    """The answer behind a colon: on the same line, a block of code below it."""
    return ("\n" if exercise.frame == "fence" else " ") + answer_only(exercise)


FORMS = {
    "chat": _chat,
    "untidy_chat": _untidy_chat,
    "bare_chat": _bare_chat,
    "question_answer": _question_answer,
    "solution": _solution,
    "bare_answer": _bare_answer,
}
"""Ways to write an exercise down, by name; a bare one only says the answer."""
_OFTEN = tuple(zip((0.40, 0.06, 0.24, 0.18, 0.08, 0.04), FORMS.values(), strict=True))
"""How often written text has each: some show their working, some only say the answer, as people do."""
