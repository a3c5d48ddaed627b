"""Two homes on one database and one bucket: what one writes, the other reads; both write at once."""

import os
import shutil
import subprocess
import sys

import pytest
from tests.support.homes import end_owner

import mainspring as ms
from mainspring.domain.errors import Conflict
from mainspring.domain.messages import ListVersions
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home

APPEND = """
import sys
import mainspring as ms

@ms.step
def halve(value):
    return value / 2

assert halve(42) == 21
for number in range(4):
    ms.write([{"id": f"{sys.argv[1]}-{number}"}], "sales", mode="append")
"""


@pytest.fixture
def blob_place(bucket):
    return bucket


@pytest.fixture
def homes(tmp_path, monkeypatch, database, home):
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    placed = [place_home(tmp_path / name) for name in ("left", "right")]
    yield placed
    for each in placed:
        end_owner(each)


def test_two_homes_share_a_database_and_a_bucket(homes, monkeypatch):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPEND, home.root.name],
            env={**os.environ, "MAINSPRING_HOME": str(home.root), "MAINSPRING_PROGRESS": "0"},
            stderr=subprocess.PIPE,
        )
        for home in homes
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=110)
        assert writer.returncode == 0, errors.decode()
    left, right = (Client(home, start_owner) for home in homes)
    wanted = sorted(f"{name}-{number}" for name in ("left", "right") for number in range(4))
    for home in homes:
        monkeypatch.setenv("MAINSPRING_HOME", str(home.root))
        assert sorted(ms.Dataset("sales").polars()["id"]) == wanted
    versions = left.ask(ListVersions(kind="dataset", name="sales"))
    assert sorted(each.details["rows"] for each in versions) == list(range(1, 9))
    digest = left.blobs.put(b"shared")
    assert right.blobs.get(digest) == b"shared"
    shutil.rmtree(homes[1].cache)
    assert right.blobs.path(digest).read_bytes() == b"shared"
    left.close()
    right.close()


def test_a_home_of_another_database_is_refused_there(homes, postgresql, tmp_path, monkeypatch):
    Client(homes[0], start_owner).blobs.put(b"x")
    monkeypatch.setenv("MAINSPRING_RECORD", postgresql.make_database("stranger"))
    other = place_home(tmp_path / "other")
    with pytest.raises(Conflict, match="BLOB-004"):
        Client(other, start_owner).blobs.put(b"x")
    end_owner(other)
