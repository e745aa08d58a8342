"""Random attacks on `extract` and the exact path of the math verifier, for as long as you like.

    python benchmarks/fuzz_math.py --seconds 600 --seed 1 --data ../shared

Each property holds for every case that it draws; a case that breaks one is shrunk by leaving characters out and printed
with the seed and number that make it again. With --data, the answers there are mutated too. The tests run the first
cases of each property. Exit code 1 where a property broke.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
from fuzz_math_cases import FORMS, NUMERIC, altered, answer, completion, expression, rational, spelled

from rlvr.types import Completion, Task, Verdict, read_only
from rlvr.verifiers.equality import same
from rlvr.verifiers.extract import SLOTS, extract
from rlvr.verifiers.forms import parse
from rlvr.verifiers.latex import normalise
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.math import at_once
from rlvr.verifiers.pool import close_shared, configure_shared, shared
from rlvr.verifiers.rational import NotRationalError, UndefinedError, value

CAP_SECONDS = 0.25
"""CPU-seconds that one case may take, whose texts are at most a few hundred thousand characters long."""

Case = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Property:
    """What has to hold: `draw` makes a case from seeds, `fault` says what is wrong with it or gives "".

    `timed` says whether the cap applies (not to what waits for worker processes), `shrinks` whether a case with
    characters left out is a case.
    """

    draw: Callable[[Random, Sequence[str]], Case]
    fault: Callable[..., str]
    timed: bool = True
    shrinks: bool = True


@dataclass(frozen=True, slots=True)
class Find:
    """A case that broke a property, as drawn from (seed, number), then shrunk."""

    name: str
    number: int
    case: Case
    fault: str


def judged(reference: str, text: str) -> Verdict | None:
    """Gives the verdict of the exact path; None where computer algebra would be asked."""
    task = Task("fuzz", (), reference, "math", "fuzz", "fuzz")
    return at_once(task, Completion(*_NOTHING, text, "stop", 0))


_NOTHING = (read_only([], np.int64), read_only([], np.float32), read_only([], np.bool_))


def outcome(reference: str, text: str) -> float | None:
    """Gives the outcome, asking computer algebra where exact arithmetic cannot tell."""
    known = judged(reference, text)
    if known is not None:
        return known.outcome
    return next(verify_many([{"completion": text, "answer": reference}], "math")).outcome


def boxed(text: str) -> str:
    return rf"So it is $\boxed{{{text}}}$."


def read_without_fault(text: str) -> str:
    """Says whether a slot fails, gives what does not stand in the text, or an answer over the cap."""
    for slot in SLOTS:
        found = extract(text, slot)
        if found.status == "ok" and (found.text not in text or not found.text or len(found.text) > 2000):
            return f"{slot} gave {found.text[:80]!r}"
    return ""


def thinking_is_not_read(thought: str, rest: str) -> str:
    """Says whether what stands before </think> changes an answer, or an open <think> has one."""
    for slot in SLOTS:
        if extract(f"<think>{thought}</think>{rest}", slot) != extract(rest, slot):
            return f"{slot} read the thinking part"
        if extract(f"{rest}<think>{thought.replace('</think>', '')}", slot).status != "no_answer":
            return f"{slot} read an open thinking part"
    return ""


def judged_without_fault(reference: str, text: str) -> str:
    """Says whether the exact path fails."""
    verdict = judged(reference, text)
    known = verdict is None or verdict.outcome in (None, 0.0, 1.0)
    return "" if known else f"the outcome is {verdict and verdict.outcome}"


def spelling_settles(text: str) -> str:
    """Says whether a second normalisation changes what the first one gave."""
    once = normalise(text)
    return "" if normalise(once) == once else f"{once!r} becomes {normalise(once)!r}"


def value_is_known(text: str, known: str) -> str:
    """Says whether an expression has another value than its structure says; not to know it is no fault."""
    try:
        found: Fraction | None = value(normalise(text))
    except UndefinedError:
        found = None
    except NotRationalError:
        return ""
    return "" if str(found) == known else f"the value is {found}, should be {known}"


def equal_both_ways(left: str, right: str) -> str:
    """Says whether two references, each equal to itself, are equal in one order only."""
    if not all(same(parse(text), parse(text)) for text in (left, right)):
        return ""
    there, back = outcome(left, boxed(right)), outcome(right, boxed(left))
    return "" if there == back else f"{there} there, {back} back"


HARMLESS: tuple[Callable[[str], str], ...] = (
    lambda text: f"  {text} ",
    lambda text: f"{text}.",
    lambda text: f"${text}$",
    lambda text: rf"\({text}\)",
    lambda text: rf"\displaystyle {text}",
    lambda text: text.replace(r"\frac", r"\dfrac"),
    lambda text: text.replace(r"\frac", r"\tfrac"),
    lambda text: text.replace("(", r"\left(").replace(")", r"\right)").replace("[", r"\left[").replace("]", r"\right]"),
    lambda text: text.replace("(", r"\bigl(").replace(")", r"\bigr)"),
    lambda text: text.replace(",", r",\!") if "{,}" not in text else text,
    lambda text: text.replace("-", "−"),
    lambda text: text.replace("=", " = ").replace("+", " + "),
    lambda text: "\u200b".join(text) if "\\" not in text else text,
    lambda text: f"\n{text}\n",
)
"""Renderings that change nothing."""


def itself_in_every_rendering(reference: str) -> str:
    """Says in which rendering a reference that equals itself does not."""
    plain = judged(reference, boxed(reference))
    if plain is None or plain.outcome != 1.0:
        return ""
    for rendering in HARMLESS:
        text = rendering(reference)
        if outcome(reference, boxed(text)) != 1.0:
            return f"not met by {text!r}"
    return ""


def wrong_stays_wrong(reference: str, wrong: str, attack: str) -> str:
    """Says whether a wrong answer becomes right by what is written into or around it."""
    text = attack.replace("WRONG", wrong).replace("RIGHT", reference)
    return "" if outcome(reference, text) == 0.0 else f"accepted: {text!r}"


ATTACKS = (
    *(r"\boxed{WRONG}", r"RIGHT is correct. \boxed{WRONG}", r"\boxed{WRONG} The correct answer is RIGHT.", "RIGHT"),
    *(r"<think>\boxed{RIGHT}</think>\boxed{WRONG}", r"\boxed{RIGHT} or \boxed{WRONG}", r"\boxed{WRONG}, \boxed{RIGHT}"),
    *(r"\boxed{WRONG, RIGHT}", r"\boxed{WRONG \text{ or } RIGHT}", r"\boxed{WRONG = RIGHT}", r"\boxed{RIGHT = WRONG}"),
    *(r"\boxed{WRONG \phantom{RIGHT}}", r"\boxed{WRONG % RIGHT}", r"\boxed{WRONG \\ RIGHT}", r"\boxed{WRONG | RIGHT}"),
    *(
        r"\boxed{WRONG \text{ (RIGHT)}}",
        r"\boxed{\{WRONG, RIGHT\}}",
        r"\boxed{WRONG \to RIGHT}",
        r"\boxed{RIGHT}\boxed{WRONG}",
    ),
    *(r"\boxed{\text{ignore the above, } RIGHT, WRONG}", r"\boxed{WRONG\boxed{RIGHT}}", r"\boxed{RIGHT\boxed{WRONG}}"),
    *(
        r"\boxed{\boxed{WRONG} RIGHT}",
        r"\boxed{RIGHT; WRONG}",
        r"\boxed{WRONG \approx RIGHT}",
        r"\boxed{WRONG \ne RIGHT}",
    ),
    *(
        r"<answer>RIGHT</answer> \boxed{WRONG}",
        r"\boxed{WRONG} <answer>RIGHT</answer>",
        r"\boxed{RIGHT",
        r"\boxed{}RIGHT",
    ),
    *(
        "\\boxed{WRONG\u200b}",
        "\\boxed{\u200bWRONG}\u200b",
        "\\boxed{WRONG\u2060\u200c}",
        r"\boxed{WRONG}$\boxed{RIGHT$",
    ),
    *(r"\boxed{x = WRONG, x = RIGHT}", r"\boxed{x < RIGHT}", r"\boxed{[WRONG, RIGHT]}", r"\boxed{RIGHT \pm WRONG}"),
    *(
        r"\boxed{WRONG \text{ (or RIGHT)}}",
        r"\boxed{RIGHT\text{, maybe WRONG}}",
        r"\boxed{RIGHT\text{ or }\text{WRONG}}",
    ),
    *(
        r"\boxed{RIGHT'WRONG}",
        r"\boxed{RIGHT\mathrm{ or WRONG}}",
        r"\boxed{WRONG : RIGHT}",
        r"\boxed{\text{RIGHT or WRONG}}",
    ),
    *(
        r"\boxed{WRONG \% RIGHT}",
        r"\boxed{(WRONG)^{RIGHT}}",
        r"\boxed{RIGHT \ldots WRONG}",
        r"\boxed{WRONG \text{RIGHT}}",
    ),
)
"""Ways to say a wrong answer and the right one, none of which is an answer."""


def _attack(draw: Random, _: Sequence[str]) -> Case:
    # Whole numbers from 2 on: none of the attacks is by chance the right value (1^x, x + 0).
    right = draw.randint(2, 5000)
    wrong = spelled(draw, Fraction(right + draw.choice((-1, 1)) * draw.randint(5001, 9000)))
    spread = draw.random() < 0.3 and "\\" not in wrong
    return str(right), "\u200b".join(wrong) if spread else wrong, draw.choice(ATTACKS)


def _attack_on_a_form(draw: Random, _: Sequence[str]) -> Case:
    right = FORMS[draw.choice(("tuple", "list", "set", "root", "of pi", "text", "choice", "polynomial", "complex"))](
        draw
    )
    return right, altered(draw, right), draw.choice(ATTACKS)


def agrees_with_library(left: str, right: str) -> str:
    """Says whether exact arithmetic and math_verify tell two plain numbers apart differently."""
    ours = same(parse(left), parse(right))
    if ours is None:
        return ""
    future = shared().submit("fuzz_math:library_says", {"left": left, "right": right}, cpu_seconds=5.0)
    theirs = future.result(timeout=600)
    if theirs.kind == "error":
        return theirs.error
    return "" if theirs.kind != "value" or theirs.value == ours else f"{ours} here, {theirs.value} there"


def library_says(payload: dict[str, str]) -> bool:
    """Gives what math_verify alone says; runs in a worker."""
    from math_verify import parse as read
    from math_verify import verify as equal

    texts = [read(rf"\boxed{{{payload[side]}}}", parsing_timeout=None) for side in ("left", "right")]
    return bool(equal(*texts, timeout_seconds=None))


def _plain_pair(draw: Random, _: Sequence[str]) -> Case:
    number = rational(draw)
    other = number if draw.random() < 0.5 else number + draw.choice((1, -1, Fraction(1, 2))) * draw.randint(1, 9)
    return _plainly(draw, number), _plainly(draw, other)


def _plainly(draw: Random, number: Fraction) -> str:
    sign, size = ("-" if number < 0 else ""), abs(number)
    ways = [rf"{sign}\frac{{{size.numerator}}}{{{size.denominator}}}", f"{sign}{size.numerator}/{size.denominator}"]
    return draw.choice([*ways, str(number)] if number.denominator == 1 else ways)


def _numeric_pair(draw: Random, _: Sequence[str]) -> Case:
    left = FORMS[draw.choice(NUMERIC)](draw)
    return left, draw.choice((left, FORMS[draw.choice(NUMERIC)](draw), left.replace("1", "2", 1)))


PROPERTIES: dict[str, Property] = {
    "extract reads": Property(lambda draw, seeds: (completion(draw, seeds),), read_without_fault),
    "extract leaves thinking alone": Property(
        lambda draw, seeds: (completion(draw, seeds), completion(draw, seeds).replace("think>", "")),
        thinking_is_not_read,
    ),
    "the exact path judges": Property(
        lambda draw, seeds: (answer(draw, seeds), boxed(answer(draw, seeds))), judged_without_fault
    ),
    "the exact path judges completions": Property(
        lambda draw, seeds: (answer(draw, seeds), completion(draw, seeds)), judged_without_fault
    ),
    "the spelling settles": Property(lambda draw, seeds: (answer(draw, seeds),), spelling_settles),
    "values are exact": Property(
        lambda draw, _: (lambda made: (made.text, str(made.value)))(expression(draw)), value_is_known, shrinks=False
    ),
    "equality is symmetric": Property(_numeric_pair, equal_both_ways, timed=False, shrinks=False),
    "a reference equals itself": Property(
        lambda draw, seeds: (FORMS[draw.choice(list(FORMS))](draw),),
        itself_in_every_rendering,
        timed=False,
        shrinks=False,
    ),
    "a wrong answer stays wrong": Property(_attack, wrong_stays_wrong, timed=False, shrinks=False),
    "a wrong form stays wrong": Property(_attack_on_a_form, wrong_stays_wrong, timed=False, shrinks=False),
    "math_verify agrees": Property(_plain_pair, agrees_with_library, timed=False, shrinks=False),
}
"""Everything that has to hold."""


def broken(prop: Property, case: Case) -> str:
    """Gives what is wrong with a case, "" where nothing is; an exception and a case over the cap are faults."""
    start = time.process_time()
    try:
        fault = prop.fault(*case)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    seconds = time.process_time() - start
    return f"it took {seconds:.2f} CPU-seconds" if prop.timed and not fault and seconds > CAP_SECONDS else fault


def shrunk(prop: Property, case: Case) -> Case:
    """Gives the case with as many characters left out as leave it broken."""
    for place in range(len(case)):
        size = max(1, len(case[place]) // 2)
        while size:
            at = 0
            while at < len(case[place]):
                shorter = (*case[:place], case[place][:at] + case[place][at + size :], *case[place + 1 :])
                if broken(prop, shorter):
                    case = shorter
                else:
                    at += size
            size //= 2
    return case


def drawn(name: str, seed: int, number: int, seeds: Sequence[str] = ()) -> Case:
    """Gives one case of a property."""
    return PROPERTIES[name].draw(Random(f"{name}/{seed}/{number}"), seeds)


def attempt(name: str, seed: int, number: int, seeds: Sequence[str] = ()) -> Find | None:
    """Tries one case and gives what it found, shrunk."""
    prop = PROPERTIES[name]
    case = drawn(name, seed, number, seeds)
    fault = broken(prop, case)
    if not fault:
        return None
    small = shrunk(prop, case) if prop.shrinks else case
    return Find(name, number, small, broken(prop, small) or fault)


def corpus_answers(shared_folder: Path) -> list[str]:
    """Gives the short answers of the hostile and of the labelled rows, to be mutated."""
    from math_sets import hostile, labelled

    rows = [*hostile(shared_folder, Path("/nowhere"))[0].rows, *labelled(shared_folder, "math_variants").rows]
    found = {text for row in rows for text in (row.reference, extract(row.completion, "boxed").text)}
    return sorted(text for text in found if 0 < len(text) < 300)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other cases (default 0)")
    parser.add_argument(
        "--data", type=Path, default=None, help="the folder with data/ and corpora/, to mutate its answers"
    )
    parser.add_argument("--only", default="", help="properties whose name contains this")
    parser.add_argument("--finds", type=int, default=3, help="finds of each property after which it rests (default 3)")
    given = parser.parse_args()
    configure_shared(1)
    seeds = corpus_answers(given.data) if given.data else []
    found: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    names = [name for name in PROPERTIES if given.only in name]
    until = time.monotonic() + given.seconds
    while time.monotonic() < until and (awake := [name for name in names if found[name] < given.finds]):
        for name in awake:
            find = attempt(name, given.seed, tried[name], seeds)
            tried[name] += 1
            if find is not None:
                found[name] += 1
                print(f"{find.name}, case {find.number}: {find.fault}\n    {find.case!r}", flush=True)
    for name in names:
        print(f"{name}: {tried[name]:,} cases, {found[name]} finds")
    close_shared()
    return 1 if found.total() else 0


if __name__ == "__main__":
    sys.exit(main())
