"""Features by functions over frames, and the proof that they do not look ahead."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from mainspring.data.columns import drop_zone, make_storable, require_columns
from mainspring.data.joins import Readings, join_as_of, prepare_readings
from mainspring.domain.errors import Invalid

Function = Callable[[pl.LazyFrame], pl.LazyFrame | pl.DataFrame]
_SAMPLES = 3


class Timing(NamedTuple):
    """How the readings of a source meet rows.

    Attributes
    ----------
    entity : list of str
        Columns that name what rows and readings are about.
    event : str
        When a reading happened.
    available : str or None
        When it became known; None: when it happened.
    ttl_s : float or None
        Greatest age, in seconds.
    """

    entity: list[str]
    event: str
    available: str | None
    ttl_s: float | None


def compute_rows(name: str, function: Function, rows: pl.DataFrame) -> pl.DataFrame:
    """Compute features from the rows themselves.

    Raises
    ------
    Invalid
        DATA-016 when the function does not give one row of features for each row.
    """
    features = _call(name, function, rows.lazy())
    if features.height != rows.height:
        raise Invalid("DATA-016", f"view {name} gives {features.height:,} rows of features for {rows.height:,} rows")
    return features


def prove_rows(name: str, function: Function, rows: pl.DataFrame, features: pl.DataFrame) -> None:
    """Compute sampled rows alone and compare.

    Raises
    ------
    Invalid
        DATA-017 when a row's features depend on the rows beside it.
    """
    for place in _sample(rows.height):
        alone = compute_rows(name, function, rows.slice(place, 1))
        column = _find_difference(features.slice(place, 1), alone)
        if column:
            raise Invalid("DATA-017", f"{name}.{column} of row {place + 1} is another when it is computed alone")


def read_features(name: str, function: Function, readings: pl.LazyFrame, timing: Timing) -> Readings:
    """Compute the features of a source's readings and make them ready to be joined.

    Raises
    ------
    Invalid
        DATA-016 when the function leaves out the entity or a time.
    """
    frame = _call(name, function, readings)
    wanted = [*timing.entity, timing.event, *([timing.available] if timing.available else [])]
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        shown = ", ".join(frame.columns)
        raise Invalid("DATA-016", f"view {name} gives {shown}, without {missing[0]}", column=missing[0])
    return prepare_readings(frame, timing.entity, timing.event, timing.available)


def join_features(name: str, rows: pl.DataFrame, at: pl.Series, readings: Readings, timing: Timing) -> pl.DataFrame:
    """Return the features of each row as they were known at its time."""
    require_columns(timing.entity, rows.columns, what=f"view {name}")
    return join_as_of(rows, at, timing.entity, readings, timing.ttl_s)


def prove_readings(
    name: str, function: Function, readings: pl.LazyFrame, timing: Timing, rows: pl.DataFrame, at: pl.Series,
    features: pl.DataFrame,
) -> None:  # fmt: skip
    """Take all later readings away from sampled rows and compare.

    Raises
    ------
    Invalid
        DATA-017 when a row's features change.

    Notes
    -----
    Only where the source itself has the column that tells when a reading became known: a view
    that computes it is not proved.
    """
    border = timing.available or timing.event
    if border not in readings.collect_schema():
        return
    order = at.arg_sort().filter(at.sort().is_not_null())
    for place in (order[position] for position in _sample(order.len())):
        seen = readings.filter(pl.col(border) <= at[place])
        known = read_features(name, function, seen, timing)
        alone = join_features(name, rows.slice(place, 1), at.slice(place, 1), known, timing)
        column = _find_difference(features.slice(place, 1), alone)
        if column:
            raise Invalid(
                "DATA-017", f"{name}.{column} of row {place + 1} is another without the readings after {at[place]}"
            )


def find_times(rows: pl.DataFrame, at: object) -> pl.Series:
    """Return the time of each row: a column by its name, or one moment for all.

    Raises
    ------
    Invalid
        DATA-005 when the column is not there, DATA-016 when nothing tells the time.
    """
    if at is None:
        raise Invalid(
            "DATA-016",
            "nothing tells the time of the rows",
            fix="mark a column of the contract with event_time=True, or give at='column'",
        )
    if isinstance(at, str):
        require_columns([at], rows.columns, what="at")
        return rows[at]
    moment = drop_zone(pl.Series("at", [at]))
    return moment.new_from_index(0, rows.height)


def add_features(name: str, rows: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """Put features beside the rows.

    Raises
    ------
    Invalid
        DATA-016 when a feature has the name of a column.
    """
    both = [column for column in features.columns if column in rows.columns]
    if both:
        raise Invalid("DATA-016", f"view {name} gives {both[0]!r}, which the rows have already", column=both[0])
    return rows.hstack(features)


def _call(name: str, function: Function, frame: pl.LazyFrame) -> pl.DataFrame:
    made = function(frame)
    if isinstance(made, pl.LazyFrame):
        made = made.collect()
    if not isinstance(made, pl.DataFrame):
        raise Invalid("DATA-016", f"view {name} gives {type(made).__name__} where a Polars frame is wanted")
    return make_storable(made)


def _sample(count: int) -> list[int]:
    """Return places spread over a count, the same each time."""
    return sorted({count * part // (_SAMPLES + 1) for part in range(1, _SAMPLES + 1)}) if count else []


def _find_difference(first: pl.DataFrame, second: pl.DataFrame) -> str:
    """Return the name of a column that differs; the last digits of a float do not count."""
    if first.columns != second.columns:
        return ", ".join(sorted({*first.columns} ^ {*second.columns})) or second.columns[0]
    for name in first.columns:
        one, two = first[name], second[name]
        same = one.eq_missing(two)
        if one.dtype.is_float() and two.dtype.is_float():
            same |= ((one - two).abs() <= 1e-9 * one.abs()).fill_null(value=False)
        if not same.all():
            return name
    return ""
