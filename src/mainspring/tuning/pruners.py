"""When to give a trial up: pure rules over the curves of the trials before it."""

from __future__ import annotations

import math
from typing import NamedTuple

from mainspring.tuning.peers import Curve, Peers, count_better

MIN_PEERS = 4
REDUCTION = 3
PRUNERS = ("asha", "hyperband", "median", "none")


class Cut(NamedTuple):
    """Where a trial is given up, and why.

    Attributes
    ----------
    step : int
        The step of the report that decided.
    value : float
        What the trial had there.
    threshold : float
        What it would have needed.
    rung : int
        The report that decided, counted from 1.
    peers : int
        How many trials it was compared with.
    """

    step: int
    value: float
    threshold: float
    rung: int
    peers: int


class Bracket(NamedTuple):
    """A part of Hyperband's trials, which begins to give up at a report of its own.

    Attributes
    ----------
    trials : int
        So many trials in a row belong to it.
    rungs : tuple of int
        The reports, counted from 1, at which two thirds are given up.
    """

    trials: int
    rungs: tuple[int, ...]


def make_peers(pruner: str, mode: str) -> Peers:
    """Return what the rule compares with, still empty."""
    return Peers(mode, find_bracket if pruner == "hyperband" else None)


def decide(pruner: str, curve: Curve, peers: Peers, number: int = 0) -> Cut | None:
    """Tell at which step a trial is given up.

    Parameters
    ----------
    pruner : {"asha", "hyperband", "median", "none"}
        ``asha`` keeps at each reported step what would be in the best third of the peers
        there, after Li et al., "A System for Massively Parallel Hyperparameter Tuning",
        MLSys 2020, with each report as a rung; ``hyperband`` does so at reports 1, 3, 9 and so on
        among trials of one bracket, after Li et al., "Hyperband", JMLR 2018; ``median`` keeps what
        is no worse than the median of the peers, after Golovin et al., "Google Vizier", KDD 2017.
    curve : sequence of (int, float)
        The trial's (step, value), in order.
    peers : Peers
        The trials that the search compares with: those of earlier rounds, so that the decision
        does not depend on which of two parallel trials was faster.
    number : int, default 0
        The trial's number in its search; Hyperband deals brackets by it.

    Returns
    -------
    Cut or None
        The first report at which the rule gives the trial up; None keeps it.

    Notes
    -----
    With fewer than four peers at a step nothing is given up there. Peers that were given up
    before the step do not count: curves may rise or fall with the step for good reasons.
    """
    if pruner == "none":
        return None
    share = 0.5 if pruner == "median" else 1.0 / REDUCTION
    rungs = _find_rungs(number, peers.longest) if pruner == "hyperband" else None
    for rung, (step, value) in enumerate(curve, 1):
        if math.isnan(value) or (rungs is not None and rung not in rungs):
            continue
        ranked = peers.rank(number, step)
        if len(ranked) < MIN_PEERS:
            continue
        keep = max(1, math.ceil(share * (len(ranked) + 1)))
        if count_better(ranked, peers.score(value)) >= keep:
            return Cut(step, value, peers.score(ranked[-keep]), rung, len(ranked))
    return None


def list_brackets(longest: int) -> list[Bracket]:
    """Return Hyperband's brackets, the one that gives up earliest first.

    Parameters
    ----------
    longest : int
        How often a trial reports that is never given up, > 0.

    Notes
    -----
    With eta = 3 and s from s_max down to 0, a bracket has ceil((s_max + 1) / (s + 1) * eta^s)
    trials and its first rung at longest / eta^s, so that all brackets cost about the same.
    """
    most = 0
    while REDUCTION ** (most + 1) <= longest:
        most += 1
    return [
        Bracket(
            math.ceil((most + 1) / (s + 1) * REDUCTION**s),
            tuple(math.ceil(longest / REDUCTION ** (s - at)) for at in range(s)),
        )
        for s in range(most, -1, -1)
    ]


def find_bracket(number: int, longest: int) -> int:
    """Return which bracket a trial belongs to; brackets are dealt out in turn."""
    counts = [bracket.trials for bracket in list_brackets(max(longest, 1))]
    place = number % sum(counts)
    for at, count in enumerate(counts):
        if place < count:
            return at
        place -= count
    return 0


def _find_rungs(number: int, longest: int) -> tuple[int, ...]:
    return list_brackets(max(longest, 1))[find_bracket(number, longest)].rungs
