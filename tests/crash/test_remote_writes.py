"""Rows from another machine, with workers, servers and owners killed on the way: there once, in one version."""

import subprocess
import sys
import time

import pytest
from tests.support.homes import end_owner
from tests.support.laptops import Laptop
from tests.support.servers import UpProcess

import mainspring as ms
from mainspring.domain import messages

SCRIPT = """
import sys
import mainspring as ms

print(ms.write([{"id": int(text)} for text in sys.argv[1].split(",")], "sales", mode="append").reference)
"""


@pytest.fixture
def crash(request, tmp_path):
    """Where one of the home's processes is killed; empty: nowhere."""
    point = getattr(request, "param", "")
    return f"{point}:1:{tmp_path / 'killed'}" if point else ""


@pytest.fixture
def laptop(home, crash, request, tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSPRING_CRASH", crash)
    client = request.getfixturevalue("client")
    made = Laptop(client, tmp_path / "laptop", monkeypatch)
    monkeypatch.setenv("MAINSPRING_CRASH", "")
    yield made
    made.end()


def start_writer(ids):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, ids], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def check(laptop, ids):
    laptop.forget()
    sales = ms.Dataset("sales")
    assert sorted(sales.polars()["id"]) == ids
    versions = laptop.home_client.ask(messages.ListVersions(kind="dataset", name="sales"), project="air")
    assert len({each.details["write"] for each in versions}) == len(versions)


@pytest.mark.parametrize("crash", ["table.before_commit", "table.committed", "worker.ran"], indirect=True)
def test_a_worker_that_is_killed_is_followed_by_one_that_finds_its_commit(laptop, tmp_path):
    writer = start_writer("1,2")
    told, error = writer.communicate(timeout=100)
    assert told == "sales@1\n", error
    assert (tmp_path / "killed").exists()
    check(laptop, [1, 2])


def test_a_server_and_an_owner_killed_on_the_way(laptop, home):
    writers = [start_writer(f"{number},{number + 10}") for number in range(3)]
    for _ in range(2):
        time.sleep(0.7)
        laptop.server.kill()
        end_owner(home)
        laptop.server = UpProcess(port=laptop.server.port, MAINSPRING_HOME=str(home.root), MAINSPRING_URL="")
    told = [writer.communicate(timeout=100) for writer in writers]
    assert sorted(out for out, _ in told) == ["sales@1\n", "sales@2\n", "sales@3\n"], told
    check(laptop, [0, 1, 2, 10, 11, 12])


def test_a_writer_that_is_killed_leaves_all_of_its_rows_or_none(laptop):
    writer = start_writer("1")
    time.sleep(0.5)
    writer.kill()
    writer.communicate(timeout=20)
    again = start_writer("1")
    told, error = again.communicate(timeout=100)
    # What was handed in before the kill is committed without its writer; a script that is run again appends again.
    assert told in {"sales@1\n", "sales@2\n"}, error
    check(laptop, [1] * int(told.removeprefix("sales@")))
