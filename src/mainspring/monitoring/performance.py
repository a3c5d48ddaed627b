"""Performance of a classifier of two classes: estimated without labels, then realised."""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

METRICS = ("auc", "log_loss")
_CLIP = 1e-6
_DRAWS = 50
_SEED = 20130101


class Measure(msgspec.Struct, frozen=True):
    """A metric with its interval.

    Attributes
    ----------
    value : float
        The metric.
    low, high : float
        Its 95 % interval; blocks, not rows, are taken as independent.
    """

    value: float
    low: float
    high: float


class Performance(msgspec.Struct, frozen=True):
    """How good the predictions of some rows are, or are expected to be.

    Attributes
    ----------
    rows : int
        Rows that count.
    auc, log_loss : Measure or None
        None when rows or outcomes are too few to tell.
    rate : float
        Share of the positive class: expected, or as it happened.
    """

    rows: int
    auc: Measure | None
    log_loss: Measure | None
    rate: float


def estimate_performance(probabilities: ArrayLike, calibrated: ArrayLike, blocks: ArrayLike) -> Performance:
    """Estimate performance before the labels are there (CBPE).

    Parameters
    ----------
    probabilities : array of float
        What the model said.
    calibrated : array of float
        The same, calibrated on earlier labels; equal to `probabilities` when there are none.
    blocks : array of int
        Block of each row.

    Returns
    -------
    Performance

    Notes
    -----
    Confidence-based performance estimation: each row counts as a positive with its calibrated
    probability and as a negative with the rest, in the area under the expected ROC curve and in
    the expected log-loss. It sees a change of the inputs; it assumes that the outcome given the
    inputs has not changed, and cannot see when it has. Its intervals are for what labels will
    show: they hold the chance of the outcomes, from 50 seeded draws, too.
    """
    said, weight = np.asarray(probabilities, dtype=np.float64), np.asarray(calibrated, dtype=np.float64)
    return _measure(said, weight, np.asarray(blocks), _find_noise(said, weight))


def realise_performance(probabilities: ArrayLike, labels: ArrayLike, blocks: ArrayLike) -> Performance:
    """Measure performance once the labels are there.

    Parameters
    ----------
    probabilities : array of float
        What the model said.
    labels : array
        What happened, 0 or 1.
    blocks : array of int
        Block of each row.

    Returns
    -------
    Performance
        Intervals from leaving one block out at a time (jackknife).
    """
    return _measure(np.asarray(probabilities, dtype=np.float64), np.asarray(labels, np.float64), np.asarray(blocks))


def measure_auc(probabilities: Floats, positive: Floats) -> float:
    """Return the area under the ROC curve where each row is positive with some weight.

    Parameters
    ----------
    probabilities : array of float
        What orders the rows; ties count half.
    positive : array of float
        Weight of the positive class in each row, 0 to 1.

    Returns
    -------
    float
        NaN when one class has no weight.

    Examples
    --------
    >>> import numpy as np
    >>> measure_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]))
    0.75
    """
    values, place = np.unique(probabilities, return_inverse=True)
    up = np.bincount(place, positive, len(values))
    down = np.bincount(place, 1 - positive, len(values))
    total = up.sum() * down.sum()
    if total <= 0:
        return float("nan")
    return float((up * (np.cumsum(down) - down / 2)).sum() / total)


def measure_log_loss(probabilities: Floats, positive: Floats) -> Floats:
    """Return each row's (expected) log-loss in nats."""
    said = np.clip(probabilities, _CLIP, 1 - _CLIP)
    return np.asarray(-(positive * np.log(said) + (1 - positive) * np.log(1 - said)))


def compare_losses(first: ArrayLike, second: ArrayLike, blocks: ArrayLike) -> tuple[float, float]:
    """Return the mean difference of two losses of the same rows and its standard error over blocks.

    Returns
    -------
    tuple of float and float
        The error is infinite with fewer than two blocks.
    """
    return _mean_by_blocks(np.asarray(first, np.float64) - np.asarray(second, np.float64), np.asarray(blocks))


def _measure(
    said: Floats, positive: Floats, blocks: NDArray[np.generic], noise: tuple[float, float] = (0.0, 0.0)
) -> Performance:
    if not len(said):
        return Performance(0, None, None, 0.0)
    loss, loss_error = _mean_by_blocks(measure_log_loss(said, positive), blocks)
    area = measure_auc(said, positive)
    auc = None
    if not np.isnan(area):
        auc = _interval(area, math.hypot(_jackknife_auc(said, positive, blocks), noise[0]), 0.0, 1.0)
    log_loss = _interval(loss, math.hypot(loss_error, noise[1]), 0.0, np.inf)
    return Performance(len(said), auc, log_loss, round(float(positive.mean()), 6))


def _find_noise(said: Floats, positive: Floats) -> tuple[float, float]:
    """Return the standard deviation of AUC and log-loss over draws of the outcomes."""
    if not len(said):
        return 0.0, 0.0
    draw = np.random.default_rng(_SEED)
    areas = [measure_auc(said, (draw.uniform(size=len(said)) < positive).astype(np.float64)) for _ in range(_DRAWS)]
    known = [area for area in areas if not math.isnan(area)]
    odds = measure_log_loss(said, np.ones_like(said)) - measure_log_loss(said, np.zeros_like(said))
    loss = math.sqrt(float((positive * (1 - positive) * odds**2).sum())) / len(said)
    return float(np.std(known)) if len(known) > 1 else 0.0, loss


def _mean_by_blocks(values: Floats, blocks: NDArray[np.generic]) -> tuple[float, float]:
    names, place = np.unique(blocks, return_inverse=True)
    mean = float(values.mean())
    count = len(names)
    if count < 2:
        return mean, float("inf")
    sums = np.bincount(place, values - mean, count)
    return mean, float(np.sqrt((sums**2).sum() * count / (count - 1))) / len(values)


def _jackknife_auc(said: Floats, positive: Floats, blocks: NDArray[np.generic]) -> float:
    names, place = np.unique(blocks, return_inverse=True)
    if len(names) < 2:
        return float("inf")
    left_out = np.array([measure_auc(said[place != number], positive[place != number]) for number in range(len(names))])
    left_out = left_out[~np.isnan(left_out)]
    count = len(left_out)
    return (
        float(np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum())) if count > 1 else float("inf")
    )


def _interval(value: float, error: float, low: float, high: float) -> Measure:
    reach = NormalDist().inv_cdf(0.975) * error
    # JSON has no infinity: an interval without an end ends where the metric does, or far away.
    ends = (max(value - reach, low), min(value + reach, high if np.isfinite(high) else 1e3))
    return Measure(round(value, 6), round(float(ends[0]), 6), round(float(ends[1]), 6))
