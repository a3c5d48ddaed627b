"""Rows as named one-dimensional arrays: the form that every predictor takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Stands for a null in ONNX, whose tensors of strings have none; a private-use character, so that
# no text of a user's, the empty one included, is mistaken for it.
NULL_TEXT = "\ue000"

_NUMBERS = (int, float, np.floating, np.integer)


def to_columns(rows: Any) -> dict[str, Array]:
    """Turn rows into columns.

    Parameters
    ----------
    rows : frame, mapping or list of mapping
        A Polars or pandas frame, columns by name, or one mapping for each row.

    Returns
    -------
    dict of str to ndarray
        In the order of the frame, or of the first row.

    Raises
    ------
    TypeError
        `rows` is none of these.

    Examples
    --------
    >>> to_columns([{"hour": 6}, {"hour": 7}])
    {'hour': array([6, 7])}
    """
    if isinstance(rows, Mapping):
        return {str(name): to_array(values) for name, values in rows.items()}
    if hasattr(rows, "columns") and hasattr(rows, "__getitem__"):
        return {str(name): to_array(rows[name]) for name in rows.columns}
    if isinstance(rows, list | tuple) and all(isinstance(row, Mapping) for row in rows):
        return {str(name): to_array([row.get(name) for row in rows]) for name in (rows[0] if rows else ())}
    raise TypeError(f"rows are a frame, columns by name or a list of mappings, not {type(rows).__name__}")


def to_array(values: Any) -> Array:
    """Turn a column of a frame, a list or an array into an array.

    Numbers with nulls become float64 with NaN; text becomes an object array of `str` and None.
    """
    array = values.to_numpy() if hasattr(values, "to_numpy") else values
    if isinstance(array, np.ndarray) and array.dtype != object:
        return array.astype(object) if array.dtype.kind in "US" else array
    items = list(array)
    known = [item for item in items if item is not None]
    if known and all(isinstance(item, bool | np.bool_) for item in known) and len(known) == len(items):
        return np.array(items, dtype=np.bool_)
    if known and all(isinstance(item, _NUMBERS) and not isinstance(item, bool) for item in known):
        return np.array([np.nan if item is None else item for item in items])
    if hasattr(values, "isna"):  # pandas writes a missing text as NaN
        items = [None if item != item else item for item in items]  # noqa: PLR0124
    texts = np.empty(len(items), dtype=object)
    texts[:] = items
    return texts


def count_rows(columns: Mapping[str, Array]) -> int:
    """Return the number of rows of checked columns."""
    return len(next(iter(columns.values()))) if columns else 0
