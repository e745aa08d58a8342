"""Completions that are right: a right answer in its slot, dressed as models dress it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from rlvr.verifiers.audit.cases import BOXES, Target

Made = Iterator[tuple[str, str]]
"""(name, completion) of each variant."""

_CHATTER = "Let us go through this step by step. First we look at what is given, then at what is asked.\n\n"


@dataclass(frozen=True, slots=True)
class Rendering:
    """A way to say a right answer, and the slots where it is one; () are all. `heavy` ones are tried a few times."""

    make: Callable[[Target], Made]
    slots: tuple[str, ...] = ()
    heavy: bool = False


def _gold(target: Target) -> Made:
    for number, answer in enumerate(target.rights, start=1):
        yield f"answer {number}", target.placed(answer)


def _bare(target: Target) -> Made:
    for number, answer in enumerate(target.rights, start=1):
        yield f"answer {number}", answer


def _white_space(target: Target) -> Made:
    yield "around", f"\n\n{target.placed(target.right)} \t\n"
    if target.slot in (*BOXES, "tag"):
        yield "inside", target.placed(f" {target.right} ")


def _thinking(target: Target) -> Made:
    yield "short", f"<think>Hm.</think>{target.placed(target.right)}"
    yield (
        "with a wrong answer",
        f"<think>\nIs it {target.placed(target.others[0])}?\n</think>\n{target.placed(target.right)}",
    )
    yield "without the opening tag", f"Is it something else? No.</think>\n\n{target.placed(target.right)}"


def _wrong_working(target: Target) -> Made:
    wrong, right = target.placed(target.others[0]), target.placed(target.right)
    yield (
        "one",
        f"A first try gives\n{wrong}\nThat cannot be, because I forgot a step. Once more from the start.\n{right}",
    )


def _sentence(target: Target) -> Made:
    yield "sentence", f"So the answer is {target.placed(target.right)}."
    if target.slot in BOXES:
        yield "display", f"Therefore\n\\[ {target.placed(target.right)} \\]"
        yield "dollars", f"The answer is **$${target.placed(target.right)}$$**"


def _chatter(target: Target) -> Made:
    yield "before", f"{_CHATTER}{target.placed(target.right)}"
    yield "before and after", f"{_CHATTER}{target.placed(target.right)}\n\nI hope that this helps."


def _long_working(target: Target) -> Made:
    yield "200 kB", f"{'We go on and look at the next part. ' * 6_000}\n{target.placed(target.right)}"


_WORDED = (*BOXES, "tag", "marked")

RENDERINGS: Mapping[str, Rendering] = {
    "right answer": Rendering(_gold),
    "right, without a box": Rendering(_bare, ("boxed_or_whole",)),
    "right, white space": Rendering(_white_space),
    "right, after thinking": Rendering(_thinking),
    "right, after wrong working": Rendering(_wrong_working, _WORDED),
    "right, in a sentence": Rendering(_sentence, (*BOXES, "tag")),
    "right, with chatter": Rendering(_chatter, _WORDED),
    "right, after long working": Rendering(_long_working, _WORDED, heavy=True),
}
"""Each by the name of its line in the table."""
