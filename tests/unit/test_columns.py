"""Reading text as a kind, inferring kinds, and what a table can hold."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from mainspring.data.columns import convert_column, infer_text, make_storable, parse_text
from mainspring.data.digests import digest_rows
from mainspring.errors import Invalid

when = datetime.fromisoformat


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", " 12 ", 12),
        ("int", "12.0", 12),
        ("int", "12.5", None),
        ("int", "9223372036854775807", 9223372036854775807),
        ("float", "1e3", 1000.0),
        ("float", "nan", None),
        ("float", "1,5", None),
        ("bool", "True", True),
        ("bool", "0", False),
        ("bool", "maybe", None),
        ("date", "2020-02-29", date(2020, 2, 29)),
        ("date", " 2020-02-29 ", date(2020, 2, 29)),
        ("datetime", " 2020-01-01 10:00 ", when("2020-01-01T10:00:00")),
        ("date", "2020-02-30", None),
        ("datetime", "2020-01-01T10:00:00Z", when("2020-01-01T10:00:00")),
        ("datetime", "2020-01-01T10:00:00+02:00", when("2020-01-01T08:00:00")),
        ("datetime", "2020-01-01 10:00", when("2020-01-01T10:00:00")),
        ("datetime", "2020-01-01", when("2020-01-01T00:00:00")),
        ("datetime", "2020-01-01 10:00:00.25", when("2020-01-01T10:00:00.250000")),
        ("datetime", "soon", None),
    ],
)
def test_text_is_read_as_its_kind(kind, text, value):
    # Beside a value of another spelling, so that no spelling is chosen for the whole column.
    assert parse_text(pl.Series(["2021-01-01 00:00:00", text]), kind).to_list()[1] == value


@pytest.mark.parametrize(
    ("texts", "dtype"),
    [
        (["1", None, "-2"], pl.Int64),
        (["1", "2.5"], pl.Float64),
        (["true", "FALSE"], pl.Boolean),
        (["2020-01-01"], pl.Date),
        (["2020-01-01", "2020-01-01 10:00:00"], pl.Datetime("us")),
        (["007", "8"], pl.String),
        (["1"] * 300 + ["x"], pl.String),
        ([None, None], pl.String),
        (["yes", "no"], pl.String),
    ],
)
def test_kind_is_inferred_from_all_values(texts, dtype):
    inferred = infer_text(pl.Series(texts, dtype=pl.String))
    assert inferred.dtype == dtype
    assert inferred.null_count() == texts.count(None)


def test_storable_frame_has_utc_times_without_zone_and_plain_types():
    frame = pl.DataFrame(
        {
            "t": [datetime(2020, 1, 1, tzinfo=UTC)],
            "c": pl.Series(["x"], dtype=pl.Categorical),
            "u": pl.Series([1], dtype=pl.UInt64),
            "n": pl.Series([None]),
        }
    ).with_columns(pl.col("t").dt.convert_time_zone("America/New_York"))
    stored = make_storable(frame)
    assert stored.dtypes == [pl.Datetime("us"), pl.String, pl.Int64, pl.String]
    assert stored["t"].to_list() == [when("2020-01-01T00:00:00")]


@pytest.mark.parametrize("series", [pl.Series("x", [timedelta(1)]), pl.Series("x", [2**63], dtype=pl.UInt64)])
def test_type_that_tables_do_not_hold_is_refused(series):
    with pytest.raises(Invalid, match="DATA-011: column 'x'"):
        make_storable(series.to_frame())


def test_digest_sees_values_only():
    values = ["a" * 20, None, "b" * 20]
    times = [when("2020-01-01T00:00:00"), None, when("2020-01-03T00:00:00")]
    plain = pl.DataFrame(
        {"s": values, "t": times, "f": [1.0, None, 3.0], "b": [True, None, False], "l": [[1], None, []]}
    )
    longer = pl.concat([plain.head(1), plain, plain.tail(1)]).filter(pl.int_range(pl.len()).is_between(1, 3))
    assert digest_rows(longer) == digest_rows(plain)
    hidden = pl.DataFrame({"f": [1.0, 2.0, 3.0]}).select(pl.when(pl.col("f") != 2).then("f"))
    assert digest_rows(hidden) == digest_rows(plain.select("f"))
    seen = {digest_rows(plain)}
    for change in (
        plain.rename({"s": "z"}),
        plain.with_columns(pl.col("f").fill_null(0)),
        plain.with_columns(pl.col("s").fill_null("")),
        plain.with_columns(pl.col("f").cast(pl.Float32)),
        plain.reverse(),
        plain.head(2),
    ):
        seen.add(digest_rows(change))
    assert len(seen) == 7
    assert digest_rows(pl.DataFrame({"s": ["ab", "c"]})) != digest_rows(pl.DataFrame({"s": ["a", "bc"]}))


def test_a_number_beyond_the_integers_becomes_missing():
    given = pl.Series("x", [1.0, 1e300, 2.0**63, -(2.0**63)])
    assert convert_column(given, "int").to_list() == [1, None, None, -(2**63)]


def test_digest_of_decimals_is_of_their_values():
    def digest(*texts):
        return digest_rows(pl.DataFrame({"d": [Decimal(text) for text in texts]}))

    assert digest("1.10", "2.00") == digest("1.10", "2.00")
    assert digest("1.10", "2.00") != digest("1.10", "2.01")
