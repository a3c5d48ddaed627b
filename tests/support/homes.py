"""A record without a process, a real owner process, and the end of owners that clients started."""

import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import text

from mainspring.control import owner as owner_module
from mainspring.control.commits import GroupCommit
from mainspring.control.processes import process_start
from mainspring.security.seals import project_seal
from mainspring.store.blobs import FolderBlobs
from mainspring.store.engine import open_engine
from mainspring.store.files import LocalFileSystem
from mainspring.store.homes import make_folders, make_private, place_home
from mainspring.store.schema import open_record


class ManualClock:
    """Time that moves only when a test moves it."""

    def __init__(self, now=1_800_000_000.0):
        self.time = now
        self.steady = 1000.0

    def now(self):
        return self.time

    def monotonic(self):
        return self.steady

    def sleep(self, seconds):
        self.advance(seconds)

    def advance(self, seconds):
        self.time += seconds
        self.steady += seconds


class SeededRandomness:
    """The same bits in every run of a test."""

    def __init__(self, seed=20260101):
        self._source = random.Random(seed)

    def bits(self, count):
        return self._source.getrandbits(count)


class Desk(GroupCommit):
    """The use cases over a real record, without process and wire; `desk.ask(command)` answers."""

    def __init__(self, home, node="local"):
        for name in owner_module.USE_CASES:
            importlib.import_module(name)
        make_folders(home)
        self.home = home
        self.files = LocalFileSystem()
        self.blobs = FolderBlobs(home.blobs, self.files)
        self.clock = ManualClock()
        self.engine = open_record(home)
        super().__init__(self.engine, home, self.blobs, self.clock, SeededRandomness(), node)

    def close(self):
        super().close()
        self.engine.dispose()


SHORT_LEASES = """
import sys
from mainspring.compute.adapters import forklink
from mainspring.control import leases
leases.LEASE_S = float(sys.argv.pop(1))
forklink.STOPPED_S = float(sys.argv.pop(1))
from mainspring.control.owner import main
sys.exit(main())
"""


class OwnerProcess:
    """A real owner of a home, as a child of the test; with `lease_s` runs are lost after so short a silence.

    A fork server that stands still is then killed after `stopped_s`.
    """

    def __init__(self, home, *, lease_s=None, stopped_s=600.0, **environment):
        short = ["-c", SHORT_LEASES, str(lease_s), str(stopped_s)]
        program = ["-m", "mainspring.control.owner"] if lease_s is None else short
        command = [sys.executable, *program, "--home", str(home.root)]
        self.home = home
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **environment}, text=True
        )
        self.line = self.process.stdout.readline()

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)

    def end(self):
        """Ask it to end as an administrator would; return its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.process.returncode


def end_owner(home):
    """Kill the owner that a client started, by the process id in its lock, and wait until it is gone."""
    if not home.lock.exists():
        return
    text = home.lock.read_text()
    if not text or not is_owner(int(text), home):
        return
    start = process_start(int(text))
    os.kill(int(text), signal.SIGKILL)
    while start is not None and process_start(int(text)) == start:
        time.sleep(0.005)


def is_owner(pid, home):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except FileNotFoundError:
        return False
    return b"mainspring.control.owner" in words and str(home.root).encode() in words


def place_twins(folder, names="ab"):
    """Return two homes that share blobs, tables and the project's key, as two machines share a bucket.

    The record that they share is named by ``MAINSPRING_RECORD``.
    """
    homes = []
    for name in names:
        root = folder / name
        root.mkdir(mode=0o700)
        for shared in ("blobs", "tables"):
            (folder / shared).mkdir(exist_ok=True)
            (root / shared).symlink_to(folder / shared)
        homes.append(place_home(root))
    project_seal(homes[0])
    for home in homes[1:]:
        make_private(home.project_key.parent)
        shutil.copy(homes[0].project_key, home.project_key)
    return homes


def lapse(home, node):
    """Let time pass for what a node held."""
    engine = open_engine(home)
    with engine.begin() as connection:
        connection.execute(text("UPDATE leases SET expires_at = 0 WHERE holder LIKE :holder"), {"holder": f"{node}%"})
    engine.dispose()
