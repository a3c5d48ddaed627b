"""The disk runs full at every write of a small pipeline: one clear error, nothing torn, and on it goes with room."""

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.support.disks import Disk
from tests.support.executions import execute
from tests.support.homes import OwnerProcess, end_owner
from tests.support.kills import Ledger, Machine
from tests.support.searches import PATHS

import mainspring as ms
from mainspring.domain import messages
from mainspring.domain.errors import MainspringError, Unavailable
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.serving.captures import Captures, Record, read_segments
from mainspring.serving.files import Limits
from mainspring.store.homes import place_home
from mainspring.testing.engines import get, submit, until, wait

EVERY = int(os.environ.get("DISK_EVERY", "0"))


@ms.step
def measure(name: str) -> list[str]:
    for step in range(3):
        ms.log(loss=1 / (step + 1), step=step)
    ms.log(table={"name": name})
    ms.write([{"name": name}], "rows", mode="append")
    return [name] * 100


@ms.pipeline
def small(name: str) -> int:
    return len(measure(name))


def count_rows():
    return Counter(ms.Dataset("rows").polars()["name"].to_list())


@pytest.fixture
def disk(home, monkeypatch):
    monkeypatch.setenv("MAINSPRING_PROGRESS", "0")
    return Disk(home.root, monkeypatch)


def test_full_at_every_write_of_a_script(client, disk):
    """The script's part: blobs, journals, the locks and files of a table; the owner has room."""
    assert small("first") == 100
    disk.fill(10**9)
    assert small("second") == 100
    writes = disk.count
    assert writes > 10
    failures = Counter()
    for room in range(writes):
        name = f"at{room}"
        disk.fill(room)
        error = refuse(name)
        if error is None:
            failures["got by"] += 1  # a file that only spares work may be missing
        else:
            assert (error.code, bool(error.fix)) == ("HOME-006", True), (room, disk.first, error)
            failures[disk.first.partition(" ")[0]] += 1
        disk.fill(None)
        assert small(name) == 100, room
    print(f"{writes} places, {dict(failures)}")
    assert failures["got by"] < writes / 4
    check(client, writes)
    assert not list(client.home.root.glob("blobs/**/.*")), "a draft was left"


def refuse(name):
    """Return the one clear error with which the pipeline ends; None when it does not."""
    try:
        small(name)
    except MainspringError as error:
        return error
    return None


def check(client, writes):
    """Every run has ended as it was told; every row is there, once."""
    runs = client.ask(messages.ListRuns(limit=10_000))
    assert {run.state for run in runs} <= {"succeeded", "failed"}, [run for run in runs if not run.ended_at]
    assert {run.problem.code for run in runs if run.problem} <= {"HOME-006", "RUN-010"}
    for run in runs:
        if run.kind == "step" and run.state == "succeeded":
            assert client.blobs.exists(run.outputs.digest)
            if not run.cached_from:
                assert len(client.ask(messages.GetSeries(run_id=run.id, key="loss"))) == 3
    rows = count_rows()
    assert set(rows) == {"first", "second", *(f"at{room}" for room in range(writes))}
    # A step that fails after its rows were written has written them: it is run again, and writes again.
    assert set(rows.values()) <= {1, 2}


def test_full_at_every_write_of_a_service(tmp_path, monkeypatch):
    """What was not captured is not answered, and comes again under its id; nothing is there twice."""
    disk = Disk(tmp_path, monkeypatch)
    disk.fill(10**9)
    captures, done, refusals = Captures(tmp_path / "capture", "delays", Limits(segment_rows=4)), [], 0
    for room in range(60):
        disk.fill(room % 5)
        batch = [Record(f"r{room}.{at}", 1.0, 1, "late@1", 1, b"request" * 20, b"reply" * 20) for at in range(3)]
        while batch:
            whole = captures.append(batch)
            refusals += whole < len(batch)
            done += [record.id for record in batch[:whole]]
            batch = batch[whole:]
            if batch:
                disk.fill(None)
    disk.fill(None)
    captures.close()
    assert [record.id for found, _ in read_segments(tmp_path / "capture") for record in found] == done
    assert len(set(done)) == 180
    print(f"{refusals} batches cut short")
    assert refusals > 10


SCRIPT = """
import sys
from tests.crash.test_full_disks import small
from mainspring.domain.errors import MainspringError
for name in sys.argv[1:]:
    try:
        small(name)
        print(name, "done", flush=True)
    except MainspringError as error:
        print(name, error.code, flush=True)
"""


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MB; without the right to mount one the test is skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run_script(home, *names):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *names],
        env={**os.environ, "MAINSPRING_HOME": str(home.root), "MAINSPRING_PROGRESS": "0", "PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


def test_a_real_disk_with_less_and_less_room(small_disk, monkeypatch):
    """Owner, script and the table library on a disk with so many pages of 4 kB left.

    ``DISK_EVERY=1`` tries every number of pages up to where there is room enough.
    """
    monkeypatch.setenv("MAINSPRING_HOME", str(small_disk / "home"))
    monkeypatch.setenv("MAINSPRING_IDLE_S", "600")
    home = place_home(small_disk / "home")
    client = Client(home, start_owner)
    ballast = small_disk / "ballast"
    pages = range(0, 400, EVERY) if EVERY else (3, 40, 65, 90)
    told, names = {}, []
    try:
        assert run_script(home, "first") == {"first": "done"}
        for room in pages:
            client.ask(messages.GetStatus())
            fill(ballast, room)
            names = [f"a{room}", f"b{room}"]
            found = run_script(home, *names)
            told |= found
            assert set(found.values()) <= {"done", "HOME-006"}, (room, found)
            with pytest.raises(Unavailable) as caught:
                client.blobs.put(os.urandom(6_000_000))
            assert caught.value.code == "HOME-006"
            assert len(client.ask(messages.ListRuns(limit=10_000))) > 0
            ballast.unlink()
            assert run_script(home, *names) == dict.fromkeys(names, "done"), room
        print(f"{len(pages)} sizes of room, {dict(Counter(told.values()))}")
        end_owner(home)
        rows = count_rows()
        assert set(rows) == {"first", *told}
        assert set(rows.values()) <= {1, 2}
        runs = client.ask(messages.ListRuns(limit=10_000))
        assert all(run.ended_at for run in runs)
        assert "HOME-006" in told.values()
    finally:
        client.close()
        end_owner(home)


def test_a_full_disk_loses_no_worker_that_lives(small_disk, tmp_path, monkeypatch):
    """Nobody's heartbeat can be written for longer than a lease; with room again, they are heard first."""
    monkeypatch.setenv("MAINSPRING_HOME", str(small_disk / "home"))
    home, lease_s = place_home(small_disk / "home"), 4.0
    owner, client = OwnerProcess(home, lease_s=lease_s), Client(home, start=None)
    ledger, go, ballast = Ledger(tmp_path / "ledger"), tmp_path / "go", small_disk / "ballast"
    try:
        run = submit(client, execute, ledger.path, go)
        for _ in until():
            if ledger.read("began"):
                break
        fill(ballast, 0)
        full_until = None
        for _ in until():
            with contextlib.suppress(Unavailable):
                client.ask(messages.BeginRun(kind="step", name="fills", params={"text": "y" * 50_000}))
                continue
            full_until = full_until or time.monotonic() + lease_s + 2
            if time.monotonic() > full_until:
                break
        assert get(client, run).attempt == 1
        ballast.unlink()
        client.ask(messages.BeginRun(kind="step", name="room again"))
        time.sleep(1.0)
        go.touch()
        (ended,) = wait(client, run)
        assert (ended.state, ended.attempt) == ("succeeded", 1), ended.reason
    finally:
        client.close()
        owner.end()
        Machine(home.root).kill_all()


def fill(ballast: Path, pages: int):
    """Take all the room of a disk but for so many pages."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
        file.truncate(max(0, file.tell() // 4096 * 4096 - 4096 * pages))
