"""Word problems: a story about numbers of things, the calculation behind it and its answer."""

from collections.abc import Callable
from dataclasses import dataclass

from rlvr.data.synthetic import wording
from rlvr.data.synthetic.dice import Dice
from rlvr.data.synthetic.wording import Person

HIGHEST = 50
"""No number in a problem or in its calculation exceeds this."""


@dataclass(frozen=True, slots=True)
class Step:
    """One calculation: left op right = result."""

    left: int
    op: str
    right: int
    result: int

    @property
    def equation(self) -> str:
        """The step as it is written in a chain of thought."""
        return f"{self.left}{self.op}{self.right}={self.result}"


@dataclass(frozen=True, slots=True)
class Event:
    """What one sentence of the problem does to the number: one step, or two where it speaks of groups."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A word problem with the events that lead to its answer."""

    text: str
    events: tuple[Event, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The calculations of all events in order."""
        return tuple(part for event in self.events for part in event.steps)

    @property
    def answer(self) -> int:
        """The result of the last step."""
        return self.steps[-1].result

    @property
    def calculation(self) -> str:
        """The problem without its story: problems that differ in wording only have the same one."""
        return " ".join(f"{step.left}{step.op}{step.right}" for step in self.steps)


def step(left: int, op: str, right: int) -> Step:
    """Gives the step with its result; a division must come out even."""
    result = {"+": left + right, "-": left - right, "*": left * right, "/": left // max(right, 1)}[op]
    return Step(left, op, right, result)


class _Story:
    """The sentences and steps so far, and who has how many."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.person: Person
        self.other: Person | None
        self.person, self.other = dice.pick(wording.PEOPLE), None
        self.items = dice.pick(wording.ITEMS)
        self.count = dice.between(2, HIGHEST - 10)
        self.other_count = 0
        self.events: list[Event] = []
        self.sentences = [self.say(wording.OPENINGS, n=self.count)]

    def say(self, choices: tuple[str, ...], **fields: object) -> str:
        dice, person = self.dice, self.person
        return dice.pick(choices).format(
            name=person.name,
            subject=person.subject,
            Subject=person.subject.capitalize(),
            containers=dice.pick(wording.CONTAINERS),
            items=self.items,
            **{"other": "", **fields},
        )

    @property
    def num_steps(self) -> int:
        return sum(len(event.steps) for event in self.events)

    def happens(self, sentence: str, *steps: Step) -> None:
        self.sentences.append(sentence)
        self.events.append(Event(steps))
        self.count = steps[-1].result

    def add(self) -> None:
        n = self.dice.between(2, HIGHEST - self.count)
        self.happens(self.say(wording.ADDITIONS, n=n), step(self.count, "+", n))

    def subtract(self) -> None:
        n = self.dice.between(2, self.count - 1)
        self.happens(self.say(wording.SUBTRACTIONS, n=n), step(self.count, "-", n))

    def multiply(self) -> None:
        n = self.dice.between(2, min(9, HIGHEST // self.count))
        self.happens(self.say(wording.MULTIPLICATIONS, n=n), step(self.count, "*", n))

    def divide(self) -> None:
        n = self.dice.pick([d for d in range(2, 10) if self.count % d == 0])
        self.happens(self.say(wording.DIVISIONS, n=n), step(self.count, "/", n))

    def add_groups(self) -> None:
        groups = self.dice.between(2, min(9, (HIGHEST - self.count) // 2))
        n = self.dice.between(2, min(12, (HIGHEST - self.count) // groups))
        inside = step(groups, "*", n)
        told = self.say(wording.GROUP_ADDITIONS, n=n, groups=groups)
        self.happens(told, inside, step(self.count, "+", inside.result))

    def subtract_groups(self) -> None:
        groups = self.dice.between(2, min(9, (self.count - 1) // 2))
        n = self.dice.between(2, min(12, (self.count - 1) // groups))
        inside = step(groups, "*", n)
        told = self.say(wording.GROUP_SUBTRACTIONS, n=n, groups=groups)
        self.happens(told, inside, step(self.count, "-", inside.result))

    def compare(self) -> None:
        more = self.count < 4 or (self.count < HIGHEST - 2 and self.dice.chance(0.5))
        n = self.dice.between(2, HIGHEST - self.count if more else self.count - 1)
        other = self.dice.pick([person for person in wording.PEOPLE if person != self.person])
        self.other_count = self.count
        told = self.say(wording.MORE if more else wording.FEWER, n=n, other=other.name)
        self.happens(told, step(self.count, "+" if more else "-", n))
        self.person, self.other = other, self.person

    def moves(self, left: int) -> list[tuple[float, Callable[[], None]]]:
        """The next sentences that are possible with `left` steps to go, with their weights."""
        count = self.count
        rows = [
            (3.0, self.add, count <= HIGHEST - 2),
            (3.0, self.subtract, count >= 4),
            (1.5, self.multiply, 2 <= count <= HIGHEST // 2),
            (1.5, self.divide, any(count % d == 0 for d in range(2, 10)) and count >= 4),
            (2.0, self.add_groups, left >= 2 and count <= HIGHEST - 4),
            (2.0, self.subtract_groups, left >= 2 and count >= 6),
            (1.5, self.compare, self.other is None),
        ]
        return [(weight, move) for weight, move, possible in rows if possible]

    def question(self, num_steps: int) -> str:
        """Asks for what is left, or for the sum of both people where one step is still open."""
        if self.num_steps < num_steps and self.other is not None:
            self.events.append(Event((step(self.other_count, "+", self.count),)))
            return self.say(wording.TOTAL_QUESTIONS, other=self.other.name)
        return self.say(wording.QUESTIONS)


def make_problem(dice: Dice, num_steps: int) -> Problem:
    """Gives a problem of exactly `num_steps` steps (1 or more) whose numbers stay within 1..HIGHEST."""
    story = _Story(dice)
    while (left := num_steps - story.num_steps) > 0:
        together = story.other is not None and story.count + story.other_count <= HIGHEST
        if left == 1 and together and dice.chance(0.4):
            break
        dice.weighted(story.moves(left))()
    if dice.chance(0.1):
        aside = story.say(wording.ASIDES, n=dice.between(2, 30))
        story.sentences.insert(dice.between(1, len(story.sentences)), aside)
    question = story.question(num_steps)
    return Problem(" ".join([*story.sentences, question]), tuple(story.events))
