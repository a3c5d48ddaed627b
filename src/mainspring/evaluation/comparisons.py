"""Two models on the same rows: how much better one is, metric by metric."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.evaluation.rules import METRICS
from mainspring.statistics.intervals import Interval, bootstrap, compare_auc, estimate_mean
from mainspring.statistics.metrics import ROW_LOSSES, auc, ece

Array = NDArray[Any]
_BOOTSTRAPS = 200


class Rows(msgspec.Struct, frozen=True):
    """Rows with the truth and two models' predictions of it.

    Attributes
    ----------
    truth : ndarray of float64
        Labels 0 and 1, or values.
    challenger, champion : ndarray of float64
        Probabilities of label 1, or values.
    """

    truth: Array
    challenger: Array
    champion: Array

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, chosen: Array) -> Rows:
        """Return some of the rows."""
        return Rows(self.truth[chosen], self.challenger[chosen], self.champion[chosen])


def measure(metric: str, truth: Array, predictions: Array) -> float:
    """Return a metric of one model."""
    if metric == "auc":
        return auc(truth, predictions)
    if metric == "ece":
        return ece(truth, predictions)
    return float(ROW_LOSSES[metric](truth, predictions).mean())


def compare(metric: str, rows: Rows, *, alpha: float) -> Interval:
    """Return the challenger's gain over the champion; above zero it is better.

    Parameters
    ----------
    metric : str
        A name of `mainspring.evaluation.rules.METRICS`.
    rows : Rows
        At least two of them; for ``auc``, of each class.
    alpha : float
        Each end of the interval errs with this probability.

    Returns
    -------
    Interval
        Of level 1 - 2 alpha; the sign is turned where lower values are better.

    Notes
    -----
    Paired throughout. AUC by DeLong, means of losses by the normal interval of the per-row
    differences, calibration by a bootstrap of 200 resamples with a fixed seed.
    """
    level = 1.0 - 2.0 * alpha
    if metric == "auc":
        return compare_auc(rows.truth, rows.challenger, rows.champion, level=level)
    if metric == "ece":

        def gain(chosen: NDArray[np.int64]) -> float:
            some = rows.take(chosen)
            return ece(some.truth, some.champion) - ece(some.truth, some.challenger)

        return bootstrap(gain, len(rows), level=level, replicates=_BOOTSTRAPS)
    losses = ROW_LOSSES[metric]
    return estimate_mean(losses(rows.truth, rows.champion) - losses(rows.truth, rows.challenger), level=level)


def describe(metric: str, rows: Rows, gain: Interval) -> dict[str, Any]:
    """Return the comparison as evidence: both values, and the change in the metric's own sign."""
    sign = 1.0 if METRICS[metric] else -1.0
    ends = sorted((sign * gain.low, sign * gain.high))
    return {
        "metric": metric,
        "challenger": measure(metric, rows.truth, rows.challenger),
        "champion": measure(metric, rows.truth, rows.champion),
        "change": sign * gain.estimate,
        "low": ends[0],
        "high": ends[1],
        "level": gain.level,
    }
