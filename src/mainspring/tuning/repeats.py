"""How many of the best are run again on fresh seeds, and which runs of them count: pure."""

from __future__ import annotations

from collections.abc import Sequence

TOP = 3
"""So many of the best are run again."""

SHARE = 5
"""One part in so many of a budget is kept for it."""


def count_repeated(trials: int | None, repeats: int) -> int:
    """Return how many of the best are run again; below two there is nothing to compare.

    Parameters
    ----------
    trials : int or None
        The budget's runs; None: no such limit.
    repeats : int
        Fresh seeds of each.

    Examples
    --------
    >>> [count_repeated(trials, 2) for trials in (None, 30, 20, 19)]
    [3, 3, 2, 0]
    """
    if repeats == 0:
        return 0
    top = TOP if trials is None else min(TOP, trials // SHARE // repeats)
    return top if top > 1 else 0


def count_whole(states: Sequence[Sequence[str]]) -> int:
    """Return how many seeds count for all of the best alike.

    Parameters
    ----------
    states : sequence of sequence of str
        For each fresh seed, in order, how the runs of the best ended on it.

    Notes
    -----
    The first seed on which one was cancelled does not count, nor do those after it: the one that
    the budget has cut off would be compared by less.
    """
    for count, each in enumerate(states):
        if "cancelled" in each:
            return count
    return len(states)
