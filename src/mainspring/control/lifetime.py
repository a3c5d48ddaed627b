"""The owner of a home, from the lock to the last reply."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import random
import socket
import time
from typing import IO

from mainspring.control import usecases
from mainspring.control.claims import claim_blobs
from mainspring.control.commits import GroupCommit
from mainspring.control.server import Server
from mainspring.control.turn import Turn
from mainspring.domain import messages
from mainspring.domain.errors import Conflict, Unavailable
from mainspring.domain.home import Home
from mainspring.store.blobs import open_blobs
from mainspring.store.files import write_faults
from mainspring.store.homes import make_folders
from mainspring.store.places import forget_password, read_place
from mainspring.store.schema import open_record
from mainspring.store.tables import LOCAL

_log = logging.getLogger(__name__)

IDLE_S = 60.0
"""Seconds without client, live run, service or trigger after which an owner ends."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return seconds since 1970 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class SystemRandomness:
    """The machine's randomness."""

    def __init__(self) -> None:
        self._source = random.SystemRandom()

    def bits(self, count: int) -> int:
        """Return random bits."""
        return self._source.getrandbits(count)


class Owner:
    """Owns a home from the lock to the last reply.

    Parameters
    ----------
    home : Home
        The home to own.
    idle_s : float, default IDLE_S
        Seconds without work after which `run` returns; 0 or less: never.
    patience_s : float, default 0
        Seconds to wait for the lock of an owner that is about to end.

    Raises
    ------
    MainspringError
        HOME-002 when another process owns the home, HOME-003, HOME-006, HOME-007, HOME-008 or
        HOME-016 when its record cannot be opened; BLOB-001 to BLOB-008 when the object store of
        its blobs cannot be claimed.
    """

    def __init__(self, home: Home, idle_s: float = IDLE_S, patience_s: float = 0.0) -> None:
        self.home = home
        self._idle_s = idle_s
        make_folders(home)
        with write_faults(home.state):
            self._lock = _take_lock(home, patience_s)
        try:
            self._engine = open_record(home)
        except BaseException:
            self._lock.close()
            raise
        try:
            forget_password()
            place = read_place(home.root)
            blobs = open_blobs(home)
            node = LOCAL if place is None else place.node
            self.commits = GroupCommit(self._engine, home, blobs, SystemClock(), SystemRandomness(), node)
            claim_blobs(self.commits, home, blobs)
        except BaseException:
            self._engine.dispose()
            self._lock.close()
            raise
        self._end: asyncio.Event | None = None

    async def run(self, ready: asyncio.Event | None = None) -> None:
        """Adopt what a dead owner left, answer until idle or stopped, close the record.

        Parameters
        ----------
        ready : Event, optional
            Set when the socket answers.
        """
        self._end = asyncio.Event()
        usecases.HANDLERS[messages.Stop] = self._stop
        usecases.ASKED[messages.Stop] = "home.stop"
        self.commits.adopt()
        server = Server(self.home, self.commits, usecases.LOOPS)
        try:
            await server.start()
            if ready is not None:
                ready.set()
            await self._serve(server)
        finally:
            await server.stop()
            for let_go in usecases.ENDINGS:
                let_go(self.home)
            self.commits.close()
            self._engine.dispose()
            self._lock.close()

    def end(self) -> None:
        """Have `run` return."""
        if self._end is not None:
            self._end.set()

    async def _serve(self, server: Server) -> None:
        assert self._end is not None
        idle_since = time.monotonic()
        while True:
            try:
                await asyncio.wait_for(self._end.wait(), min(1.0, self._idle_s / 4) if self._idle_s > 0 else 1.0)
                _log.info("stopped")
                return
            except TimeoutError:
                pass
            if self.commits.outdated:
                _log.info("a newer release has migrated the record")
                return
            if not self._has_home():
                _log.info("the home was removed")
                return
            if self._idle_s <= 0 or server.connections or self._held():
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > self._idle_s:
                _log.info("idle for %.0f s", self._idle_s)
                return

    def _has_home(self) -> bool:
        """Tell whether the home is still the one that was locked."""
        try:
            return self.home.lock.stat().st_ino == os.fstat(self._lock.fileno()).st_ino
        except OSError:
            return False

    def _held(self) -> str | None:
        reasons: list[str] = []

        def ask(turn: Turn) -> None:
            reasons.extend(filter(None, (hold(turn) for hold in usecases.HOLDS)))

        try:
            self.commits.call(ask)
        except Unavailable as fault:
            return fault.what  # nobody knows what there is to do
        return reasons[0] if reasons else None

    def _stop(self, turn: Turn, command: messages.Stop) -> messages.Nothing:  # noqa: ARG002
        loop = asyncio.get_running_loop()
        turn.after_commit(lambda: loop.call_later(0.02, self.end))
        return messages.Nothing()


def _take_lock(home: Home, patience_s: float) -> IO[str]:
    file = home.lock.open("a+")
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() < deadline and not _answers(home):
                time.sleep(0.01)
                continue
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise Conflict("HOME-002", f"process {holder} owns {home.root}", home=str(home.root)) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _answers(home: Home) -> bool:
    """Tell whether an owner listens: one that does is not about to let go of its lock."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(home.socket)) == 0
