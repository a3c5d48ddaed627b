"""Digests of rows: equal values in equal order give an equal digest, whatever made them."""

from __future__ import annotations

import hashlib
from typing import Any

import polars as pl

_HIDDEN: dict[Any, Any] = {pl.String: "", pl.Boolean: False, pl.Binary: b""}


def digest_rows(frame: pl.DataFrame) -> str:
    """Digest the names, types and values of a frame.

    Parameters
    ----------
    frame : polars.DataFrame
        Storable rows.

    Returns
    -------
    str
        64 hexadecimal characters of SHA-256.

    Notes
    -----
    Guarantees: the bytes that memory holds under a missing value, the pieces a column is cut
    into and the buffers that it shares with others do not count.

    Examples
    --------
    >>> whole, hidden = pl.Series("a", [1, None]), pl.Series("a", [1, 2])
    >>> masked = hidden.to_frame().select(pl.when(pl.col("a") < 2).then("a"))
    >>> digest_rows(whole.to_frame()) == digest_rows(masked)
    True
    """
    digest = hashlib.sha256()
    for series in frame.iter_columns():
        known = series.is_not_null()
        digest.update(f"{series.name}\x00{series.dtype}\x00{series.len()}\x00".encode())
        _add(digest, known.cast(pl.UInt8))
        _add(digest, _fill(series))
    return digest.hexdigest()


def _fill(series: pl.Series) -> pl.Series:
    if series.dtype.is_numeric() and not series.dtype.is_decimal():  # memory holds decimals as objects
        return series.fill_null(0)
    if series.dtype.is_temporal():
        return series.to_physical().fill_null(0)
    for dtype, value in _HIDDEN.items():
        if series.dtype == dtype:
            filled = series.fill_null(value)
            return filled.cast(pl.UInt8) if dtype == pl.Boolean else filled
    return pl.Series(series.name, [repr(value) for value in series.to_list()])


def _add(digest: Any, series: pl.Series) -> None:
    if series.dtype.base_type() in {pl.String, pl.Binary}:
        sizes = series.str.len_bytes() if series.dtype == pl.String else series.bin.size()
        digest.update(sizes.cast(pl.UInt64).to_numpy().tobytes())
        if series.dtype == pl.String:
            digest.update(series.str.join("").item().encode())
        else:
            digest.update(b"".join(series.to_list()))
        return
    digest.update(series.to_numpy().tobytes())


def chain_digest(before: str, mode: str, rows: str) -> str:
    """Digest a version that is another version changed by rows."""
    return hashlib.sha256(f"{before} {mode} {rows}".encode()).hexdigest()
