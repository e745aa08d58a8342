"""The words that word problems are made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A name with its pronouns."""

    name: str
    subject: str
    object: str
    possessive: str


def _people(names: str, subject: str, object_: str, possessive: str) -> tuple[Person, ...]:
    return tuple(Person(name, subject, object_, possessive) for name in names.split())


PEOPLE = _people(
    "Mia Lena Ada Nora Ruth Clara Ines Tara Olga Maya Jane Rosa Emma Lucy Zoe Anna", "she", "her", "her"
) + _people("Tom Ben Omar Paul Ivan Luis Karl Noah Felix Hugo Sam Leo Amir Jack Max Theo", "he", "him", "his")

ITEMS = (
    "apples pears plums lemons cherries nuts eggs cookies candies muffins beads buttons coins stamps cards marbles "
    "shells stones pencils books stickers balloons ribbons candles flowers seeds tickets bottles bricks blocks keys "
    "letters maps photos rings spoons cups hats socks toys"
).split()

CONTAINERS = "bags boxes packs jars baskets bundles sacks trays".split()

RELATIVES = ("a friend", "a sister", "a brother", "an aunt", "an uncle", "a neighbor", "a teacher", "a cousin")

OPENINGS = (
    "{name} has {n} {items}.",
    "{name} starts with {n} {items}.",
    "{name} owns {n} {items}.",
    "{name} counts {n} {items} on the table.",
    "There are {n} {items} in the room of {name}.",
    "On Monday {name} has {n} {items}.",
)

ADDITIONS = (
    "{Subject} buys {n} more.",
    "{Subject} finds {n} more {items}.",
    "{Relative} gives {object} {n} {items}.",
    "Then {subject} gets {n} more {items}.",
    "{Subject} picks up {n} more on the way home.",
    "{name} makes {n} new ones.",
)

SUBTRACTIONS = (
    "{Subject} gives {n} to {relative}.",
    "{Subject} loses {n} of them.",
    "{Subject} sells {n} {items}.",
    "Then {n} of the {items} break.",
    "{name} throws away {n} {items}.",
    "{Relative} takes {n} of them.",
)

MULTIPLICATIONS = (
    "A week later {subject} has {n} times as many.",
    "{name} works hard and now has {n} times as many {items}.",
    "Then the number of {items} grows to {n} times as many.",
)

DIVISIONS = (
    "{Subject} splits them into {n} equal piles and keeps one pile.",
    "{name} shares all {items} equally among {n} people and keeps one share.",
    "{Subject} puts them into {n} equal groups and keeps only one group.",
)

GROUP_ADDITIONS = (
    "{Subject} buys {groups} {containers} with {n} {items} each.",
    "{Relative} brings {object} {groups} {containers} of {n} {items}.",
    "Then {subject} finds {groups} {containers}, each with {n} {items}.",
)

GROUP_SUBTRACTIONS = (
    "{Subject} gives {n} {items} to each of {groups} friends.",
    "{name} sells {groups} {containers} of {n} {items} each.",
    "Then {subject} fills {groups} {containers} with {n} {items} each and gives them away.",
)

MORE = (
    "{other} has {n} more {items} than {name} has now.",
    "Now {other} has {n} more than {name}.",
)

FEWER = (
    "{other} has {n} fewer {items} than {name} has now.",
    "Now {other} has {n} fewer than {name}.",
)

ASIDES = (
    "{name} is {n} years old.",
    "It is day {n} of the month.",
    "The house of {name} has number {n}.",
    "It is {n} degrees outside.",
)

QUESTIONS = (
    "How many {items} does {name} have now?",
    "How many {items} does {name} have in the end?",
    "How many {items} are left with {name}?",
    "What is the number of {items} that {name} has at the end?",
)

TOTAL_QUESTIONS = (
    "How many {items} do {other} and {name} have together?",
    "What is the total number of {items} of {other} and {name}?",
)

PLAIN_QUESTIONS = {
    "+": ("What is {a} plus {b}?", "Add {a} and {b}.", "{a}+{b}=?"),
    "-": ("What is {a} minus {b}?", "Take {b} away from {a}.", "{a}-{b}=?"),
    "*": ("What is {a} times {b}?", "Multiply {a} by {b}.", "{a}*{b}=?"),
    "/": ("What is {a} divided by {b}?", "Divide {a} by {b}.", "{a}/{b}=?"),
}

ORDERS = (
    {"+": "add {n}", "-": "take away {n}", "*": "times {n}", "/": "divide by {n}"},
    {"+": "plus {n}", "-": "minus {n}", "*": "multiply by {n}", "/": "share by {n}"},
    {"+": "+{n}", "-": "-{n}", "*": "*{n}", "/": "/{n}"},
)
