"""Metrics of one model on labelled rows, as a whole and by slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mainspring.domain.errors import Invalid
from mainspring.evaluation.comparisons import Array, measure
from mainspring.evaluation.rules import CLASSIFICATION, REGRESSION

if TYPE_CHECKING:
    import polars as pl


def read_truth(rows: pl.DataFrame, target: str) -> Array:
    """Return the truth of rows as numbers, NaN where it is null.

    Raises
    ------
    Invalid
        GATE-002 when there is no such column, GATE-006 when it holds no numbers or booleans.
    """
    require_columns(rows, (target,))
    series = rows[target]
    if not (series.dtype.is_numeric() or str(series.dtype) == "Boolean"):
        raise Invalid("GATE-006", f"the target {target!r} holds {series.dtype}, not 0 and 1 or values", target=target)
    truth: Array = series.cast(float).to_numpy()
    return truth


def read_answers(answers: Any, who: str) -> Array:
    """Return the predictions that are judged: probabilities of the second class, or values.

    Parameters
    ----------
    answers : mapping of str to array_like
        What a predictor gave.
    who : str
        Whose they are, for the error.

    Raises
    ------
    Invalid
        GATE-006 when the model has neither.
    """
    for name in ("probability", "value"):
        values = np.asarray(answers[name]) if name in answers else np.empty((0, 0))
        if values.ndim == 1:
            return values.astype(np.float64)
    raise Invalid(
        "GATE-006", f"{who} gives neither one probability nor a value", why="a gate judges two classes or values"
    )


def require_columns(rows: pl.DataFrame, names: tuple[str, ...]) -> None:
    """Raise GATE-002 when a column is missing."""
    missing = [name for name in names if name not in rows.columns]
    if missing:
        raise Invalid("GATE-002", f"the rows have no column {missing[0]!r}", missing=missing, got=rows.columns)


def score_slices(rows: pl.DataFrame, answers: pl.DataFrame, target: str, slices: tuple[str, ...]) -> pl.DataFrame:
    """Measure predictions on all rows and on each value of the slicing columns.

    Returns
    -------
    polars.DataFrame
        ``slice``, ``rows`` and a column for each metric of the task; AUC is null where only one
        class is there.
    """
    import polars as pl

    require_columns(rows, slices)
    truth = read_truth(rows, target)
    metrics = CLASSIFICATION if "probability" in answers.columns else REGRESSION
    given = read_answers({each.name: each.to_numpy() for each in answers.iter_columns()}, "the model")
    known = ~np.isnan(truth)
    parts = [("all", known)]
    for column in slices:
        values = rows[column].cast(pl.String)
        parts += [
            (f"{column}={each}", known & (values == each).to_numpy()) for each in values.drop_nulls().unique().sort()
        ]
    found = []
    for label, chosen in parts:
        count = int(chosen.sum())
        scores = {each: measure(each, truth[chosen], given[chosen]) if count else None for each in metrics}
        found.append({"slice": label, "rows": count, **scores})
    return pl.DataFrame(found).with_columns(pl.col(pl.Float64).fill_nan(None))
