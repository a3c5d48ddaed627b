"""The same program at a server: values of steps, artifacts and models travel, checked and claimed."""

import os
import re
import secrets
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.laptops import Laptop
from tests.support.stores import BUCKET

import mainspring as ms
from mainspring.domain import messages
from mainspring.domain.errors import Denied, Invalid, NotFound
from mainspring.sdk import client as clients
from mainspring.sdk.client import Client, get_client
from mainspring.sdk.remoteblobs import RemoteBlobs
from mainspring.tracking.codecs import load_value


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
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    made = Laptop(client, tmp_path / "laptop", monkeypatch, role="approver")
    yield made
    made.end()


def list_hits(pipeline="work"):
    """Return which steps of the latest run of the pipeline were answered by earlier ones."""
    top = ms.runs(f"name = '{pipeline}'")[0]
    return {each.name: each.cached_from is not None for each in get_client().ask(messages.ListRuns(parent_id=top.id))}


def test_a_pipeline_runs_and_is_answered_from_what_it_stored(laptop, tmp_path):
    first = work()
    assert list_hits() == {"make": False, "fit": False, "keep": False, "wrap": False}
    run = get_client().ask(messages.ListRuns(name="wrap"))[0]
    assert run.metrics == {"loss": 0.5}
    logged = ms.Run(run.id).artifacts
    assert set(logged) == {"table", "notes"}
    laptop.forget()
    for path in tmp_path.glob("scratch/*/notes.txt"):
        path.unlink()
    assert work() == first
    assert list_hits() == {"make": True, "fit": True, "keep": True, "wrap": True}
    assert not (laptop.folder / "record.db").exists()


def test_what_was_stored_at_home_answers_here(laptop, client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("MAINSPRING_URL", "")
        patch.setenv("MAINSPRING_HOME", str(client.home.root))
        made = make(7)
    assert get_client().ask(messages.ListRuns(name="make"))[0].principal != "user:anna"
    here = make(7)
    assert [each.tolist() for each in here.values()] == [each.tolist() for each in made.values()]
    assert get_client().ask(messages.ListRuns(name="make"))[0].cached_from is not None


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


def test_the_program_of_the_guide_runs(laptop, client, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "guide" / "remote.md").read_text("utf-8")
    (program,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "@ms.pipeline" in each)
    script = tmp_path / "program.py"
    script.write_text(program)
    for hits in (False, True):
        done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=110)
        assert done.stdout.endswith("lateness@1 [0, 1]\n"), done.stdout + done.stderr
        assert list_hits("learn") == {"ingest": hits, "train": hits}
    promoted = ms.promote("lateness@1", "champion", data=ms.write(ROWS, "unseen"))
    assert promoted
    model = ms.Model("lateness@champion")
    assert model.load().n_iter_ == 20
    here = Client(client.home, project="air")
    assert here.ask(messages.GetVersion(kind="model", reference="lateness@champion")).number == 1
    assert {name: path.read_bytes() for name, path in model.files.items()} == {
        name: here.blobs.get(digest) for name, digest in model.version.manifest.items()
    }
    here.close()


@ms.step
def double(number):
    return 2 * number


def test_what_the_homes_machine_would_run_is_refused(laptop):
    for attempt in (
        lambda: double.submit(3),
        lambda: double.map([1, 2]),
        lambda: double.options(cpus=2)(3),
        lambda: ms.tune(double, {"number": ms.between(0, 1)}, budget=ms.Budget(trials=1), metric="loss"),
        lambda: ms.register(Odd(1), "odd", example=[{"x": 1.0}], allow_code=True),
        lambda: list(get_client().blobs.list()),
    ):
        with pytest.raises(Invalid) as caught:
            attempt()
        assert caught.value.code == "API-018", attempt
        assert "on the machine of the home" in caught.value.fix
    assert get_client().ask(messages.ListRuns(kind="trial")) == []


def test_nobody_unpickles_what_another_has_pickled(laptop, client, tmp_path):
    value = wrap(fit(make(10)))
    here = Client(client.home, project="air")
    (run,) = here.ask(messages.ListRuns(name="wrap"))
    with pytest.raises(Denied, match="HOME-012"):
        load_value(run.outputs, here.blobs, here.seal)
    laptop.monkeypatch.setenv("MAINSPRING_HOME", str(tmp_path / "another"))
    laptop.monkeypatch.setattr(clients, "_clients", {})
    assert wrap(fit(make(10))).value == value.value
    assert not here.ask(messages.ListRuns(name="wrap"))[0].cached_from
    here.close()


def test_another_project_reads_none_of_it(laptop):
    orders = ms.write(ROWS, "orders")
    digest = get_client().blobs.put(b"x" * 300_000)
    laptop.work(laptop.add("ben", "editor", "rail"), "rail")
    ben = get_client()
    with pytest.raises(NotFound, match="DATA-002"):
        ms.Dataset("orders@1").polars()
    with pytest.raises(NotFound, match="DATA-002"):
        ben.tables.open_scan(orders.version, ben.data_keys.open).polars()
    laptop.forget()
    with pytest.raises(NotFound, match="HOME-013"):
        ben.blobs.get(digest)
    assert not ben.blobs.exists(digest)


def test_a_viewer_reads_and_writes_nothing(laptop):
    ms.write(ROWS, "orders")
    laptop.work(laptop.add("vera", "viewer", "air"), "air")
    assert ms.Dataset("orders").polars().height == len(ROWS)
    for attempt in (lambda: ms.write(ROWS[:1], "orders"), lambda: get_client().blobs.put(b"x"), lambda: double(1)):
        with pytest.raises(Denied, match="AUTH-005"):
            attempt()


class TestHomeInAnObjectStore:
    """The home's blobs and tables lie in a bucket; the laptop knows neither its address nor its keys."""

    @pytest.fixture
    def blob_place(self, bucket):
        return bucket

    def test_values_and_rows_travel(self, laptop, monkeypatch):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("MAINSPRING_BLOBS", "")
        signed = []
        follow = RemoteBlobs._follow
        monkeypatch.setattr(RemoteBlobs, "_follow", lambda self, url, keep: note(follow(self, url, keep)))

        def note(answer):
            signed.append(answer.status)
            return answer

        first = work()
        ms.write(ROWS[:4], "orders", contract=Orders)
        orders = ms.write(ROWS[4:], "orders", mode="append")
        laptop.forget()
        assert work() == first
        assert list_hits() == {"make": True, "fit": True, "keep": True, "wrap": True}
        assert sorted(orders.polars()["id"]) == list(range(8))
        assert set(signed) == {200}, "blobs come from the store itself, by addresses that it has signed"
        laptop.forget()
        monkeypatch.setattr(RemoteBlobs, "_follow", lambda self, url, keep: follow(self, spoil(url), keep))
        assert work() == first, "a store that is out of reach is no matter"


class TestHomeInGoogleStorage:
    """The same there; its imitation signs no addresses and holds no tables, so values travel through the server."""

    @pytest.fixture
    def blob_place(self, google_storage, monkeypatch):
        for name, value in google_storage.environment().items():
            monkeypatch.setenv(name, value)
        return f"gs://{BUCKET}/{secrets.token_hex(8)}"

    def test_values_travel(self, laptop, monkeypatch):
        travel(laptop, monkeypatch, "GOOGLE_")


def travel(laptop, monkeypatch, prefix):
    """Values go there and come back, to a laptop that has neither the store's address nor its keys."""
    for name in [name for name in os.environ if name.startswith(prefix)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MAINSPRING_BLOBS", "")
    first = work()
    large = get_client().blobs.put(b"large" * 2_000_000)
    laptop.forget()
    assert work() == first
    assert list_hits() == {"make": True, "fit": True, "keep": True, "wrap": True}
    assert b"".join(get_client().blobs.stream(large)) == b"large" * 2_000_000
    with pytest.raises(NotFound, match="HOME-013"):
        get_client().blobs.get("0" * 64)


def spoil(url):
    """Return the same address at a port where nothing listens."""
    return urlsplit(url)._replace(netloc="127.0.0.1:1").geturl()
