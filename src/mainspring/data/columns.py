"""Columns: reading text as a kind, inferring kinds, and what a table can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches

import polars as pl

from mainspring.domain.errors import Invalid

KINDS: dict[str, pl.DataType] = {
    "str": pl.String(),
    "int": pl.Int64(),
    "float": pl.Float64(),
    "bool": pl.Boolean(),
    "datetime": pl.Datetime("us"),
    "date": pl.Date(),
}

_TIMES = (
    "%+",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%:z",
)
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_SAMPLE_ROWS = 200


def parse_text(series: pl.Series, kind: str) -> pl.Series:
    """Read a text column as a kind; what cannot be read becomes missing.

    Parameters
    ----------
    series : polars.Series
        Text.
    kind : str
        A key of `KINDS`. Times are ISO 8601; those with an offset are turned to UTC.

    Returns
    -------
    polars.Series
        Of ``KINDS[kind]``.

    Examples
    --------
    >>> parse_text(pl.Series(["2", "2.0", "2.5", "x"]), "int").to_list()
    [2, 2, None, None]
    """
    return _PARSERS[kind](series)


def infer_text(series: pl.Series) -> pl.Series:
    """Read a text column as the narrowest kind that reads every value.

    Parameters
    ----------
    series : polars.Series
        Text.

    Returns
    -------
    polars.Series
        Integers, else floats, booleans, times, else the text itself; a column without any
        value stays text.
    """
    known = series.drop_nulls()
    if known.is_empty():
        return series
    sample = known.head(_SAMPLE_ROWS)
    for kind in ("int", "float", "bool", "date", "datetime"):
        if _looks_like(sample, kind):
            parsed = parse_text(series, kind)
            if parsed.null_count() == series.null_count():
                return parsed
    return series


def _looks_like(sample: pl.Series, kind: str) -> bool:
    if kind == "bool":
        return set(sample.str.to_lowercase().unique()) <= {"true", "false"}
    if kind in {"int", "float"} and sample.str.contains(r"^[+-]?0[0-9]").any():
        return False  # 007 is a name, not a number
    return parse_text(sample, kind).null_count() == 0


def _parse_integer(series: pl.Series) -> pl.Series:
    text = series.str.strip_chars()
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == series.null_count():
        return whole
    decimal = text.cast(pl.Float64, strict=False)
    exact = (decimal == decimal.floor()) & (decimal.abs() < 2**53)
    frame = pl.DataFrame({"whole": whole, "decimal": decimal, "exact": exact})
    return frame.select(
        pl.coalesce("whole", pl.when("exact").then("decimal").cast(pl.Int64, strict=False)).alias(series.name)
    ).to_series()


def _parse_float(series: pl.Series) -> pl.Series:
    return series.str.strip_chars().cast(pl.Float64, strict=False).fill_nan(None)


def _parse_boolean(series: pl.Series) -> pl.Series:
    return series.str.strip_chars().str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)


def _parse_time(series: pl.Series) -> pl.Series:
    series = series.str.strip_chars()
    found: pl.Series | None = None
    for pattern in _TIMES:
        times = drop_zone(series.str.to_datetime(pattern, strict=False, time_unit="us"))
        found = times if found is None else found.zip_with(found.is_not_null(), times)
        if found.null_count() == series.null_count():
            break
    assert found is not None
    return found


def _parse_date(series: pl.Series) -> pl.Series:
    return series.str.strip_chars().str.to_date("%Y-%m-%d", strict=False)


_PARSERS: dict[str, Callable[[pl.Series], pl.Series]] = {
    "str": lambda series: series,
    "int": _parse_integer,
    "float": _parse_float,
    "bool": _parse_boolean,
    "datetime": _parse_time,
    "date": _parse_date,
}


def drop_zone(series: pl.Series) -> pl.Series:
    """Turn a time column to UTC in microseconds without a zone."""
    zone = getattr(series.dtype, "time_zone", None)
    if zone is not None:
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return series.cast(pl.Datetime("us"))


def convert_column(series: pl.Series, kind: str, *, private: bool = False) -> pl.Series:
    """Turn a column to a kind; single values that do not fit become missing.

    Parameters
    ----------
    series : polars.Series
        Of any type.
    kind : str
        A key of `KINDS`.
    private : bool
        Whether an error may not show a value.

    Returns
    -------
    polars.Series
        Of ``KINDS[kind]``; NaN becomes missing.

    Raises
    ------
    Invalid
        DATA-006 when the types do not go together, or when not one value can be read.
    """
    dtype = series.dtype
    if dtype == pl.Null:
        return series.cast(KINDS[kind])
    if dtype.base_type() in {pl.Categorical, pl.Enum}:
        series, dtype = series.cast(pl.String), pl.String()
    if dtype == pl.String:
        converted = parse_text(series, kind)
    elif not _goes_together(dtype, kind):
        raise _refuse(series, kind, private=private)
    elif kind == "datetime":
        converted = drop_zone(series)
    elif kind == "int" and dtype.is_float():
        whole = series.is_finite() & (series == series.floor())
        converted = (
            series.to_frame().select(pl.when(whole).then(pl.col(series.name)).cast(pl.Int64, strict=False)).to_series()
        )
    else:
        converted = series if dtype == KINDS[kind] else series.cast(KINDS[kind], strict=False)
    if kind == "float" and converted.is_nan().any():
        converted = converted.fill_nan(None)
    known = series.len() - series.null_count()
    if known and converted.null_count() == series.len() and not (dtype.is_float() and series.is_nan().all()):
        raise _refuse(series, kind, private=private)
    return converted


def _goes_together(dtype: pl.DataType, kind: str) -> bool:
    if kind in {"int", "float"}:
        return dtype.is_numeric()
    if kind == "datetime":
        return dtype.base_type() in {pl.Datetime, pl.Date}
    return dtype == KINDS[kind]


def _refuse(series: pl.Series, kind: str, *, private: bool) -> Invalid:
    example = "" if private else f", as in {next(iter(series.drop_nulls().head(1).to_list()), None)!r},"
    return Invalid(
        "DATA-006",
        f"column {series.name!r} holds {series.dtype}{example} where {kind} is wanted",
        column=series.name,
        wanted=kind,
        got=str(series.dtype),
    )


def make_storable(frame: pl.DataFrame) -> pl.DataFrame:
    """Give a frame the types that a table holds.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows.

    Returns
    -------
    polars.DataFrame
        Times in UTC microseconds without zone, categories as text, unsigned integers as
        signed ones, columns without type as text.

    Raises
    ------
    Invalid
        DATA-011 for a type that tables do not hold.
    """
    changed = [_store(series) for series in frame.iter_columns()]
    return pl.DataFrame(changed) if changed else frame


_WIDER: dict[type[pl.DataType], type[pl.DataType]] = {
    pl.UInt8: pl.Int16,
    pl.UInt16: pl.Int32,
    pl.UInt32: pl.Int64,
    pl.UInt64: pl.Int64,
}


def _store(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype == pl.Datetime:
        return drop_zone(series)
    if dtype.base_type() in {pl.Categorical, pl.Enum, pl.Null}:
        return series.cast(pl.String)
    wider = _WIDER.get(dtype.base_type())
    if wider is not None:
        try:
            return series.cast(wider)
        except pl.exceptions.InvalidOperationError:
            raise Invalid("DATA-011", f"column {series.name!r} holds integers above 2^63", column=series.name) from None
    if dtype.base_type() in {pl.Duration, pl.Time, pl.Object, pl.Int128}:
        raise Invalid("DATA-011", f"column {series.name!r} holds {dtype}", column=series.name, type=str(dtype))
    return series


def require_columns(wanted: Iterable[str], present: Iterable[str], *, what: str, code: str = "DATA-005") -> None:
    """Refuse when a column is not there, naming the nearest one that is.

    Parameters
    ----------
    wanted, present : iterable of str
        Names.
    what : str
        Who wants them, for the error: ``key``, ``contract Orders``.
    code : str
        The error's code.

    Raises
    ------
    Invalid
        The code, for the first column that is missing.
    """
    names = list(present)
    for name in wanted:
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            shown = ", ".join(names[:20])
            raise Invalid(
                code,
                f"{what} names column {name!r}, and the rows have {shown}{hint}",
                column=name,
                columns=names,
            )
