"""Joins in time: what was known of an entity at a moment, and nothing that came later."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from mainspring.data.columns import drop_zone
from mainspring.domain.errors import Invalid

_ENTITY, _AVAILABLE, _EVENT, _PLACE, _ROW, _TIME = (f"\x00{name}" for name in "eavprt")
_SECOND = 1_000_000


class Readings(NamedTuple):
    """Readings made ready for many joins.

    Attributes
    ----------
    features : polars.DataFrame
        One row for each reading.
    known : polars.DataFrame
        Readings that were the newest known ones at some moment: entity, when each became
        available, when it happened, and its place in `features`; in order of availability.
    """

    features: pl.DataFrame
    known: pl.DataFrame


def prepare_readings(frame: pl.DataFrame, entity: list[str], event: str, available: str | None) -> Readings:
    """Order readings by when they became available and drop those that were never the newest.

    Parameters
    ----------
    frame : polars.DataFrame
        Readings with their features.
    entity : list of str
        Columns that name what a reading is about.
    event : str
        When a reading happened.
    available : str, optional
        When it became known; by default when it happened.

    Returns
    -------
    Readings
        Without readings whose entity or times are missing.

    Notes
    -----
    Of the readings known at a moment the one that happened last counts; of two that happened at
    one time the one that became known last, then the one that comes last in the frame. A reading
    that arrives after a newer one is therefore never seen: per entity and in order of availability
    only those stay whose event time is the largest so far.
    """
    by = [f"{_ENTITY}{place}" for place in range(len(entity))]
    times = pl.DataFrame(
        [
            *(frame[name].alias(alias) for name, alias in zip(entity, by, strict=True)),
            _to_time(frame[available or event]).alias(_AVAILABLE),
            _to_time(frame[event]).alias(_EVENT),
        ]
    )
    known = times.with_row_index(_PLACE).drop_nulls()
    if available is None or available == event:
        newest = known.sort(_AVAILABLE, maintain_order=True)
    else:
        newest = known.sort(_AVAILABLE, _EVENT, maintain_order=True).filter(
            pl.col(_EVENT) >= pl.col(_EVENT).cum_max().over(by)
        )
    return Readings(frame.drop(*entity, event, *([available] if available else [])), newest)


def join_as_of(
    rows: pl.DataFrame, at: pl.Series, entity: list[str], readings: Readings, ttl_s: float | None
) -> pl.DataFrame:
    """Find for each row the newest reading that was known at its time.

    Parameters
    ----------
    rows : polars.DataFrame
        With the columns of `entity`.
    at : polars.Series
        The time of each row; a missing one finds nothing.
    entity : list of str
        Columns that name what a row is about, in the order of the readings' own.
    readings : Readings
        From `prepare_readings`.
    ttl_s : float, optional
        Greatest age of a reading in seconds, counted from when it happened; inclusive.

    Returns
    -------
    polars.DataFrame
        The features, a row for each row and in its order; missing where nothing was known.

    Raises
    ------
    Invalid
        DATA-016 when `at` is no time, or an entity's values cannot be those of the readings.

    Notes
    -----
    Guarantees: a reading that became available after a row's time does not touch its features.
    """
    by = [name for name in readings.known.columns if name.startswith(_ENTITY)]
    keys = [_fit_key(rows[name], readings.known.schema[alias], alias) for name, alias in zip(entity, by, strict=True)]
    left = pl.DataFrame([*keys, _to_time(at).alias(_TIME)]).with_row_index(_ROW)
    found = (
        left.filter(pl.col(_TIME).is_not_null())
        .sort(_TIME)
        .join_asof(
            readings.known,
            left_on=_TIME,
            right_on=_AVAILABLE,
            by=by,
            strategy="backward",
            check_sortedness=False,
        )
    )
    place = pl.col(_PLACE)
    if ttl_s is not None:
        old = (pl.col(_TIME) - pl.col(_EVENT)) > pl.duration(microseconds=round(ttl_s * _SECOND))
        place = pl.when(~old).then(place)
    places = left.select(_ROW).join(found.select(_ROW, place.alias(_PLACE)), on=_ROW, how="left", maintain_order="left")
    return readings.features.select(pl.all().gather(places[_PLACE]))


def _fit_key(series: pl.Series, dtype: pl.DataType, alias: str) -> pl.Series:
    try:
        return series.cast(dtype).alias(alias)
    except pl.exceptions.InvalidOperationError:
        what = f"column {series.name!r} holds {series.dtype} where the readings hold {dtype}"
        raise Invalid("DATA-016", what, column=series.name) from None


def _to_time(series: pl.Series) -> pl.Series:
    if series.dtype.base_type() not in {pl.Datetime, pl.Date}:
        raise Invalid("DATA-016", f"column {series.name!r} holds {series.dtype}, which is no time", column=series.name)
    return drop_zone(series)
