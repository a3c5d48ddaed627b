"""The same program at a server: values of steps, artifacts and models travel, checked and claimed."""

import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from tests.support.laptops import Laptop

import mainspring as ms
from mainspring.domain import messages
from mainspring.sdk.client import Client, get_client


@dataclass
class Fitted:
    weights: object
    name: str


class Odd:
    """Has no safe format of its own, so it is pickled."""

    def __init__(self, value):
        self.value = value


@ms.step
def make(size):
    import numpy as np

    return {"x": np.arange(size), "y": np.ones(size)}


@ms.step
def fit(columns):
    return Fitted(columns["x"].sum() + columns["y"], "line")


@ms.step
def keep(fitted):
    folder = Path(tempfile.mkdtemp())
    (folder / "notes.txt").write_text(fitted.name)
    return folder


@ms.step
def wrap(fitted):
    ms.log(loss=0.5, table=fitted.weights, notes="all is well")
    return Odd(float(fitted.weights.sum()))


@ms.pipeline
def work():
    fitted = fit(make(10))
    folder = keep(fitted)
    return wrap(fitted).value + len((folder / "notes.txt").read_text())


@pytest.fixture
def laptop(client, tmp_path, monkeypatch):
    made = Laptop(client, tmp_path / "laptop", monkeypatch)
    yield made
    made.end()


def list_hits(pipeline="work"):
    """Return which steps of the latest run of the pipeline were answered by earlier ones."""
    top = ms.runs(f"name = '{pipeline}'")[0]
    return {each.name: each.cached_from is not None for each in get_client().ask(messages.ListRuns(parent_id=top.id))}


def test_a_pipeline_runs_and_is_answered_from_what_it_stored(laptop):
    first = work()
    assert list_hits() == {"make": False, "fit": False, "keep": False, "wrap": False}
    run = get_client().ask(messages.ListRuns(name="wrap"))[0]
    assert run.metrics == {"loss": 0.5}
    logged = ms.Run(run.id).artifacts
    assert set(logged) == {"table", "notes"}
    laptop.forget()
    for path in Path(tempfile.gettempdir()).glob("*/notes.txt"):
        path.unlink()
    assert work() == first
    assert list_hits() == {"make": True, "fit": True, "keep": True, "wrap": True}
    assert not (laptop.folder / "record.db").exists()


ROWS = [{"id": number, "amount": number * 1.5, "day": date(2026, 11, 1 + number)} for number in range(8)]


class Orders(ms.Contract):
    id: int = ms.Field(key=True)
    amount: float = ms.Field(ge=0)


def test_rows_are_written_and_read_as_at_home(laptop, client):
    first = ms.write(ROWS[:4], "orders", contract=Orders)
    assert (first.reference, first.rows) == ("orders@1", 4)
    assert ms.write(ROWS[:4], "orders", contract=Orders).reference == "orders@1"
    added = ms.write([*ROWS[4:6], {**ROWS[6], "amount": -1.0}], "orders", mode="append")
    assert (added.reference, added.rows) == ("orders@2", 6)
    changed = ms.write([{**ROWS[0], "amount": 9.0}], "orders", mode="upsert")
    assert changed.reference == "orders@3"
    assert added.quarantined()["id"].to_list() == ["6"]
    laptop.forget()
    assert sorted(changed.polars()["amount"]) == sorted([9.0, *(each["amount"] for each in ROWS[1:6])])
    past, recent = changed.split(by="day", at="2026-11-04")
    assert (past.polars().height, recent.polars().height) == (3, 3)
    local = Client(client.home, project="air")
    assert local.ask(messages.GetVersion(kind="dataset", reference="orders")).reference == "orders@3"
    assert local.tables.open_scan(changed.version, local.data_keys.open).polars().equals(changed.polars())
    local.close()
