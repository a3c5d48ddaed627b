"""Trials as a searcher sees them, and the choice of the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec


class Repeat(msgspec.Struct, frozen=True):
    """A point run once more, on a seed that its search had not used.

    Attributes
    ----------
    run_id : str
        The run that evaluated it.
    seed : int
        What its argument `seed` was.
    state : str
        succeeded, failed or cancelled.
    value : float or None
        The last reported value of the metric; None when there is none.
    """

    run_id: str
    seed: int
    state: str
    value: float | None = None


class Trial(msgspec.Struct, frozen=True):
    """One evaluated point of a search.

    Attributes
    ----------
    number : int
        From 0, in the order in which the searcher gave them out.
    run_id : str
        The run that evaluated it.
    params : dict
        The point.
    state : str
        succeeded, pruned, failed or cancelled.
    value : float or None
        The last reported value of the metric up to the pruning decision; of the first of several
        metrics; None when there is none.
    curve : tuple of (int, float)
        Reported (step, value), in order, up to the pruning decision.
    values : tuple of float
        The last reported value of each of several metrics; empty with one metric.
    repeats : tuple of Repeat
        The same point on fresh seeds, if it was among the best.
    """

    number: int
    run_id: str
    params: dict[str, Any]
    state: str
    value: float | None = None
    curve: tuple[tuple[int, float], ...] = ()
    values: tuple[float, ...] = ()
    repeats: tuple[Repeat, ...] = ()

    @property
    def confirmed(self) -> float | None:
        """The mean over its fresh seeds; None without any, or when it failed on one."""
        values = [each.value for each in self.repeats if each.value is not None]
        return math.fsum(values) / len(values) if values and len(values) == len(self.repeats) else None


def sign_of(mode: str) -> float:
    """Return what makes larger values better."""
    return 1.0 if mode == "max" else -1.0


def rank(trials: Iterable[Trial], mode: str) -> list[Trial]:
    """Return the finished trials with a finite value, best first; the earlier one of two equals."""
    finished = [
        trial
        for trial in trials
        if trial.state == "succeeded" and trial.value is not None and math.isfinite(trial.value)
    ]
    return sorted(finished, key=lambda trial: (-sign_of(mode) * (trial.value or 0.0), trial.number))


def find_best(trials: Iterable[Trial], mode: str) -> Trial | None:
    """Return the best trial: by the fresh seeds among those that were run on some, else by its value.

    Notes
    -----
    The value that a trial was picked for is left out where it has others: it is too good, having
    been picked for being high.
    """
    ranked = rank(trials, mode)
    again = [trial for trial in ranked if trial.confirmed is not None]
    if again:
        return min(again, key=lambda trial: (-sign_of(mode) * (trial.confirmed or 0.0), trial.number))
    return ranked[0] if ranked else None


def find_front(trials: Iterable[Trial], modes: Sequence[str]) -> list[Trial]:
    """Return the finished trials that no other one beats in one metric without losing in another.

    Parameters
    ----------
    trials : iterable of Trial
        With `values`, one for each mode.
    modes : sequence of {"max", "min"}
        Whether larger is better.

    Returns
    -------
    list of Trial
        In order of their numbers; of equal ones the first.
    """
    signs = [sign_of(mode) for mode in modes]
    front: list[tuple[list[float], Trial]] = []
    for trial in sorted(trials, key=lambda each: each.number):
        if trial.state != "succeeded" or not trial.values:
            continue
        score = [sign * value for sign, value in zip(signs, trial.values, strict=True)]
        if any(_covers(other, score) for other, _ in front):
            continue
        front = [(other, each) for other, each in front if not _covers(score, other)]
        front.append((score, trial))
    return [trial for _, trial in front]


def _covers(score: Sequence[float], other: Sequence[float]) -> bool:
    return all(one >= two for one, two in zip(score, other, strict=True))
