"""Calibration of probabilities: a monotone map from what a model says to what happens."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MAX_KNOTS = 64
_CLIP = 1e-6
_NEWTON_STEPS = 30


class Calibration(msgspec.Struct, frozen=True):
    """A monotone map, linear between its knots; without knots it changes nothing.

    Attributes
    ----------
    said, happened : tuple of float
        Knots, ascending.
    """

    said: tuple[float, ...] = ()
    happened: tuple[float, ...] = ()

    def apply(self, probabilities: ArrayLike) -> Floats:
        """Return the calibrated probabilities."""
        values = np.asarray(probabilities, dtype=np.float64)
        return np.interp(values, self.said, self.happened) if self.said else values


def fit_isotonic(probabilities: ArrayLike, labels: ArrayLike) -> Calibration:
    """Fit the monotone map with the least squared error (pool adjacent violators).

    Parameters
    ----------
    probabilities : array of float
        What the model said.
    labels : array
        What happened, 0 or 1.

    Returns
    -------
    Calibration
        At most `MAX_KNOTS` knots.
    """
    said = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(said, kind="stable")
    x, y = said[order], np.asarray(labels, dtype=np.float64)[order]
    values, start = np.unique(x, return_index=True)
    weights = np.diff(np.append(start, len(x))).astype(np.float64)
    means = np.add.reduceat(y, start) / weights if len(x) else np.zeros(0)
    pools: list[list[float]] = []
    for place, mean, weight in zip(values.tolist(), means.tolist(), weights.tolist(), strict=True):
        pools.append([mean, weight, place, place])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            above, below = pools.pop(), pools[-1]
            total = below[1] + above[1]
            below[0] = (below[0] * below[1] + above[0] * above[1]) / total
            below[1], below[3] = total, above[3]
    knots = [(end, pool[0]) for pool in pools for end in dict.fromkeys((pool[2], pool[3]))]
    if len(knots) > MAX_KNOTS:
        chosen = np.unique(np.linspace(0, len(knots) - 1, MAX_KNOTS).round().astype(int))
        knots = [knots[number] for number in chosen]
    return Calibration(tuple(round(knot[0], 7) for knot in knots), tuple(round(knot[1], 7) for knot in knots))


def recalibrate(probabilities: ArrayLike, labels: ArrayLike, blocks: ArrayLike) -> Floats:
    """Return what the probabilities would be after two-fold recalibration on other blocks.

    Parameters
    ----------
    probabilities, labels, blocks : arrays
        Of the same rows; a block, such as a day, is never in both folds.

    Returns
    -------
    array of float
        Logistic recalibration (Platt) fitted on every other block and applied to the rest; the
        probabilities themselves where a fold has only one outcome.
    """
    said = np.clip(np.asarray(probabilities, dtype=np.float64), _CLIP, 1 - _CLIP)
    labels = np.asarray(labels, dtype=np.float64)
    fold = np.unique(np.asarray(blocks), return_inverse=True)[1] % 2
    result = said.copy()
    logit = np.log(said / (1 - said))
    for number in (0, 1):
        here, there = fold == number, fold != number
        if not here.any() or not 0 < labels[there].sum() < there.sum():
            continue
        offset, slope = _fit_platt(logit[there], labels[there])
        result[here] = _sigmoid(offset + slope * logit[here])
    return np.clip(result, _CLIP, 1 - _CLIP)


def _fit_platt(logit: Floats, labels: Floats) -> tuple[float, float]:
    parameters = np.array([0.0, 1.0])
    design = np.stack([np.ones_like(logit), logit], axis=1)
    ridge = np.diag([1e-9, 1e-6]) * len(logit)
    for _ in range(_NEWTON_STEPS):
        said = _sigmoid(design @ parameters)
        curvature = (design * (said * (1 - said))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, design.T @ (labels - said) + ridge @ (np.array([0.0, 1.0]) - parameters))
        parameters = parameters + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return float(parameters[0]), float(parameters[1])


def _sigmoid(value: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(value, -40, 40))))
