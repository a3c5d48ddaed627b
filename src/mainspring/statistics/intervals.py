"""Intervals of paired differences, and corrections for asking many questions at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import NormalDist

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainspring.statistics.metrics import Floats, rank

_NORMAL = NormalDist()


class Interval(msgspec.Struct, frozen=True):
    """What a sample says about a number.

    Attributes
    ----------
    estimate : float
        The number in the sample.
    error : float
        Its standard error, >= 0.
    low, high : float
        Ends of the two-sided interval.
    level : float
        Its confidence, between 0 and 1.
    """

    estimate: float
    error: float
    low: float
    high: float
    level: float

    def p_above(self, bound: float) -> float:
        """Return the one-sided p-value of the hypothesis that the number is at most `bound`.

        Small: the sample says that the number lies above.
        """
        if self.error == 0:
            return 0.0 if self.estimate > bound else 1.0
        return 1.0 - _NORMAL.cdf((self.estimate - bound) / self.error)

    def p_below(self, bound: float) -> float:
        """Return the one-sided p-value of the hypothesis that the number is at least `bound`."""
        if self.error == 0:
            return 0.0 if self.estimate < bound else 1.0
        return _NORMAL.cdf((self.estimate - bound) / self.error)

    def __str__(self) -> str:
        return f"{self.estimate:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def compare_auc(labels: ArrayLike, ours: ArrayLike, theirs: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return the difference of two areas under the ROC curve on the same rows.

    Parameters
    ----------
    labels : array_like of 0 and 1
        The truth; both classes at least twice.
    ours, theirs : array_like
        Scores of the two models, row by row.
    level : float, default 0.95
        Confidence of the interval.

    Returns
    -------
    Interval
        Of ours minus theirs.

    Raises
    ------
    ValueError
        A class has fewer than two rows.

    Notes
    -----
    O(n log n). Rows count as independent. Source: DeLong, DeLong and Clarke-Pearson,
    Biometrics 44 (1988), with the ranks of Sun and Xu, IEEE Signal Processing Letters 21 (2014).
    """
    truth = np.asarray(labels, dtype=np.float64) == 1
    ones, zeros = int(truth.sum()), int((~truth).sum())
    if min(ones, zeros) < 2:
        raise ValueError(f"{ones} rows of label 1 and {zeros} of label 0; each class needs two")
    positive, negative, areas = [], [], []
    for scores in (ours, theirs):
        values = np.asarray(scores, dtype=np.float64)
        ranks = rank(values)
        positive.append((ranks[truth] - rank(values[truth])) / zeros)
        negative.append(1.0 - (ranks[~truth] - rank(values[~truth])) / ones)
        areas.append(positive[-1].mean())
    variance = np.var(positive[0] - positive[1], ddof=1) / ones + np.var(negative[0] - negative[1], ddof=1) / zeros
    return _make_interval(float(areas[0] - areas[1]), float(np.sqrt(variance)), level)


def estimate_mean(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """Return the mean of independent rows with its normal interval.

    Parameters
    ----------
    values : array_like
        One number for each row, such as the difference of two models' losses.
    level : float, default 0.95
        Confidence of the interval.

    Raises
    ------
    ValueError
        Fewer than two rows.

    Notes
    -----
    O(n). By the central limit theorem; meant for hundreds of rows and more.
    """
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2:
        raise ValueError(f"{len(sample)} rows have no standard error")
    return _make_interval(float(sample.mean()), float(sample.std(ddof=1) / np.sqrt(len(sample))), level)


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    rows: int,
    *,
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int = 0,
) -> Interval:
    """Return any statistic with its bootstrap interval, pairs kept together.

    Parameters
    ----------
    statistic : callable
        Takes the chosen row numbers, with repetitions, and returns the number; comparing two
        models on the same chosen rows keeps the pairs.
    rows : int
        Number of rows, > 1.
    level : float, default 0.95
        Confidence of the interval.
    replicates : int, default 1000
        Resamples.
    seed : int, default 0
        Of the resamples; the same seed gives the same interval.

    Returns
    -------
    Interval
        Percentiles of the resamples.

    Notes
    -----
    Source: Efron, Annals of Statistics 7 (1979). Costs `replicates` calls of `statistic`.
    """
    generator = np.random.default_rng(seed)
    found = np.array([statistic(generator.integers(rows, size=rows)) for _ in range(replicates)])
    return _read_percentiles(statistic(np.arange(rows)), found, level)


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that may be compared with one alpha although there are many.

    Parameters
    ----------
    p_values : sequence of float
        One for each question.

    Returns
    -------
    list of float
        In the same order; rejecting those of at most alpha errs anywhere with probability
        alpha at most.

    Notes
    -----
    Source: Holm, Scandinavian Journal of Statistics 6 (1979).

    Examples
    --------
    >>> adjust_holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda each: p_values[each])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def _make_interval(estimate: float, error: float, level: float) -> Interval:
    width = _NORMAL.inv_cdf((1.0 + level) / 2.0) * error
    return Interval(estimate, error, estimate - width, estimate + width, level)


def _read_percentiles(estimate: float, found: Floats, level: float) -> Interval:
    low, high = np.quantile(found, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(estimate, float(found.std(ddof=1)), float(low), float(high), level)
