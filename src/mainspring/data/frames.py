"""Rows in any shape, as a Polars frame."""

from __future__ import annotations

from typing import Any

import polars as pl

from mainspring.domain.errors import Invalid


def make_frame(rows: Any) -> pl.DataFrame:
    """Turn rows into a frame.

    Parameters
    ----------
    rows : object
        A Polars frame (lazy or not), a pandas one, a list of dicts, or anything with an Arrow C
        stream.

    Returns
    -------
    polars.DataFrame
        The rows in their order.

    Raises
    ------
    Invalid
        DATA-004 when there is no column, DATA-010 for anything else.
    """
    frame = _convert(rows)
    if not frame.columns:
        raise Invalid("DATA-004", "the rows have no column")
    return frame


def _convert(rows: Any) -> pl.DataFrame:
    if isinstance(rows, pl.DataFrame):
        return rows
    if isinstance(rows, pl.LazyFrame):
        return rows.collect()
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return pl.DataFrame(rows, infer_schema_length=None)
    if type(rows).__module__.partition(".")[0] == "pandas" and hasattr(rows, "columns"):
        return pl.DataFrame([_convert_series(str(name), rows[name]) for name in rows.columns])
    if hasattr(rows, "__arrow_c_stream__"):
        return pl.DataFrame(rows)
    raise Invalid(
        "DATA-010",
        f"{type(rows).__name__} holds no rows",
        why="rows are a table: columns of one length, each of one kind",
        fix="give a source, a Polars or pandas frame, a list of dicts or an Arrow stream",
    )


def _convert_series(name: str, column: Any) -> pl.Series:
    if type(column.dtype).__module__.partition(".")[0] == "numpy" and column.dtype.kind in "biufM":
        return pl.Series(name, column.to_numpy(), nan_to_null=True)
    values = zip(column.tolist(), column.isna().tolist(), strict=True)
    return pl.Series(name, [None if missing else _plain(value) for value, missing in values])


def _plain(value: Any) -> Any:
    return value.to_pydatetime() if hasattr(value, "to_pydatetime") else value
