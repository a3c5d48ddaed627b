"""Parts of the judging rows on which a challenger must not fall behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mainspring.evaluation.comparisons import Array, Rows, compare, describe
from mainspring.statistics.intervals import adjust_holm

MIN_ROWS = 200
MAX_LEVELS = 200
_MIN_CLASS_ROWS = 10


def judge_slices(
    rows: Rows, columns: Mapping[str, Array], margins: Mapping[str, float], alpha: float
) -> dict[str, Any]:
    """Look for slices on which the challenger is shown to lose more than a margin.

    Parameters
    ----------
    rows : Rows
        The judging rows.
    columns : mapping of str to ndarray
        Values of the slicing columns, row by row.
    margins : mapping of str to float
        Metric -> what the challenger may lose.
    alpha : float
        Probability that a challenger that loses no more than the margins anywhere is refused.

    Returns
    -------
    dict
        ``judged`` and ``small`` count slices; ``failed`` are those shown to be worse, ``worst``
        the five with the largest loss; each with its comparison and its adjusted p-value.

    Notes
    -----
    The p-values of all slices and metrics are adjusted together (Holm), so naming more slices
    does not refuse more good models. Slices of fewer than 200 rows, or for AUC of fewer than 10
    in a class, are counted as small and not judged; of a column with more than 200 levels the
    largest 200 are judged.
    """
    found: list[dict[str, Any]] = []
    small = 0
    for column, level, chosen in _cut(columns):
        part = rows.take(chosen)
        if len(part) < MIN_ROWS:
            small += 1
            continue
        for metric, margin in margins.items():
            if metric == "auc" and min(part.truth.sum(), (1 - part.truth).sum()) < _MIN_CLASS_ROWS:
                continue
            gain = compare(metric, part, alpha=alpha)
            about = {
                "column": column,
                "value": level,
                "rows": len(part),
                "margin": margin,
                "p_worse": gain.p_below(-margin),
            }
            found.append({**about, **describe(metric, part, gain), "gain": gain.estimate})
    for each, p_value in zip(found, adjust_holm([each["p_worse"] for each in found]), strict=True):
        each["p_worse"] = p_value
    ordered = sorted(found, key=lambda each: each["gain"])
    return {
        "judged": len(found),
        "small": small,
        "failed": [each for each in ordered if each["p_worse"] <= alpha],
        "worst": ordered[:5],
    }


def _cut(columns: Mapping[str, Array]) -> Iterator[tuple[str, str, Array]]:
    for column, values in columns.items():
        levels, codes, counts = np.unique(_spell(values), return_inverse=True, return_counts=True)
        order = np.argsort(codes, kind="stable")
        parts = np.split(order, np.cumsum(counts)[:-1])
        for place in np.argsort(-counts, kind="stable")[:MAX_LEVELS]:
            yield column, str(levels[place]), parts[place]


def _spell(values: Array) -> Array:
    if values.dtype.kind == "f" and not np.isnan(values).any() and (values == np.round(values)).all():
        values = values.astype(np.int64)
    return np.array([str(value) for value in values.tolist()])
