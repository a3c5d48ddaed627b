"""Rows that break a contract: kept as they came, with the reason."""

from __future__ import annotations

import polars as pl

REASON = "reason"
SOURCE_ROW = "source_row"


def make_quarantine(frame: pl.DataFrame, reason: pl.Series | None) -> pl.DataFrame:
    """Take the rows that have a reason.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows as they came.
    reason : polars.Series or None
        A text for each row to take; None takes none.

    Returns
    -------
    polars.DataFrame
        `reason`, `source_row` (from 1 in the rows given) and every column as text, so that
        what could not be read is still there.
    """
    for name in (REASON, SOURCE_ROW):
        given = name
        while given in frame.columns:
            given = f"{given}_given"
        frame = frame.rename({name: given}, strict=False)
    if reason is None:
        frame, reason = frame.clear(), pl.Series(dtype=pl.String)
    bad = frame.with_columns(reason.alias(REASON)).with_row_index(SOURCE_ROW, offset=1).filter(reason.is_not_null())
    return bad.select(REASON, pl.col(SOURCE_ROW).cast(pl.Int64), *(_to_text(frame, name) for name in frame.columns))


def _to_text(frame: pl.DataFrame, name: str) -> pl.Expr:
    dtype, column = frame.schema[name], pl.col(name)
    if dtype.is_nested() or dtype.base_type() in {pl.Binary, pl.Object}:
        return column.map_elements(repr, return_dtype=pl.String)
    return column.cast(pl.String)


def select_new(rows: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Return the quarantined rows that are not in quarantine already, whatever their number."""
    names = [name for name in rows.columns if name != SOURCE_ROW]
    if not set(names) <= set(kept.columns):
        return rows
    return rows.join(kept.select(names).unique(), on=names, how="anti", nulls_equal=True, maintain_order="left")
