"""The words that word problems are made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A name with its pronouns."""

    name: str
    subject: str
    object: str


def _people(names: str, subject: str, object_: str) -> tuple[Person, ...]:
    return tuple(Person(name, subject, object_) for name in names.split())


PEOPLE = _people(
    "Mia Lena Ada Nora Ruth Clara Ines Tara Olga Maya Jane Rosa Emma Lucy Zoe Anna", "she", "her"
) + _people("Tom Ben Omar Paul Ivan Luis Karl Noah Felix Hugo Sam Leo Amir Jack Max Theo", "he", "him")

# fmt: off
ITEMS = (
    "apples", "pears", "plums", "lemons", "nuts", "eggs", "cookies", "muffins", "beads", "buttons", "coins",
    "stamps", "cards", "marbles", "shells", "stones", "pencils", "books", "candles", "flowers", "seeds", "tickets",
    "bricks", "keys", "letters", "maps", "spoons", "cups", "hats", "socks",
)
# fmt: on

CONTAINERS = ["bags", "boxes", "packs", "jars", "baskets", "trays"]

OPENINGS = (
    "{name} has {n} {items}.",
    "{name} starts with {n} {items}.",
    "{name} owns {n} {items}.",
    "There are {n} {items} on the table of {name}.",
)

ADDITIONS = (
    "{Subject} buys {n} more.",
    "{Subject} finds {n}.",
    "{Subject} gets {n} {items}.",
    "Then {subject} makes {n} more.",
    "{name} picks up {n} {items}.",
)

SUBTRACTIONS = (
    "{Subject} gives away {n}.",
    "{Subject} loses {n}.",
    "{Subject} sells {n} {items}.",
    "Then {n} of them break.",
    "{name} throws away {n}.",
)

MULTIPLICATIONS = (
    "Soon {subject} has {n} times as many.",
    "Then the {items} become {n} times as many.",
)

DIVISIONS = (
    "{Subject} keeps one of {n} equal parts.",
    "{name} shares them equally among {n} people and keeps one share.",
)

GROUP_ADDITIONS = (
    "{Subject} buys {groups} {containers} of {n}.",
    "{Subject} finds {groups} {containers} with {n} {items} each.",
)

GROUP_SUBTRACTIONS = (
    "{Subject} gives {groups} friends {n} each.",
    "{Subject} sells {groups} {containers} of {n}.",
)

MORE = (
    "{other} has {n} more than {name}.",
    "{other} owns {n} {items} more than {name}.",
)

FEWER = (
    "{other} has {n} fewer than {name}.",
    "{other} owns {n} {items} fewer than {name}.",
)

ASIDES = (
    "{name} is {n} years old.",
    "It is day {n} of the month.",
    "{name} lives in house {n}.",
)

QUESTIONS = (
    "How many {items} does {name} have now?",
    "How many are left?",
    "How many {items} does {name} have?",
)

TOTAL_QUESTIONS = (
    "How many do {other} and {name} have together?",
    "How many {items} do both have?",
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
