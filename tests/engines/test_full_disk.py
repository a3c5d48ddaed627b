"""The disk of an owner has no room for its k-th write, for every k: one clear error, nothing torn, and on it goes.

A small library, loaded ahead of the C library, counts and refuses what SQLite and the owner itself write.
"""

import contextlib
import mmap
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.support.homes import OwnerProcess
from tests.support.kills import Machine

from mainspring.domain import access, messages
from mainspring.domain.errors import Unavailable
from mainspring.domain.lists import read_all
from mainspring.sdk.client import Client
from mainspring.store.homes import place_home

pytestmark = pytest.mark.engines

SOURCE = Path(__file__).with_name("full_disk.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")
EVERY = int(os.environ.get("DISK_EVERY", "0"))
PAYLOAD = "x" * 40_000
"""Ten pages, so that the log of the record is carried over again and again."""


class Disk:
    """What the library counts, and how much room it leaves."""

    def __init__(self, folder: Path):
        self.library, self._path = folder / "full_disk.so", folder / "control"
        command = [COMPILER, "-shared", "-fPIC", "-O1", "-o", self.library, SOURCE, "-ldl"]
        subprocess.run(command, check=True)
        self._path.write_bytes(struct.pack("3q", -1, 0, 0))
        with self._path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 24)

    def environment(self, folder: Path) -> dict[str, str]:
        self._shared[16:24] = bytes(8)  # the next process that begins is the one that counts
        return {
            "LD_PRELOAD": str(self.library),
            "FULL_DISK_CONTROL": str(self._path),
            "FULL_DISK_FOLDER": str(folder),
        }

    @property
    def count(self) -> int:
        return struct.unpack_from("q", self._shared, 8)[0]

    def leave(self, room: int | None) -> int:
        """Leave room for so many writes more, None: for all; return how many were made."""
        self._shared[:8] = struct.pack("q", -1 if room is None else self.count + room)
        return self.count


@pytest.fixture
def disk(tmp_path):
    if COMPILER is None:
        assert os.environ.get("ENGINES") != "all", "no C compiler is installed"
        pytest.skip("no C compiler")
    return Disk(tmp_path)


class Work:
    """Some writes of every kind, each under a key of its own; what was acknowledged is kept."""

    def __init__(self, client: Client):
        self.client = client
        self.done: dict[str, object] = {}
        self.refused: Counter[str] = Counter()

    def ask(self, key: str, command: object) -> object:
        if key not in self.done:
            self.done[key] = self.client.ask(command, key=key)
        return self.done[key]

    def do(self, name: str) -> None:
        begun = self.ask(f"{name} begin", messages.BeginRun(kind="step", name=name, params={"text": PAYLOAD}))
        points = [("loss", step, 1.0, float(step)) for step in range(20)]
        report = messages.Report(run_id=begun.run.id, attempt=1, fence=1, points=points, offset=20)
        self.ask(f"{name} report", report)
        manifest = {"model.bin": self.client.blobs.put(name.encode())}
        self.ask(f"{name} model", messages.PutVersion("model", "late", f"{abs(hash(name)):064x}", manifest))
        self.ask(f"{name} secret", access.AddSecret(name=name.replace(" ", "_"), value=PAYLOAD[:100]))
        self.ask(f"{name} end", messages.FinishRun(run_id=begun.run.id, attempt=1, fence=1, state="succeeded"))

    def try_to(self, name: str) -> bool:
        """Do it; False when the owner has refused a part with the one clear error."""
        try:
            self.do(name)
        except Unavailable as error:
            self.refused[f"{error.code} {bool(error.fix)}"] += 1
            return False
        return True


def check(work: Work, names: list[str]) -> None:
    """What was acknowledged is there, once, and nothing else."""
    runs = [*read_all(work.client.ask, messages.ListRuns(limit=500))]
    assert Counter(run.name for run in runs) == dict.fromkeys(names, 1)
    assert {run.state for run in runs} == {"succeeded"}
    assert {run.id for run in runs} == {work.done[f"{name} begin"].run.id for name in names}
    for run in runs:
        assert len(work.client.ask(messages.GetSeries(run_id=run.id, key="loss"))) == 20
    versions = work.client.ask(messages.ListVersions(kind="model", name="late", limit=10_000))
    assert len(versions) == len(names)
    assert sorted(version.number for version in versions) == list(range(1, len(names) + 1))
    assert len(work.client.ask(access.ListSecrets(limit=10_000))) == len(names)


def test_full_at_every_write_of_an_owner(tmp_path, disk, monkeypatch):
    monkeypatch.setenv("MAINSPRING_IDLE_S", "600")
    home = place_home(tmp_path / "home")
    owner, client = OwnerProcess(home, **disk.environment(home.root)), Client(home, start=None)
    work, names = Work(client), ["first", "second"]
    try:
        work.do("first")
        before = disk.leave(None)
        work.do("second")
        writes = disk.count - before
        assert writes > 20
        for room in range(writes):
            names.append(f"at {room}")
            disk.leave(room)
            work.try_to(names[-1])
            with contextlib.suppress(Unavailable):
                client.ask(messages.GetStatus())  # it still answers, or says what keeps it
            disk.leave(None)
            work.do(names[-1])
            assert owner.process.poll() is None, f"the owner ended at write {room}"
        print(f"{writes} places, {work.refused.total()} refusals, {disk.count} writes in all")
        assert work.refused.keys() == {"HOME-006 True"}
        assert work.refused.total() > writes / 2
        check(work, names)
        owner.kill()
        owner = OwnerProcess(home)
        check(work, names)
    finally:
        client.close()
        owner.end()
        Machine(home.root).kill_all()
    with sqlite3.connect(home.metadata) as record:
        assert record.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    record.close()


def begin(home, disk, room):
    """Start an owner with so much room; return what it told its starter, and the writes that it made."""
    environment = disk.environment(home.root)
    before = disk.leave(room)
    owner = OwnerProcess(home, **environment)
    writes = disk.count - before
    disk.leave(None)
    owner.end()
    return owner.line.strip(), writes


def test_full_at_writes_of_an_owner_that_begins(tmp_path, disk, monkeypatch):
    """A first start is refused with one clear error, and the next one works; ``DISK_EVERY=1`` tries every write."""
    monkeypatch.setenv("MAINSPRING_IDLE_S", "600")
    line, writes = begin(place_home(tmp_path / "first"), disk, None)
    assert line == "{}"
    told = Counter()
    rooms = [*range(0, writes, EVERY or max(1, writes // 10))]
    for room in rooms:
        home = place_home(tmp_path / f"home{room}")
        line, _ = begin(home, disk, room)
        told["refused" if '"HOME-006"' in line else line] += 1
        owner, client = OwnerProcess(home), Client(home, start=None)
        try:
            assert client.ask(messages.BeginRun(kind="step", name="after")).run.state == "running"
        finally:
            client.close()
            owner.end()
    print(f"{len(rooms)} of {writes} places: {dict(told)}")
    assert told.keys() <= {"refused", "{}"}  # what is written last only spares work
    assert told["refused"] > 0.8 * len(rooms)


def test_the_library_counts(tmp_path, disk):
    folder = tmp_path / "counted"
    folder.mkdir()
    code = f"import os\nfor n in range(3):\n    open({str(folder)!r} + f'/{{os.getpid()}}-{{n}}', 'wb', 0).write(b'a')"
    command = [sys.executable, "-c", code]
    subprocess.run(command, env={**os.environ, **disk.environment(folder)}, check=True)
    assert disk.count == 6
    environment = {**os.environ, **disk.environment(folder)}
    disk.leave(3)
    failed = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert "No space left" in failed.stderr
    assert len(list(folder.iterdir())) == 3 + 2
