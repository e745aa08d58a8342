"""Which groups are learned from. Decided on outcomes, never on shaped rewards or advantages, and on whole groups.

A shaped reward differs inside a group of nothing but wrong answers, and a leave-one-out statistic differs inside one
group: filtering on either lets groups through that teach nothing about correctness, or tears a group apart.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rlvr.types import Group


def everything(group: Group) -> bool:
    """Gives True: no group is left out."""
    return True


def informative(group: Group) -> bool:
    """Gives whether some scored completions of the group are solved and some are not.

    Source: dynamic sampling of DAPO, arXiv:2503.14476: 0 < number solved < G. Differs from the paper in: completions
    whose verifier could not tell are not counted in G.
    """
    return group.informative


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """How many groups there are of each kind; the last four add up to `groups`.

    `all_right` and `all_wrong` speak of scored completions, of which there is at least one; `unscored` has none.
    """

    groups: int
    informative: int
    all_right: int
    all_wrong: int
    unscored: int


def count(groups: Iterable[Group]) -> GroupCounts:
    """Gives how many of the groups carry a signal and why the others do not."""
    total = mixed = right = wrong = unscored = 0
    for group in groups:
        total += 1
        mixed += group.informative
        unscored += group.num_scored == 0
        right += group.num_scored > 0 and group.num_solved == group.num_scored
        wrong += group.num_scored > 0 and group.num_solved == 0
    return GroupCounts(groups=total, informative=mixed, all_right=right, all_wrong=wrong, unscored=unscored)


FILTERS: dict[str, Callable[[Group], bool]] = {
    "none": everything,
    "informative": informative,
}
"""Name in a recipe -> (group) -> whether it is learned from."""
