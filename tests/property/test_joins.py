"""Joins in time against a brute force that asks, row by row, what was known."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.data.joins import join_as_of, prepare_readings
from mainspring.errors import Invalid

START = datetime.fromisoformat("2020-01-01T00:00:00")
HOURS = st.one_of(st.none(), st.integers(0, 12))
ENTITIES = st.sampled_from(["a", "b", None])


@st.composite
def histories(draw):
    """Readings that may come late, twice, tied or without times; rows that may have no time."""
    readings = draw(st.lists(st.tuples(ENTITIES, HOURS, st.integers(0, 6), st.integers(0, 99)), max_size=25))
    rows = draw(st.lists(st.tuples(ENTITIES, HOURS), min_size=1, max_size=12))
    ttl_h = draw(st.one_of(st.none(), st.integers(0, 6)))
    return readings, rows, ttl_h


def make_readings(readings, *, late):
    return pl.DataFrame(
        {
            "place": [entity for entity, *_ in readings],
            "event": [None if hour is None else START + timedelta(hours=hour) for _, hour, *_ in readings],
            "known": [
                None if hour is None else START + timedelta(hours=hour + (lag if late else 0))
                for _, hour, lag, _ in readings
            ],
            "value": [value for *_, value in readings],
        },
        schema={"place": pl.String, "event": pl.Datetime("us"), "known": pl.Datetime("us"), "value": pl.Int64},
    )


def make_rows(rows):
    return pl.DataFrame(
        {
            "place": [entity for entity, _ in rows],
            "at": [None if hour is None else START + timedelta(hours=hour) for _, hour in rows],
        },
        schema={"place": pl.String, "at": pl.Datetime("us")},
    )


def ask_each(readings, rows, ttl_h, *, late):
    found = []
    for entity, hour in rows:
        best = None
        for order, (place, event, lag, value) in enumerate(readings):
            if None in {entity, hour, place, event} or place != entity:
                continue
            known = event + (lag if late else 0)
            if known <= hour and (best is None or (event, known, order) > best[:3]):
                best = (event, known, order, value)
        fresh = best is not None and (ttl_h is None or hour - best[0] <= ttl_h)
        found.append(best[3] if fresh else None)
    return found


def join(readings, rows, ttl_h, *, late):
    prepared = prepare_readings(
        make_readings(readings, late=late).drop([] if late else ["known"]),
        ["place"],
        "event",
        "known" if late else None,
    )
    left = make_rows(rows)
    return join_as_of(left, left["at"], ["place"], prepared, None if ttl_h is None else ttl_h * 3600.0)


@settings(deadline=None, max_examples=300)
@given(histories())
def test_newest_known_reading_is_found_with_late_doubled_and_tied_ones(history):
    readings, rows, ttl_h = history
    for late in (True, False):
        found = join(readings, rows, ttl_h, late=late)
        assert found["value"].to_list() == ask_each(readings, rows, ttl_h, late=late)


@settings(deadline=None, max_examples=150)
@given(histories(), st.lists(st.tuples(ENTITIES, st.integers(0, 12), st.integers(0, 6), st.integers(100, 199))))
def test_poison_that_comes_later_leaves_features_identical(history, poison):
    readings, rows, ttl_h = history
    last = max((hour for _, hour in rows if hour is not None), default=0)
    later = [(place, hour + last + 1, lag, value) for place, hour, lag, value in poison]
    late_news = [(place, 0, last + 1 + lag, value) for place, _, lag, value in poison]
    clean = join(readings, rows, ttl_h, late=True)
    assert join([*later, *readings, *late_news], rows, ttl_h, late=True).equals(clean)


def test_two_columns_name_an_entity_and_extra_columns_travel():
    readings = pl.DataFrame(
        {"a": [1, 1, 2], "b": ["x", "y", "x"], "t": [START] * 3, "u": ["p", "q", "r"], "v": [1.0, 2.0, 3.0]}
    )
    rows = pl.DataFrame({"a": [2, 1, 1, 3], "b": ["x", "y", "z", "x"], "t": [START] * 4})
    found = join_as_of(rows, rows["t"], ["a", "b"], prepare_readings(readings, ["a", "b"], "t", None), None)
    assert found.rows() == [("r", 3.0), ("q", 2.0), (None, None), (None, None)]


def test_source_without_readings_gives_missing_features():
    readings = make_readings([], late=False).drop("known")
    rows = make_rows([("a", 1)])
    assert join_as_of(
        rows, rows["at"], ["place"], prepare_readings(readings, ["place"], "event", None), 1.0
    ).rows() == [(None,)]


def test_an_entity_of_another_type_is_named():
    readings = prepare_readings(pl.DataFrame({"place": [1], "event": [START], "value": [2]}), ["place"], "event", None)
    with pytest.raises(Invalid, match="DATA-016: column 'place' holds String where the readings hold Int64"):
        join_as_of(pl.DataFrame({"place": ["x"]}), pl.Series("at", [START]), ["place"], readings, None)
