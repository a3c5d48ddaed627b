"""Contracts: what is checked, what is kept, and what is refused."""

from datetime import date, datetime

import polars as pl
import pytest

import mainspring as ms
from mainspring.data.contracts import check_rows
from mainspring.data.declarations import Column, Declaration
from mainspring.errors import Invalid
from mainspring.sdk.contracts import read_contract

when = datetime.fromisoformat


class Order(ms.Contract):
    id: int = ms.Field(key=True)
    price: float = ms.Field(ge=0, lt=1000)
    kind: str = ms.Field(isin=["a", "b"], regex="^[a-z]$")
    at: datetime = ms.Field(event_time=True, ge=when("2020-01-01T00:00:00"))
    note: str | None


ORDER = read_contract(Order)
GOOD = {"id": "1", "price": "2.5", "kind": "a", "at": "2020-01-02T03:04:05Z", "note": None}


def check(*changes, contract=ORDER):
    rows = [{**GOOD, "id": str(number), **change} for number, change in enumerate(changes, 1)]
    return check_rows(pl.DataFrame(rows, infer_schema_length=None), contract)


def test_text_gets_the_types_of_the_contract():
    row = check({}).rows.row(0, named=True)
    assert row == {"id": 1, "price": 2.5, "kind": "a", "at": when("2020-01-02T03:04:05"), "note": None}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": "free"}, "price type"),
        ({"price": None}, "price null"),
        ({"price": "-0.5"}, "price ge 0"),
        ({"price": "1000"}, "price lt 1000"),
        ({"kind": "c"}, "kind isin"),
        ({"kind": "B"}, "kind isin; kind regex"),
        ({"at": "2019-12-31 23:59:59"}, "at ge 2020-01-01T00:00:00"),
        ({"at": "2020-01-01T01:00:00+02:00"}, "at ge 2020-01-01T00:00:00"),
        ({"id": None}, "id null"),
        ({"id": "1"}, "id unique"),
        ({"id": "1.5"}, "id type"),
    ],
)
def test_row_that_breaks_a_check_is_quarantined_as_it_came(change, reason):
    checked = check({}, change)
    assert checked.rows["id"].to_list() == [1]
    assert checked.quarantined["reason"].to_list() == [reason]
    assert checked.quarantined["source_row"].to_list() == [2]
    name, value = next(iter(change.items()))
    assert checked.quarantined[name].to_list() == [value]
    assert sum(checked.reasons.values()) == len(reason.split("; "))


def test_first_good_row_of_a_key_stays():
    checked = check({"id": "7", "price": "-1"}, {"id": "7"}, {"id": "7"})
    assert checked.rows.height == 1
    assert checked.quarantined["reason"].to_list() == ["price ge 0", "id unique"]


def test_key_of_several_columns_is_unique_together():
    class Reading(ms.Contract):
        place: str = ms.Field(key=True)
        hour: int = ms.Field(key=True)

    frame = pl.DataFrame({"place": ["a", "a", "b", "a"], "hour": [1, 2, 1, 1]})
    checked = check_rows(frame, read_contract(Reading))
    assert checked.rows.height == 3
    assert checked.reasons == {"place+hour unique": 1}


def test_key_that_is_in_the_dataset_already_is_quarantined():
    frame = pl.DataFrame([{**GOOD, "id": "1"}, {**GOOD, "id": "2"}], infer_schema_length=None)
    checked = check_rows(frame, ORDER, taken=pl.DataFrame({"id": [2, 3]}))
    assert checked.reasons == {"id already there": 1}
    assert checked.rows["id"].to_list() == [1]


def test_policies_fail_and_warn():
    class Strict(ms.Contract):
        price: float = ms.Field(ge=0, on_fail="fail")

    class Mild(ms.Contract):
        price: float = ms.Field(ge=0, le=9, on_fail={"ge": "warn"})

    frame = pl.DataFrame({"price": [1.0, -1.0, 10.0]})
    with pytest.raises(Invalid, match=r"DATA-009: 1 of 3 rows break 'price ge 0': rows \[2\] hold \[\(-1.0,\)\]"):
        check_rows(frame, read_contract(Strict))
    checked = check_rows(frame, read_contract(Mild))
    assert (checked.warnings, checked.reasons) == ({"price ge 0": 1}, {"price le 9": 1})
    assert checked.rows["price"].to_list() == [1.0, -1.0]


def test_failure_does_not_tell_what_is_private():
    class Secret(ms.Contract):
        wage: int = ms.Field(ge=0, pii=True, on_fail="fail")

    with pytest.raises(Invalid, match=r"rows \[1\] hold what is private") as caught:
        check_rows(pl.DataFrame({"wage": [-4711]}), read_contract(Secret))
    assert "4711" not in str(caught.value)


def test_not_a_number_counts_as_missing():
    class Loose(ms.Contract):
        price: float = ms.Field(ge=0, nullable=True)

    frame = pl.DataFrame({"price": [float("nan"), 1.0]})
    assert check_rows(frame, read_contract(Loose)).rows["price"].to_list() == [None, 1.0]
    assert check_rows(
        pl.DataFrame({"id": [1], "kind": ["a"], "at": ["2020-01-01"], "note": [""], "price": [float("nan")]}), ORDER
    ).reasons == {"price null": 1}


def test_profile_tells_of_the_rows_that_were_kept():
    profile = check({}, {"price": "5000"}, {"price": "9"}).profile
    assert profile["price"] == {"count": 2, "null": 0, "min": 2.5, "max": 9.0}
    assert profile["note"] == {"count": 0, "null": 2}
    assert profile["at"]["max"] == "2020-01-02T03:04:05"


def test_missing_column_is_named_with_the_nearest():
    with pytest.raises(Invalid, match=r"DATA-007: contract Order names column 'price'.*did you mean 'prices'"):
        check_rows(pl.DataFrame([{**GOOD, "prices": 1}]).drop("price"), ORDER)


@pytest.mark.parametrize("values", [["x", "y"], [date(2020, 1, 1)] * 2, [[1], [2]], [True, False]])
def test_column_of_another_type_is_refused(values):
    frame = pl.DataFrame({**{name: [value] * 2 for name, value in GOOD.items()}, "price": values})
    with pytest.raises(Invalid, match=r"DATA-006: column 'price' holds .* where float is wanted"):
        check_rows(frame, ORDER)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"__annotations__": {}}, "has no column"),
        ({"__annotations__": {"a": list}}, "no kind of column"),
        ({"__annotations__": {"a": int}, "a": 3}, "default is ms.Field"),
        ({"__annotations__": {"a": int}, "a": ms.Field(isin=5)}, "isin=5 is no sequence"),
        ({"__annotations__": {"a": str}, "a": ms.Field(isin="EWR")}, "isin='EWR' is no sequence"),
        ({"__annotations__": {"a": int}, "a": ms.Field(isin=[1, "x"])}, "isin='x' is no int"),
        ({"__annotations__": {"a": str}, "a": ms.Field(event_time=True)}, "event_time needs datetime or date"),
        ({"__annotations__": {"a": int}, "a": ms.Field(regex="x")}, "regex needs str"),
        ({"__annotations__": {"a": int}, "a": ms.Field(ge=date(2020, 1, 1))}, "does not compare with int"),
        ({"__annotations__": {"a": int}, "a": ms.Field(on_fail="explode")}, "explode"),
        ({"__annotations__": {"a": int}, "a": ms.Field(on_fail={"big": "warn"})}, "on_fail names the check 'big'"),
        (
            {"__annotations__": {"a": date, "b": date}, "a": ms.Field(event_time=True), "b": ms.Field(event_time=True)},
            "more than one event_time",
        ),
    ],
)
def test_contract_that_cannot_be_read_is_refused_where_it_is_made(body, problem):
    with pytest.raises(Invalid, match=f"DATA-008: .*{problem}"):
        type("Bad", (ms.Contract,), body)


def test_a_pattern_that_is_none_is_refused_before_a_row_is_read():
    broken = type("Bad", (ms.Contract,), {"__annotations__": {"a": str}, "a": ms.Field(regex="(")})
    with pytest.raises(Invalid, match=r"DATA-008: a: the regex '\(' is none: unclosed group"):
        check_rows(pl.DataFrame({"a": ["x"]}), read_contract(broken))


def test_declaration_travels_as_data():
    declared = Order.declaration()
    assert (declared.kind, declared.name) == ("contract", "Order")
    assert read_contract(declared.body) == ORDER


def test_contract_class_loads_no_table_library():
    import subprocess
    import sys

    code = "import sys, mainspring as ms; ms.Contract, ms.write; print({'polars', 'deltalake'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        (Column(name="x", kind="datetime", ge="2015-01-01T01:00:00+01:00"), "2015-01-01", "2014-12-31T23:59:59"),
        (Column(name="x", kind="datetime", lt="2015-01-01T00:00:00Z"), "2014-12-31T23:59:59", "2015-01-01"),
        (
            Column(name="x", kind="datetime", isin=("2015-01-01", "2016-01-01T02:00:00+02:00")),
            "2016-01-01",
            "2017-01-01",
        ),
        (Column(name="x", kind="date", isin=("2015-01-01",)), "2015-01-01", "2015-01-02"),
        (Column(name="x", kind="float", isin=(1, 2.5)), "2.5", "2"),
    ],
)
def test_values_of_a_check_are_read_as_the_columns_kind(column, good, bad):
    checked = check_rows(pl.DataFrame({"x": [good, bad]}), Declaration("C", (column,)))
    assert (checked.rows.height, checked.quarantined["x"].to_list()) == (1, [bad])


def test_a_time_that_is_none_is_refused_wherever_a_check_names_it():
    for check in ({"isin": ("soon",)}, {"ge": "soon"}):
        contract = Declaration("C", (Column(name="x", kind="datetime", **check),))
        with pytest.raises(Invalid, match="DATA-008: x: 'soon'"):
            check_rows(pl.DataFrame({"x": ["2015-01-01"]}), contract)


def test_quarantine_keeps_columns_that_have_its_own_names():
    rows = pl.DataFrame({"x": ["a"], "reason": ["mine"], "reason_given": ["mine, too"]})
    contract = Declaration("C", (Column(name="x", kind="str", isin=("b",)),))
    (kept,) = check_rows(rows, contract).quarantined.rows(named=True)
    assert kept["reason"] == "x isin"
    assert {"mine", "mine, too"} <= set(kept.values())
