"""Rows that meet rows: appending in the table's types, and upserts by key."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from mainspring.data.columns import require_columns
from mainspring.domain.errors import Invalid

_PLACE = "\x00place"


class Upsert(NamedTuple):
    """What an upsert comes to.

    Attributes
    ----------
    new : polars.DataFrame
        Rows whose key is not there yet.
    merged : polars.DataFrame or None
        All rows after it, each changed one in its old place; None: no row changes.
    """

    new: pl.DataFrame
    merged: pl.DataFrame | None


def fit_columns(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Give rows the columns of a table, in its order and types.

    Raises
    ------
    Invalid
        DATA-005 for a column too few or too many, DATA-006 for one of another type.
    """
    require_columns(schema, rows.columns, what="the dataset")
    require_columns(rows.columns, schema, what="the new rows' header", code="DATA-005")
    fitted = []
    for name, dtype in schema.items():
        series = rows[name]
        if series.dtype != dtype:
            together = series.dtype.is_numeric() and dtype.is_numeric()
            if not together and series.null_count() < series.len():
                raise _refuse(series, dtype)
            try:
                cast = series.cast(dtype)
            except pl.exceptions.InvalidOperationError:
                raise _refuse(series, dtype) from None
            if together and not (cast.cast(series.dtype) == series).fill_null(value=True).all():
                raise _refuse(series, dtype)
            series = cast
        fitted.append(series)
    return pl.DataFrame(fitted)


def _refuse(series: pl.Series, dtype: pl.DataType) -> Invalid:
    return Invalid(
        "DATA-006",
        f"column {series.name!r} holds {series.dtype} where the dataset holds {dtype}",
        column=series.name,
        wanted=str(dtype),
        got=str(series.dtype),
    )


def check_key(rows: pl.DataFrame, key: list[str]) -> None:
    """Refuse rows that their key does not identify.

    Raises
    ------
    Invalid
        DATA-005 when a column of the key is not there, DATA-010 when a value of it is missing
        or comes twice.
    """
    require_columns(key, rows.columns, what="key")
    name = "+".join(key)
    missing = rows.select(pl.any_horizontal(pl.col(key).is_null()).sum()).item()
    if missing:
        raise Invalid("DATA-010", f"{missing:,} rows have no {name}", key=key)
    repeated = rows.height - rows.select(pl.struct(key).n_unique()).item() if rows.height else 0
    if repeated:
        raise Invalid("DATA-010", f"{repeated:,} rows repeat a {name}", key=key)


def merge_rows(current: pl.LazyFrame, rows: pl.DataFrame, key: list[str]) -> Upsert:
    """Work out an upsert.

    Parameters
    ----------
    current : polars.LazyFrame
        The rows that are there.
    rows : polars.DataFrame
        Rows in the same columns and types, each key once.
    key : list of str
        Columns that identify a row.

    Returns
    -------
    Upsert
        Rows equal to the ones that are there come to nothing.

    Notes
    -----
    Cost: reads the key columns; reads all columns only when a key is there already.
    """
    keys = current.select(key).collect()
    hit = rows.join(keys, on=key, how="semi", maintain_order="left")
    new = rows.join(keys, on=key, how="anti", maintain_order="left")
    if hit.is_empty():
        return Upsert(new, None)
    before = current.collect()
    changed = hit.join(before, on=rows.columns, how="anti", nulls_equal=True, maintain_order="left")
    if changed.is_empty():
        return Upsert(new, None)
    placed = before.with_row_index(_PLACE)
    fresh = changed.join(placed.select(_PLACE, *key), on=key, how="inner").select(placed.columns)
    kept = placed.join(fresh.select(_PLACE), on=_PLACE, how="anti")
    merged = pl.concat([kept, fresh]).sort(_PLACE).drop(_PLACE)
    return Upsert(new, pl.concat([merged, new]))
