"""The trials that another one is compared with: what each had reached at a step."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Callable, Sequence

Curve = Sequence[tuple[int, float]]
Group = Callable[[int, int], int]
"""Given the number of a trial and the most reports of one, tells which trials it is compared with."""


class Peers:
    """Curves of ended trials, growing from round to round.

    Parameters
    ----------
    mode : {"max", "min"}
        Whether larger values are better.
    group : callable, optional
        Default: all trials are compared with each other.

    Attributes
    ----------
    longest : int
        The most reports that one of them has made.

    Notes
    -----
    Cost: asked twice for a step it does not look at the curves again; a trial more costs one
    insertion for each step that was asked for.
    """

    def __init__(self, mode: str, group: Group | None = None) -> None:
        self._sign = 1.0 if mode == "max" else -1.0
        self._group = group or (lambda _number, _longest: 0)
        self._curves: dict[int, tuple[list[int], list[float]]] = {}
        self._sorted: dict[int, dict[int, list[float]]] = {}
        self.longest = 0

    def __len__(self) -> int:
        return len(self._curves)

    def add(self, number: int, curve: Curve) -> None:
        """Add an ended trial; a number that is there already changes nothing."""
        if number in self._curves or not curve:
            return
        best: list[float] = []
        for _, value in curve:
            best.append(self._sign * value if not math.isnan(value) else best[-1] if best else math.nan)
        self._curves[number] = [step for step, _ in curve], best
        if len(curve) > self.longest:
            self.longest = len(curve)
            self._sorted.clear()  # who is compared with whom may hang on it
        for step, groups in self._sorted.items():
            self._insert(groups, step, number)

    def rank(self, number: int, step: int) -> list[float]:
        """Return the scores, ascending, of the trials that a trial is compared with at a step.

        A larger score is better, whatever the mode. Who ended before the step has none there.
        """
        groups = self._sorted.get(step)
        if groups is None:
            groups = self._sorted[step] = {}
            for each in self._curves:
                self._insert(groups, step, each)
        return groups.get(self._group(number, self.longest), [])

    def score(self, value: float) -> float:
        """Return a value so that larger is better."""
        return self._sign * value

    def _insert(self, groups: dict[int, list[float]], step: int, number: int) -> None:
        steps, scores = self._curves[number]
        if steps[-1] < step or steps[0] > step:
            return
        score = scores[bisect_right(steps, step) - 1]
        if not math.isnan(score):
            insort(groups.setdefault(self._group(number, self.longest), []), score)


def count_better(ranked: Sequence[float], score: float) -> int:
    """Return how many of ascending scores are above one."""
    return len(ranked) - bisect_right(ranked, score)
