"""Sealed columns: cells that lie encrypted in the files of a table, and are plain in memory alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from mainspring.data.digests import digest_rows
from mainspring.domain.errors import Denied, Invalid
from mainspring.security.ciphers import Cipher

_CELL = b"cell"
_TYPES: dict[pl.DataType, str] = {
    pl.String(): "string",
    pl.Binary(): "binary",
    pl.Boolean(): "boolean",
    pl.Int8(): "byte",
    pl.Int16(): "short",
    pl.Int32(): "integer",
    pl.Int64(): "long",
    pl.Float32(): "float",
    pl.Float64(): "double",
    pl.Date(): "date",
    pl.Datetime("us"): "timestamp_ntz",
}
"""What can be sealed -> its name in the schema of a table."""


class Sealing(NamedTuple):
    """Which columns of a dataset are sealed.

    Attributes
    ----------
    ciphers : mapping of str to Cipher
        By column; empty: none is.
    """

    ciphers: Mapping[str, Cipher]

    def digest(self, rows: pl.DataFrame) -> str:
        """Digest rows, so that equal ones are known again but nobody can confirm a guess without a key."""
        plain = digest_rows(rows)
        return next(iter(self.ciphers.values())).digest(plain) if self.ciphers else plain

    def seal(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows as they go into the table."""
        return rows.with_columns(seal_column(rows[name], cipher) for name, cipher in self.ciphers.items())

    def describe(self, rows: pl.DataFrame) -> dict[str, dict[str, str]]:
        """Return, by sealed column, its type in the schema and the id of its key.

        Raises
        ------
        Invalid
            DATA-011 for a type that cannot be sealed.
        """
        for name in self.ciphers:
            if rows.schema[name] not in _TYPES:
                what = f"the sensitive column {name!r} holds {rows.schema[name]}, which cannot be sealed"
                raise Invalid("DATA-011", what, column=name)
        return {name: {"type": _TYPES[rows.schema[name]], "key": each.id} for name, each in self.ciphers.items()}


class UnreadableCell(Denied):
    """SECRET-003; of its text alone, as Polars makes what a function raises anew."""

    def __init__(self, text: str) -> None:
        super().__init__("SECRET-003", text.partition("\n")[0].removeprefix("SECRET-003: "))


def seal_column(series: pl.Series, cipher: Cipher) -> pl.Series:
    """Return a column with each of its values sealed; missing ones stay missing.

    Notes
    -----
    Cost: some 1 us a cell, and 28 bytes of it more than the value.
    """
    return pl.Series(series.name, list(cipher.seal(_write_cells(series), _CELL)), pl.Binary)


def open_column(series: pl.Series, dtype: pl.DataType, cipher: Cipher) -> pl.Series:
    """Return the column that was sealed.

    Raises
    ------
    UnreadableCell
        SECRET-003 when a cell was changed or the key is another.
    """
    try:
        cells = list(cipher.open(series.to_list(), _CELL))
    except Denied as fault:
        raise UnreadableCell(f"column {series.name!r}: {fault.what}") from None
    if dtype == pl.Binary:
        return pl.Series(series.name, cells, pl.Binary)
    if dtype == pl.String:
        return pl.Series(series.name, [None if cell is None else cell.decode() for cell in cells], pl.String)
    known = pl.Series(series.name, [cell is not None for cell in cells], pl.Boolean)
    physical = _physical(dtype)
    empty = bytes(physical.itemsize)
    values = np.frombuffer(b"".join(empty if cell is None else cell for cell in cells), physical)
    filled = pl.Series(series.name, values).cast(dtype)
    return filled.zip_with(known, pl.Series(series.name, [None], dtype)) if known.len() else filled


def name_types(schema: str, sealed: Mapping[str, Mapping[str, str]]) -> str:
    """Return the schema of a table as Delta writes it, with sealed columns by the type of their values."""
    body: dict[str, Any] = msgspec.json.decode(schema)
    for field in body["fields"]:
        if field["name"] in sealed:
            field["type"] = sealed[field["name"]]["type"]
    return msgspec.json.encode(body).decode()


def _write_cells(series: pl.Series) -> list[bytes | None]:
    if series.dtype == pl.Binary:
        return series.to_list()
    if series.dtype == pl.String:
        return [None if value is None else value.encode() for value in series.to_list()]
    width = _physical(series.dtype).itemsize
    plain = series.cast(pl.UInt8) if series.dtype == pl.Boolean else series.to_physical()
    content = plain.fill_null(0).to_numpy().tobytes()
    return [content[at * width : (at + 1) * width] if known else None for at, known in enumerate(series.is_not_null())]


def _physical(dtype: pl.DataType) -> np.dtype[Any]:
    """Return how the values of a type lie in memory."""
    if dtype == pl.Boolean:
        return np.dtype(np.uint8)
    physical: np.dtype[Any] = pl.Series([], dtype=dtype).to_physical().to_numpy().dtype
    return physical
