"""Keys of rows that do not fit into memory: whether each is there once."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import polars as pl

from mainspring.domain.errors import Invalid

if TYPE_CHECKING:
    from mainspring.data.scans import Scan

_PASS_ROWS = 1_000_000


def check_key(scan: Scan, key: list[str], rows: int, private: Collection[str] = ()) -> None:
    """Refuse a key that several rows have.

    Parameters
    ----------
    scan : Scan
        The rows.
    key : list of str
        Its columns; empty: nothing is checked.
    rows : int
        How many rows there are.
    private : collection of str
        Columns whose values no error may tell.

    Raises
    ------
    Invalid
        BATCH-005 for the first key that is there twice.

    Notes
    -----
    Cost: the columns of the key are read once for each million rows, and some 24 bytes a row of these are kept: 24 MB.
    Rows of equal hashes are compared by their values.
    """
    if not key:
        return
    chosen = scan.select(*key)
    mark = pl.struct(key).hash()
    passes = rows // _PASS_ROWS + 1
    for number in range(passes):
        batches = chosen.stream(_PASS_ROWS)
        marks = [batch.select(mark.alias("mark")).filter(pl.col("mark") % passes == number) for batch in batches]
        hashes = pl.concat(marks)["mark"].sort()
        alike = hashes.filter(hashes == hashes.shift()).unique()
        if alike.is_empty():
            continue
        suspects = chosen.lazy().filter(mark.is_in(alike.implode()))
        counts = suspects.group_by(key).len("\0rows").filter(pl.col("\0rows") > 1)
        found = scan.collect(counts.sort(key).head(1))
        if found.height:
            *values, count = found.row(0)
            shown = ", ".join(
                f"{name}={'...' if name in private else repr(value)}" for name, value in zip(key, values, strict=True)
            )
            raise Invalid("BATCH-005", f"{count:,} rows have {shown}", key=key)
