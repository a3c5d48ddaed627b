"""The life of a plane: load, answer, report, drain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import uvicorn

from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.records import Problem
from mainspring.domain.wire import describe
from mainspring.serving.app import App
from mainspring.serving.captures import Captures
from mainspring.serving.core import Core
from mainspring.serving.files import CAPTURE, DESIRED, LOCK, Desired, Status, read_desired, write_status
from mainspring.serving.loading import load_revision

_POLL_S = 0.05
_STATUS_S = 0.1
_ORPHAN_S = 2.0


class Plane:
    """One service in this process.

    Parameters
    ----------
    folder : Path
        The service's folder; `desired.json` must be there.
    listener : socket
        Bound and not yet listening.
    held : int
        Descriptor of the folder's locked file.

    Raises
    ------
    MainspringError
        SERVE-014 when captures cannot be written, SERVE-021 when the desired state cannot be read.
    """

    def __init__(self, folder: Path, desired: Desired, listener: socket.socket, held: int) -> None:
        self.folder = folder
        self._inode = os.fstat(held).st_ino
        self._listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        captures = Captures(folder / CAPTURE, desired.service, desired.limits)
        self.core = Core(captures, Desired(0, desired.service, limits=desired.limits), self._mark)
        self.app = App(self.core, listener.getsockname()[1])
        self._problem: Problem | None = None
        self._told = ""
        self._changed = asyncio.Event()
        self._closing = False
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()

    async def serve(self) -> None:
        """Answer until a signal or the desired state says to stop; then drain.

        Raises
        ------
        Exception
            What ended one of its parts by mistake, after draining.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._wake.set)
        server = _Server(
            uvicorn.Config(
                self.app,
                interface="asgi3",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=2048,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=10,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[self._listener]))
        watching = asyncio.create_task(self._watch())
        reporting = asyncio.create_task(self._report())
        stopping = asyncio.create_task(self._stop.wait())
        ended, _ = await asyncio.wait({serving, watching, reporting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        self.app.draining = True
        self._mark()
        await asyncio.sleep(self.core.desired.limits.drain_s)
        server.should_exit = True
        await serving
        for task in (watching, stopping):
            task.cancel()
        self._closing = True
        self._mark()
        await asyncio.gather(watching, reporting, stopping, return_exceptions=True)
        self.core.close()
        for part in ended:
            part.result()

    async def _watch(self) -> None:
        """Take over each new desired state; end when it says so or the folder is gone or another's."""
        seen: tuple[int, ...] | None = None
        missing_since: float | None = None
        while not self._is_evicted():
            stamp = _stamp(self.folder / DESIRED)
            if stamp is None:
                missing_since = missing_since or time.monotonic()
                if time.monotonic() - missing_since > _ORPHAN_S:
                    return
            else:
                missing_since = None
                if stamp != seen:
                    seen = stamp
                    if await self._take_over():
                        return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _POLL_S)
            if self._wake.is_set():
                self._wake.clear()
                seen = None

    async def _take_over(self) -> bool:
        """Load what is new beside what serves, then switch; True: the plane must stop."""
        try:
            desired = read_desired(self.folder)
        except (MainspringError, OSError) as fault:
            self._problem = _describe(fault).about(name=self.core.desired.service)
            self._mark()
            return False
        if desired is None or desired.stopped:
            return desired is not None
        new = [each for each in desired.revisions if each.held and not self.core.holds(each)]
        loaded = {each.number: await asyncio.to_thread(load_revision, each) for each in new}
        self._problem = None
        self.core.adopt(desired, loaded)
        gc.collect()
        gc.freeze()  # what stays need not be looked at again with every few requests
        return False

    async def _report(self) -> None:
        """Write the status when it has changed; in a thread, since a rename may wait for the disk."""
        self._mark()
        while not (self._closing and not self._changed.is_set()):
            await self._changed.wait()
            self._changed.clear()
            if not await asyncio.to_thread(self._write, self._encode_status()) and not self._closing:
                self._mark()
            await asyncio.sleep(_STATUS_S)

    def _is_evicted(self) -> bool:
        """Tell whether the folder was removed and made again, for another plane."""
        try:
            return (self.folder / LOCK).stat().st_ino != self._inode
        except FileNotFoundError:
            return False

    def _mark(self) -> None:
        self._changed.set()

    def _encode_status(self) -> bytes:
        core = self.core
        status = Status(
            core.desired.generation,
            os.getpid(),
            self.url,
            core.ready and not self.app.draining,
            core.captures.requests,
            core.captures.rows,
            core.shed,
            core.report(),
            self._problem,
        )
        return msgspec.json.encode(status)

    def _write(self, status: bytes) -> bool:
        if self._is_evicted():
            return True
        try:
            write_status(self.folder, status)
        except OSError as fault:
            if self._told != str(fault):  # it is tried ten times a second, and a full disk holds the log, too
                print(f"status.json cannot be written: {fault}", file=sys.stderr)  # noqa: T201 - the log
            self._told = str(fault)
            return False
        self._told = ""
        return True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the plane."""
        yield


def _describe(fault: MainspringError | OSError) -> Problem:
    if isinstance(fault, MainspringError):
        return describe(fault)
    return describe(Invalid("SERVE-021", f"{DESIRED} cannot be read: {fault.strerror}"))


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
