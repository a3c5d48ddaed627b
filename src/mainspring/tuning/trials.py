"""Trials as a searcher sees them, and the choice of the best."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec


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
        The last reported value of the metric up to the pruning decision; None when there is none.
    curve : tuple of (int, float)
        Reported (step, value), in order, up to the pruning decision.
    """

    number: int
    run_id: str
    params: dict[str, Any]
    state: str
    value: float | None = None
    curve: tuple[tuple[int, float], ...] = ()


def find_best(trials: Iterable[Trial], mode: str) -> Trial | None:
    """Return the finished trial with the best finite value; the earlier one of two equals."""
    sign = 1.0 if mode == "max" else -1.0
    finished = [
        trial
        for trial in trials
        if trial.state == "succeeded" and trial.value is not None and math.isfinite(trial.value)
    ]
    return min(finished, key=lambda trial: (-sign * (trial.value or 0.0), trial.number), default=None)
