"""Writes and splits that are refused: one clear error each, and the record stays as it was."""

from datetime import datetime, timedelta

import polars as pl
import pytest

import mainspring as ms
from mainspring.domain.messages import ListVersions, Stop
from mainspring.errors import Conflict, Invalid
from mainspring.sdk.client import connect_home
from mainspring.store.homes import place_home

START = datetime.fromisoformat("2020-01-01T00:00:00")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """One home for all cases, for none of them may leave anything in it."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("refused") / "home"
        patch.setenv("MAINSPRING_HOME", str(root))
        made = connect_home(place_home(root))
        ms.write(make_sales(1, 2).with_columns(gap=pl.Series([1, None])), "sales")
        ms.Dataset("sales").split("id", at=2)
        yield made
        made.ask(Stop())


class Sale(ms.Contract):
    id: int = ms.Field(key=True)
    price: float = ms.Field(ge=0)
    at: datetime = ms.Field(event_time=True)


def make_sales(*ids, price=1.0, days=0, **more):
    frame = pl.DataFrame(
        {
            "id": list(ids),
            "price": [price] * len(ids),
            "at": [START + timedelta(days=days + place) for place in range(len(ids))],
            "shop": [f"s{number % 2}" for number in ids],
        }
    )
    return frame.with_columns(**more)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"name": "sales@1"}, "DATA-001"),
        ({"name": "../sales"}, "DATA-001"),
        ({"name": ["sales"]}, "DATA-001: list is no name of a dataset"),
        ({"mode": "replace"}, "DATA-010: mode 'replace' is none of overwrite, append, upsert"),
        ({"mode": "upsert"}, "DATA-010: an upsert into sales without key="),
        ({"mode": "upsert", "key": "idd"}, "DATA-005: key names column 'idd'.*did you mean 'id'"),
        ({"mode": "upsert", "key": "shop"}, "DATA-010: 1 rows repeat a shop"),
        ({"rows": make_sales(3, gap=1).drop("shop"), "mode": "append"}, "DATA-005: the dataset names column 'shop'"),
        ({"rows": make_sales(3, gap=1).with_columns(x=1), "mode": "append"}, "DATA-005: .*'x'"),
        (
            {"rows": make_sales(3, gap=1).with_columns(shop=1), "mode": "append"},
            "DATA-006: column 'shop' holds Int32 where the dataset holds String",
        ),
        ({"rows": make_sales(3, gap=1).with_columns(id=pl.lit(0.5)), "mode": "append"}, "DATA-006: column 'id'"),
        ({"rows": {"a": 1}}, "DATA-010: dict holds no rows"),
        ({"rows": []}, "DATA-004: the rows have no column"),
        ({"rows": make_sales(1).drop("price"), "contract": Sale}, "DATA-007: contract Sale names column 'price'"),
        ({"rows": make_sales(1).with_columns(d=pl.duration(days=1))}, "DATA-011: column 'd'"),
        ({"contract": int}, "DATA-008"),
        ({"name": "sales.past"}, "DATA-010: sales.past is a part of sales"),
        (
            {"rows": make_sales(3, 5, price=-1.0, gap=1).drop("gap"), "mode": "append", "contract": Sale},
            "DATA-005: the dataset names column 'gap'",
        ),
    ],
)
def test_refused_write_leaves_no_version(client, given, code):
    before = client.ask(ListVersions(kind="dataset"))
    arguments = {"rows": make_sales(2, 4), "name": "sales", **given}
    with pytest.raises(Invalid, match=code):
        ms.write(arguments.pop("rows"), arguments.pop("name"), **arguments)
    assert client.ask(ListVersions(kind="dataset")) == before


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"last": "1d"}, "DATA-015: .* has no event time"),
        ({"by": "when", "last": "1d"}, "DATA-005: split names column 'when'"),
        ({"by": "at"}, "DATA-015: a split by at with neither"),
        ({"by": "at", "last": "1d", "at": 3}, "DATA-015: a split by at with both"),
        ({"by": "shop", "last": 1}, "DATA-015: shop holds String"),
        ({"by": "gap", "last": 1}, "DATA-015: 1 of 2 rows have no gap"),
        ({"by": "at", "last": "400d"}, "DATA-015: the past part"),
        ({"by": "at", "at": "2030-01-01"}, "DATA-015: the recent part"),
        ({"by": "at", "at": "soon"}, "DATA-015: at='soon'"),
        ({"by": "at", "last": "1 month"}, "RUN-003"),
    ],
)
def test_split_that_cannot_be_is_refused(client, given, code):
    before = client.ask(ListVersions(kind="dataset"))
    with pytest.raises(Invalid, match=code):
        ms.Dataset("sales").split(**given)
    assert client.ask(ListVersions(kind="dataset")) == before


def test_a_run_does_not_wait_for_itself(client):
    with ms.start_run("fit") as run, pytest.raises(Conflict, match=r"RUN-002: run .* would wait for itself"):
        run.result()
    assert run.wait().state == "succeeded"


def log_in_a_run(what):
    with ms.start_run("fit"):
        ms.log(what)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: ms.Dataset(5), "DATA-001: 5 is not a reference"),
        (lambda: ms.Model(None), "DATA-001: None is not a reference"),
        (lambda: ms.deploy("delays", 2), "DATA-001: 2 is not a reference"),
        (lambda: ms.Cron(5), "TRIGGER-001: 5 is no text"),
        (lambda: ms.Env(5), "ENV-001: packages=5 is no list"),
        (lambda: ms.apply(5), "STEP-004: 5 is no pipeline, gate, monitor, view or contract"),
        (lambda: ms.start_run(params=5), "STEP-009: params=5 is no mapping"),
        (lambda: ms.start_run(tags="a"), "STEP-009: tags='a' is no mapping"),
        (lambda: log_in_a_run("loss"), "STEP-009: 'loss' has no name"),
    ],
)
def test_what_is_of_another_kind_is_one_clear_error(client, act, told):
    with pytest.raises(Invalid, match=told):
        act()
