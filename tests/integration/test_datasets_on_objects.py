"""Datasets in an object store: the same versions, scans and splits, several writers, no secrets anywhere."""

import os
import signal
import subprocess
import sys
import threading
import time
import traceback

import polars as pl
import pytest
from tests.support.homes import end_owner
from tests.support.stores import SECRET, spoil

import mainspring as ms
from mainspring.data.places import place_table
from mainspring.data.tables import LostRace, Table
from mainspring.domain.messages import ListVersions
from mainspring.errors import Conflict, Denied, Unavailable
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home

pytestmark = pytest.mark.usefixtures("client")

APPEND = """
import contextlib, sys
import mainspring as ms
import mainspring.data.tables as tables

# Homes on other machines do not see this one's lock.
tables.hold_table = lambda place, wait_s=0: contextlib.nullcontext()
for number in range(int(sys.argv[2])):
    ms.write([{"id": f"{sys.argv[1]}-{number}"}], "sales", mode="append")
"""


@pytest.fixture
def blob_place(bucket):
    return bucket


def make_sales(start, count):
    return pl.DataFrame(
        {"id": range(start, start + count), "day": [float(each) for each in range(start, start + count)]}
    )


def run_script(script, **environment):
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "MAINSPRING_PROGRESS": "0", **environment},
        check=False,
        timeout=100,
        capture_output=True,
        text=True,
    )


def test_versions_scans_splits_and_joins_work_as_in_a_folder(client):
    ms.write(make_sales(0, 50), "sales", key="id")
    ms.write(make_sales(50, 50), "sales", mode="append")
    ms.write(make_sales(90, 20).with_columns(pl.col("day") * 2), "sales", mode="upsert", key="id")
    assert [ms.Dataset(f"sales@{number}").rows for number in (1, 2, 3)] == [50, 100, 110]
    assert ms.Dataset("sales@2").polars().equals(make_sales(0, 100))
    past, recent = ms.Dataset("sales@2").split(by="day", last=10)
    assert (past.polars().height, recent.polars()["id"].min()) == (past.rows, 89)
    scan = recent.scan()
    assert all(file.startswith(client.home.blob_store + "/tables/sales/") for file in scan.files)
    assert ms.Dataset("sales").head(2)["id"].to_list() == [0, 1]
    assert list(client.home.root.rglob("*.parquet")) == []


def test_writers_of_several_homes_lose_no_row(client):
    environment = {**os.environ, "MAINSPRING_PROGRESS": "0"}
    writers = [
        subprocess.Popen([sys.executable, "-c", APPEND, f"w{number}", "5"], env=environment, stderr=subprocess.PIPE)
        for number in range(3)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=100)
        assert writer.returncode == 0, errors.decode()
    wanted = sorted(f"w{writer}-{number}" for writer in range(3) for number in range(5))
    assert sorted(ms.Dataset("sales").polars()["id"]) == wanted
    versions = client.ask(ListVersions(kind="dataset", name="sales"))
    assert len(versions) == 15
    assert sorted(each.details["rows"] for each in versions) == list(range(1, 16))


def test_a_commit_on_an_old_state_is_refused(client):
    ms.write(make_sales(0, 1), "sales")
    place = place_table(client.home, "sales")
    left, right = Table(place), Table(place)
    left.commit(make_sales(1, 1), append=True, note={}, app=None, private=[])
    for append in (True, False):
        with pytest.raises(LostRace, match="DATA-013"):
            right.commit(make_sales(2, 1), append=append, note={}, app=None, private=[])
    assert Table(place).version == left.version


def test_a_writer_killed_between_its_files_and_its_commit_leaves_nothing_visible(seaweedfs, client):
    ms.write(make_sales(0, 3), "sales")
    committing = threading.Event()

    def hold(handler):
        if handler.command == "PUT" and "_delta_log" in handler.path:
            committing.set()
            time.sleep(5)
            return True
        return False

    front = spoil(seaweedfs.endpoint, hold)
    script = "import mainspring as ms; ms.write([{'id': 3, 'day': 3.0}], 'sales', mode='append')"
    writer = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "AWS_ENDPOINT_URL": front.url, "MAINSPRING_PROGRESS": "0"},
    )
    assert committing.wait(60)
    writer.send_signal(signal.SIGKILL)
    writer.wait(30)
    front.end()
    assert ms.Dataset("sales").reference == "sales@1"
    assert Table(place_table(client.home, "sales")).version == 0
    done = run_script(script)
    assert done.returncode == 0, done.stderr
    assert ms.Dataset("sales").reference == "sales@2"
    assert ms.Dataset("sales").polars().equals(make_sales(0, 4))


def test_a_commit_whose_answer_is_lost_is_found_and_not_made_twice(seaweedfs, client):
    ms.write(make_sales(0, 3), "sales")
    lost = []

    def lose_one(handler):
        if handler.command != "PUT" or "_delta_log" not in handler.path or lost:
            return False
        lost.append(handler.path)
        handler.forward(handler.command, handler.path, handler.take_body())
        handler.close_connection = True
        return True

    front = spoil(seaweedfs.endpoint, lose_one)
    script = "import mainspring as ms; ms.write([{'id': 3, 'day': 3.0}, {'id': 4, 'day': 4.0}], 'sales', mode='append')"
    done = run_script(script, AWS_ENDPOINT_URL=front.url)
    front.end()
    assert done.returncode == 0, done.stderr
    assert lost
    assert ms.Dataset("sales").polars().equals(make_sales(0, 5))
    assert len(client.ask(ListVersions(kind="dataset", name="sales"))) == 2


def test_two_records_on_one_place_are_refused(client, tmp_path, monkeypatch):
    ms.write(make_sales(0, 3), "sales")
    monkeypatch.setenv("MAINSPRING_HOME", str(tmp_path / "other"))
    other = Client(place_home(tmp_path / "other"), start_owner)
    for _ in range(2):
        with pytest.raises(Conflict, match="BLOB-004"):
            other.blobs.put(b"x")
    end_owner(other.home)
    monkeypatch.setenv("MAINSPRING_BLOBS", client.home.blob_store + "-own")
    mine = Client(place_home(tmp_path / "other"), start_owner)
    assert mine.blobs.get(mine.blobs.put(b"x")) == b"x"
    mine.close()
    end_owner(mine.home)


def test_a_home_keeps_the_place_of_its_first_use(client, monkeypatch, tmp_path):
    client.blobs.put(b"x")
    assert client.home.choices.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("MAINSPRING_BLOBS", "s3://elsewhere/x")
    with pytest.raises(Conflict, match="BLOB-003"):
        place_home(client.home.root)
    monkeypatch.delenv("MAINSPRING_BLOBS")
    assert place_home(client.home.root) == client.home
    (tmp_path / "old" / "blobs").mkdir(parents=True)  # as an earlier release left it
    assert place_home(tmp_path / "old").blob_store == ""
    monkeypatch.setenv("MAINSPRING_BLOBS", "s3://elsewhere/x")
    with pytest.raises(Conflict, match="BLOB-003"):
        place_home(tmp_path / "old")


def test_no_secret_is_in_an_answer_log_record_or_file(client, seaweedfs, monkeypatch):
    @ms.step
    def double(value):
        return value * 2

    assert double(21) == 42
    dataset = ms.write(make_sales(0, 3), "sales")
    shown = [repr(client.blobs), repr(dataset.scan()), repr(client.home), repr(dataset.version)]
    for name, value in seaweedfs.environment("reader").items():
        monkeypatch.setenv(name, value)
    faults = [(lambda: ms.write(make_sales(9, 1), "sales"), Denied)]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    faults.append((dataset.polars, Unavailable))
    for call, kind in faults:
        with pytest.raises((kind, Unavailable)) as caught:
            call()
        assert caught.value.code.startswith("BLOB-")
        shown.append("".join(traceback.format_exception(caught.value)))
    assert not [text for text in shown if SECRET in text]
    found = [path for path in client.home.root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert found == []
