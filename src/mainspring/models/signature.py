"""What a model takes and gives: named columns with Open Inference Protocol datatypes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np

from mainspring.domain.errors import Invalid
from mainspring.models.columns import Array, to_array

Datatype = Literal["FP32", "FP64", "INT64", "BOOL", "BYTES"]

_DTYPES: dict[str, Any] = {"FP32": np.float32, "FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": object}
_MOST = np.iinfo(np.int64).max
# Kinds of NumPy dtypes that a datatype takes without loss of meaning.
_KINDS: dict[str, str] = {"FP32": "fiu", "FP64": "fiu", "INT64": "iu", "BOOL": "b"}


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """A named input or output of a model.

    Attributes
    ----------
    name : str
        Name of the column.
    datatype : str
        FP32, FP64, INT64, BOOL or BYTES (text in UTF-8).
    nullable : bool
        Whether NaN (FP32, FP64) or None (BYTES) may stand in it.
    categories : tuple of str or None
        Levels of a BYTES column that the model learnt from; others are allowed and read as
        unknown. None: not a category.
    width : int
        Values in a row, >= 1; above 1 for the probabilities of several classes.
    """

    name: str
    datatype: Datatype
    nullable: bool = False
    categories: tuple[str, ...] | None = None
    width: int = 1


class Signature(msgspec.Struct, frozen=True):
    """The columns that a model takes and those that it gives.

    Attributes
    ----------
    inputs : tuple of Column
        In the order of the model's own features.
    outputs : tuple of Column
        ``label`` and ``probability`` of a classifier (the probability of the second class
        when there are two, else one for each class), ``value`` of a regressor.
    """

    inputs: tuple[Column, ...]
    outputs: tuple[Column, ...] = ()

    def check(self, columns: Mapping[str, Any]) -> dict[str, Array]:
        """Check the columns of some rows and bring them to the model's types.

        Parameters
        ----------
        columns : mapping of str to array_like
            One-dimensional columns by name.

        Returns
        -------
        dict of str to ndarray
            The columns in the signature's order; BYTES columns hold `str` or None.

        Raises
        ------
        Invalid
            MODEL-005 when an input is missing, MODEL-006 when there is one too many, MODEL-007
            when values have another type, MODEL-008 when columns differ in length, are not
            one-dimensional or have no rows, MODEL-009 when a null stands where none may.

        Examples
        --------
        >>> signature = Signature((Column("wind", "FP32", nullable=True),))
        >>> signature.check({"wind": [3, None]})["wind"]
        array([ 3., nan], dtype=float32)
        """
        self._check_names(columns)
        checked: dict[str, Array] = {}
        rows = -1
        for column in self.inputs:
            values = to_array(columns[column.name])
            _check_shape(column, values, rows)
            rows = len(values)
            checked[column.name] = _read(column, values)
        return checked

    def _check_names(self, columns: Mapping[str, Any]) -> None:
        names = [column.name for column in self.inputs]
        missing = [name for name in names if name not in columns]
        if missing:
            raise Invalid(
                "MODEL-005",
                f"input {missing[0]!r} is missing" + (f", and {len(missing) - 1} more" if len(missing) > 1 else ""),
                missing=missing,
                wanted=names,
                got=list(columns),
            )
        if len(columns) != len(names):
            extra = [name for name in columns if name not in names]
            raise Invalid(
                "MODEL-006",
                f"the model has no input {extra[0]!r}" + (f", and {len(extra) - 1} more" if len(extra) > 1 else ""),
                extra=extra,
                wanted=names,
            )


def infer(columns: Mapping[str, Any], *, names: tuple[str, ...] | None = None) -> Signature:
    """Read the inputs of a signature off example rows.

    Parameters
    ----------
    columns : mapping of str to array_like
        Example rows by column.
    names : tuple of str, optional
        The model's features, in order; default: all columns.

    Returns
    -------
    Signature
        Without outputs. Floating-point and text columns are nullable. Integers with nulls
        become FP64.

    Raises
    ------
    Invalid
        MODEL-004 when a column has a type that no input can have, MODEL-005 when the example
        lacks one of `names`.
    """
    wanted = tuple(columns) if names is None else names
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise Invalid("MODEL-005", f"the example has no column {missing[0]!r}", missing=missing, got=list(columns))
    return Signature(tuple(_infer_column(name, to_array(columns[name])) for name in wanted))


def _infer_column(name: str, values: Array) -> Column:
    kind = values.dtype.kind
    if kind == "f":
        return Column(name, "FP32" if values.dtype.itemsize <= 4 else "FP64", nullable=True)
    if kind in "iu":
        return Column(name, "INT64")
    if kind == "b":
        return Column(name, "BOOL")
    levels = {value for value in values if value is not None}
    if kind == "O" and all(isinstance(level, str) for level in levels):
        return Column(name, "BYTES", nullable=True)
    found = next((type(level).__name__ for level in levels if not isinstance(level, str)), values.dtype.name)
    raise Invalid("MODEL-004", f"example column {name!r} holds {found}", column=name, got=found)


def _check_shape(column: Column, values: Array, rows: int) -> None:
    if values.ndim != 1:
        what = f"{values.ndim} dimensions"
    elif len(values) == 0:
        what = "no rows"
    elif len(values) != rows and rows >= 0:
        what = f"{len(values):,} rows, the inputs before it {rows:,}"
    else:
        return
    raise Invalid("MODEL-008", f"input {column.name!r} has {what}", input=column.name, shape=list(values.shape))


def _read(column: Column, array: Array) -> Array:
    if column.datatype == "BYTES":
        return _read_text(column, array)
    if array.dtype.kind not in _KINDS[column.datatype]:
        array = _read_nulls(column, array)
    if not column.nullable and array.dtype.kind == "f":
        nulls = np.isnan(array)
        if nulls.any():
            raise _null(column, int(nulls.argmax()))
    if column.datatype == "INT64" and array.dtype.kind == "u" and array.max() > _MOST:
        raise _wrong_type(column, f"{array.max():,}")
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, as in the model's training
        return array.astype(_DTYPES[column.datatype], copy=False)


def _read_nulls(column: Column, array: Array) -> Array:
    """Read values of another type: NaN where all are null and may be, else the error."""
    null = np.array([item is None or item != item for item in array])  # noqa: PLR0124
    if null.all() and column.nullable and column.datatype in {"FP32", "FP64"}:
        return np.full(len(array), np.nan)
    if null.any():
        raise _null(column, int(null.argmax()))
    raise _wrong_type(column, _name_type(array))


def _read_text(column: Column, array: Array) -> Array:
    if array.dtype != object:
        raise _wrong_type(column, _name_type(array))
    for row, item in enumerate(array):
        if item is None:
            if not column.nullable:
                raise _null(column, row)
        elif not isinstance(item, str):
            raise _wrong_type(column, type(item).__name__)
    return array.astype(object, copy=False)


def _name_type(array: Array) -> str:
    return type(array[0]).__name__ if array.dtype == object and len(array) else array.dtype.name


def _wrong_type(column: Column, got: str) -> Invalid:
    return Invalid(
        "MODEL-007",
        f"input {column.name!r} is {got}, the model takes {column.datatype}",
        input=column.name,
        wanted=column.datatype,
        got=got,
    )


def _null(column: Column, row: int) -> Invalid:
    return Invalid("MODEL-009", f"input {column.name!r} is null in row {row}", input=column.name, row=row)
