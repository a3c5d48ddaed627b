"""How good predictions are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

# Probabilities nearer to 0 or 1 than this count as this far off: one sure mistake costs 34.5.
CLIP = 1e-15


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve.

    Parameters
    ----------
    labels : array_like of 0 and 1
        The truth.
    scores : array_like
        Higher means label 1 is likelier; ties count one half.

    Returns
    -------
    float
        0 to 1; NaN when only one class is there.

    Notes
    -----
    O(n log n). Source: Mann and Whitney's U over the number of pairs.

    Examples
    --------
    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    truth, values = _pair(labels, scores)
    ones = int(truth.sum())
    zeros = len(truth) - ones
    if ones == 0 or zeros == 0:
        return float("nan")
    ranks = rank(values)
    return float((ranks[truth == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def rank(values: Floats) -> Floats:
    """Return ranks from 1; equal values share the mean of theirs."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    group = np.cumsum(first) - 1
    starts = np.flatnonzero(first)
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = ((starts + 1 + ends) / 2)[group]
    return ranks


def log_losses(labels: ArrayLike, probabilities: ArrayLike) -> Floats:
    """Return the log loss of each row, in nats; see `log_loss`."""
    truth, values = _pair(labels, probabilities)
    likelihood = np.where(truth == 1, values, 1.0 - values)
    return np.asarray(-np.log(np.clip(likelihood, CLIP, 1.0)))


def log_loss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean negative log likelihood of labels 0 and 1, in nats.

    Examples
    --------
    >>> round(log_loss([1, 0], [0.9, 0.2]), 4)
    0.1643
    """
    return float(log_losses(labels, probabilities).mean())


def squared_errors(labels: ArrayLike, predictions: ArrayLike) -> Floats:
    """Return the squared error of each row."""
    truth, values = _pair(labels, predictions)
    return np.square(truth - values)


def absolute_errors(labels: ArrayLike, predictions: ArrayLike) -> Floats:
    """Return the absolute error of each row."""
    truth, values = _pair(labels, predictions)
    return np.absolute(truth - values)


def mistakes(labels: ArrayLike, probabilities: ArrayLike) -> Floats:
    """Return 1 for each row whose likelier label is wrong, else 0; label 1 wins above 0.5."""
    truth, values = _pair(labels, probabilities)
    wrong: Floats = ((values > 0.5) != (truth == 1)).astype(np.float64)
    return wrong


def ece(labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 15) -> float:
    """Return the expected calibration error.

    Parameters
    ----------
    labels : array_like of 0 and 1
        The truth.
    probabilities : array_like
        Of label 1.
    bins : int, default 15
        Bins of equal width between 0 and 1.

    Returns
    -------
    float
        Mean distance, over the rows, between the mean probability of the row's bin and the
        share of ones in it; 0 is calibrated.

    Notes
    -----
    Source: Naeini, Cooper and Hauskrecht, AAAI 2015.
    """
    truth, values = _pair(labels, probabilities)
    place = np.minimum((values * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, values - truth, minlength=bins)
    return float(np.abs(gap).sum() / len(truth))


def _pair(labels: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    truth: Floats = np.asarray(labels, dtype=np.float64)
    given: Floats = np.asarray(values, dtype=np.float64)
    if truth.shape != given.shape or truth.ndim != 1 or len(truth) == 0:
        raise ValueError(f"labels of shape {truth.shape} and predictions of shape {given.shape}")
    return truth, given


# Metrics that are means over rows of a loss, by name.
ROW_LOSSES: dict[str, Callable[[ArrayLike, ArrayLike], Floats]] = {
    "log_loss": log_losses,
    "brier": squared_errors,
    "error_rate": mistakes,
    "mse": squared_errors,
    "mae": absolute_errors,
}
