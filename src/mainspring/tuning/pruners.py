"""When to give a trial up: pure rules over the curves of the trials before it."""

from __future__ import annotations

import math
from collections.abc import Sequence

Curve = Sequence[tuple[int, float]]

MIN_PEERS = 4
REDUCTION = 3
PRUNERS = ("asha", "median", "none")


def decide(pruner: str, mode: str, curve: Curve, peers: Sequence[Curve]) -> int | None:
    """Tell at which step a trial is given up.

    Parameters
    ----------
    pruner : {"asha", "median", "none"}
        ``asha`` keeps at each reported step what would be in the best third of the peers
        there, after Li et al., "A System for Massively Parallel Hyperparameter Tuning",
        MLSys 2020, with each report as a rung; ``median`` keeps what is no worse than the
        median of the peers, after Golovin et al., "Google Vizier", KDD 2017.
    mode : {"max", "min"}
        Whether larger values are better.
    curve : sequence of (int, float)
        The trial's (step, value), in order.
    peers : sequence of curves
        The trials that the search compares with: those of earlier rounds, so that the decision
        does not depend on which of two parallel trials was faster.

    Returns
    -------
    int or None
        The first step at which the rule gives the trial up; None keeps it.

    Notes
    -----
    With fewer than four peers at a step nothing is given up there. Peers that were given up
    before the step do not count: curves may rise or fall with the step for good reasons.
    """
    if pruner == "none":
        return None
    sign = 1.0 if mode == "max" else -1.0
    share = 1.0 / REDUCTION if pruner == "asha" else 0.5
    for step, value in curve:
        if math.isnan(value):
            continue
        at_step = sorted((score for peer in peers if (score := _score_at(peer, step, sign)) is not None), reverse=True)
        if len(at_step) < MIN_PEERS:
            continue
        keep = max(1, math.ceil(share * (len(at_step) + 1)))
        if sum(score > sign * value for score in at_step) >= keep:
            return step
    return None


def _score_at(peer: Curve, step: int, sign: float) -> float | None:
    if not peer or peer[-1][0] < step:
        return None
    scores = [sign * value for at, value in peer if at <= step and not math.isnan(value)]
    return scores[-1] if scores else None
