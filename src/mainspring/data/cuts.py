"""Cuts: where a stream of rows is divided, by the rows alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

_CELL_BYTES = 8


def cut_rows(batches: Iterable[pl.DataFrame], part_rows: int, part_bytes: int) -> Iterator[pl.DataFrame]:
    """Yield rows in parts that are full, and a last one that may not be.

    Parameters
    ----------
    batches : iterable of polars.DataFrame
        Rows in their order, in pieces of any size.
    part_rows : int
        Most rows of a part, >= 1.
    part_bytes : int
        Most bytes of a part, as `weigh_rows` counts them; a part has one row at least.

    Notes
    -----
    Guarantees: the same rows are cut at the same places, however they come in batches. It holds a part and a batch.

    Examples
    --------
    >>> rows = pl.DataFrame({"text": ["aaaa", "b", "c", "dddd", "e"]})
    >>> [part["text"].to_list() for part in cut_rows([rows[:2], rows[2:]], 3, 6)]
    [['aaaa', 'b', 'c'], ['dddd', 'e']]
    """
    waiting: list[pl.DataFrame] = []
    rows = size_bytes = 0
    for batch in batches:
        ends, start = weigh_rows(batch).cum_sum(), 0
        while start < batch.height:
            before = ends[start - 1] if start else 0
            room = int(ends.search_sorted(part_bytes - size_bytes + before, side="right")) - start
            taken = min(part_rows - rows, room, batch.height - start)
            if not rows:
                taken = max(1, taken)
            if taken > 0:
                waiting.append(batch[start : start + taken])
                rows, start = rows + taken, start + taken
                size_bytes += ends[start - 1] - before
            if start < batch.height or rows == part_rows:
                yield pl.concat(waiting)
                waiting, rows, size_bytes = [], 0, 0
    if rows:
        yield pl.concat(waiting)


def weigh_rows(rows: pl.DataFrame) -> pl.Series:
    """Return about how many bytes each row takes: the same for a row wherever it stands.

    Examples
    --------
    >>> weigh_rows(pl.DataFrame({"id": [1, 2], "text": ["a", None], "marks": [[0.5, 1.5], []]})).to_list()
    [25, 8]
    """
    weights = [_weigh(pl.col(name), dtype).fill_null(0) for name, dtype in rows.schema.items()]
    return rows.select(pl.sum_horizontal(weights).alias("bytes")).to_series()


def _weigh(column: pl.Expr, dtype: Any) -> pl.Expr:
    """Return the bytes of each cell; those of a null are null or 0."""
    if isinstance(dtype, pl.List):
        return column.list.eval(_weigh(pl.element(), dtype.inner)).list.sum()
    if isinstance(dtype, pl.Array):
        return _weigh(column.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.Struct):
        fields = [_weigh(column.struct.field(each.name), each.dtype).fill_null(0) for each in dtype.fields]
        return pl.sum_horizontal(fields)
    if dtype == pl.String:
        return column.str.len_bytes().cast(pl.Int64)
    if dtype == pl.Binary:
        return column.bin.size().cast(pl.Int64)
    return column.is_not_null().cast(pl.Int64) * _CELL_BYTES
