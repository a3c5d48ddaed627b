"""Every row given is written or quarantined, exactly once, whatever it holds."""

import math

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.data.contracts import check_rows
from mainspring.data.declarations import Column, Declaration

CONTRACT = Declaration(
    "Any",
    (
        Column(name="id", kind="int", key=True),
        Column(name="part", kind="str", key=True, regex="^[a-c]$"),
        Column(name="price", kind="float", ge=0, lt=10, nullable=True),
        Column(name="grade", kind="str", isin=("x", "y"), unique=True, on_fail={"isin": "warn"}),
    ),
)
TEXTS = st.one_of(st.none(), st.sampled_from(["1", "2", "3", "a", "b", "x", "y", "-1", "9.5", "10", "nan", "NaN", ""]))
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=20)


def make_frame(rows):
    # The first row reads as every type, so that no column is refused as a whole.
    columns = list(zip(("1", "a", "1", "x"), *rows, strict=True))
    return pl.DataFrame(
        {name: list(column) for name, column in zip(("id", "part", "price", "grade"), columns, strict=True)}
    )


@settings(deadline=None, max_examples=300)
@given(ROWS)
def test_rows_are_written_or_quarantined(rows):
    frame = make_frame(rows)
    checked = check_rows(frame, CONTRACT)
    assert checked.rows.height + checked.quarantined.height == frame.height
    places = checked.quarantined["source_row"].to_list()
    assert len(set(places)) == len(places)
    for place, *values in checked.quarantined.drop("reason").rows():
        assert tuple(values) == frame.row(place - 1)
    assert all(checked.quarantined["reason"].str.len_bytes() > 0)
    labels = {label for text in checked.quarantined["reason"] for label in text.split("; ")}
    assert labels == set(checked.reasons)
    counted = sum(len(text.split("; ")) for text in checked.quarantined["reason"])
    assert counted == sum(checked.reasons.values())


@settings(deadline=None, max_examples=300)
@given(ROWS)
def test_written_rows_keep_the_contract(rows):
    checked = check_rows(make_frame(rows), CONTRACT)
    seen = set()
    for number, part, price, grade in checked.rows.rows():
        assert number is not None
        assert part in {"a", "b", "c"}
        assert price is None or (0 <= price < 10 and not math.isnan(price))
        assert grade is not None
        assert (number, part) not in seen
        seen.add((number, part))
    grades = checked.rows["grade"].to_list()
    assert len(set(grades)) == len(grades)
    assert checked.warnings.get("grade isin", 0) >= sum(grade not in {"x", "y"} for grade in grades)
    again = check_rows(checked.rows, CONTRACT)
    assert again.rows.equals(checked.rows)
    assert again.quarantined.is_empty()


@settings(deadline=None, max_examples=100)
@given(ROWS)
def test_profile_counts_the_written_rows(rows):
    checked = check_rows(make_frame(rows), CONTRACT)
    for name, facts in checked.profile.items():
        column = checked.rows[name]
        assert facts["count"] == column.len() - column.null_count()
        assert facts["null"] == column.null_count()
    assert checked.profile["price"]["max"] == checked.rows["price"].max()
