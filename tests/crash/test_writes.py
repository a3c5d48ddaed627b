"""A writer killed at its crash points: repeated, its rows are there once, in one version."""

import os
import signal
import subprocess
import sys

import polars as pl
import pytest

import mainspring as ms
from mainspring.domain.messages import ListVersions
from mainspring.sdk.commits import finish_commits

pytestmark = pytest.mark.usefixtures("client")

SCRIPT = """
import sys
import mainspring as ms

class Sale(ms.Contract):
    id: int = ms.Field(key=True)
    price: float = ms.Field(ge=0)

mode, ids = sys.argv[1], [int(text) for text in sys.argv[2].split(",")]
rows = [{"id": number, "price": float(number)} for number in ids]
print(ms.write(rows, "sales", contract=Sale, mode=mode).reference)
"""


@pytest.fixture
def blob_place(request):
    return request.getfixturevalue("bucket") if getattr(request, "param", "") == "bucket" else ""


def run_writer(mode, ids, crash=""):
    environment = {**os.environ, "MAINSPRING_CRASH": crash}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, mode, ids],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read_ids(name):
    return ms.Dataset(name).polars()["id"].to_list()


# The first passage commits the quarantine, the second the rows.
@pytest.mark.parametrize("passage", [1, 2])
@pytest.mark.parametrize("point", ["table.before_commit", "table.committed"])
@pytest.mark.parametrize(
    ("mode", "blob_place"),
    [("overwrite", "folder"), ("append", "folder"), ("upsert", "folder"), ("append", "bucket")],
    indirect=["blob_place"],
)
def test_repeated_writer_writes_once(client, mode, point, passage):
    assert run_writer(mode, "1,2").returncode == 0
    killed = run_writer(mode, "3,-4", f"{point}:{passage}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if point == "table.committed" and passage == 2:
        assert ms.Dataset("sales").reference == "sales@1"  # the record has not heard of it
    again = run_writer(mode, "3,-4")
    assert again.stdout == "sales@2\n", again.stderr
    assert read_ids("sales") == ([3] if mode == "overwrite" else [1, 2, 3])
    assert read_ids("sales.quarantine") == ["-4"]
    assert ms.Dataset("sales").quarantined().height == 1
    assert len(client.ask(ListVersions(kind="dataset", name="sales"))) == 2
    assert len(client.ask(ListVersions(kind="dataset", name="sales.quarantine"))) == 1


def test_next_writer_finishes_what_a_dead_one_committed():
    assert run_writer("append", "1").returncode == 0
    assert run_writer("append", "2", "table.committed:1").returncode == -signal.SIGKILL
    assert run_writer("append", "3").stdout == "sales@3\n"
    assert [read_ids(f"sales@{number}") for number in (1, 2, 3)] == [[1], [1, 2], [1, 2, 3]]
    assert ms.Dataset("sales").version.details["rows"] == 3


@pytest.mark.parametrize("blob_place", ["folder", "bucket"], indirect=True)
def test_first_commit_of_all_is_found_again():
    assert run_writer("append", "1", "table.committed:1").returncode == -signal.SIGKILL
    assert run_writer("append", "1").stdout == "sales@1\n"
    assert read_ids("sales") == [1]


def test_dead_writer_is_finished_without_a_new_one(client):
    assert run_writer("append", "1", "table.committed:1").returncode == -signal.SIGKILL
    assert finish_commits(client, "sales").reference == "sales@1"
    assert finish_commits(client, "sales").reference == "sales@1"
    assert read_ids("sales") == [1]


@pytest.mark.parametrize("blob_place", ["folder", "bucket"], indirect=True)
def test_writers_that_race_lose_no_row():
    environment = {**os.environ, "MAINSPRING_CRASH": ""}
    writers = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, "append", str(number)], env=environment, stdout=subprocess.PIPE)
        for number in range(1, 5)
    ]
    printed = sorted(writer.communicate(timeout=60)[0].decode().strip() for writer in writers)
    assert printed == [f"sales@{number}" for number in range(1, 5)]
    frame = ms.Dataset("sales").polars()
    assert sorted(frame["id"].to_list()) == [1, 2, 3, 4]
    assert frame.schema == {"id": pl.Int64, "price": pl.Float64}
