"""The process of a service: ``python -m mainspring.serving.plane FOLDER``.

It reads ``desired.json``, answers HTTP on the loopback, writes ``status.json`` and captures,
and needs nobody else: it goes on when the owner is gone. SIGTERM drains it, SIGHUP makes it
read ``desired.json`` at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import uvicorn

from mainspring.domain.catalogue import find_entry
from mainspring.domain.errors import Conflict, Invalid, MainspringError
from mainspring.domain.records import Problem
from mainspring.domain.wire import describe
from mainspring.serving.app import App
from mainspring.serving.captures import Captures
from mainspring.serving.core import Core
from mainspring.serving.files import (
    CAPTURE,
    DESIRED,
    LOCK,
    PORT,
    Desired,
    Status,
    read_desired,
    replace_file,
    write_status,
)
from mainspring.serving.loading import load_revision

_POLL_S = 0.05
_STATUS_S = 0.1
_ORPHAN_S = 2.0
_LOCK_S = 0.5


class Plane:
    """One service in this process.

    Parameters
    ----------
    folder : Path
        The service's folder; `desired.json` must be there.
    listener : socket
        Bound and not yet listening.

    Raises
    ------
    MainspringError
        SERVE-014 when captures cannot be written, SERVE-021 when the desired state cannot be read.
    """

    def __init__(self, folder: Path, desired: Desired, listener: socket.socket) -> None:
        self.folder = folder
        self._listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        captures = Captures(folder / CAPTURE, desired.service, desired.limits)
        self.core = Core(captures, Desired(0, desired.service, limits=desired.limits), self._mark)
        self.app = App(self.core, listener.getsockname()[1])
        self._problem: Problem | None = None
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
        """Take over each new desired state; end when it says so or its file is gone for good."""
        seen: tuple[int, ...] | None = None
        missing_since: float | None = None
        while True:
            stamp = _stamp(self.folder / DESIRED)
            if stamp is None:
                missing_since = missing_since or time.monotonic()
                if time.monotonic() - missing_since > _ORPHAN_S:
                    return
            elif stamp != seen:
                seen, missing_since = stamp, None
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
            self._problem = _describe(fault)
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
        try:
            write_status(self.folder, status)
        except OSError as fault:
            print(f"status.json cannot be written: {fault}", file=sys.stderr)  # noqa: T201 - the log
            return False
        return True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the plane."""
        yield


def bind(folder: Path) -> socket.socket:
    """Return a socket on the loopback with the port that this service had before, else a new one.

    Notes
    -----
    Made with the protocol named and TCP_NODELAY set, which accepted connections inherit:
    without it a reply of two writes waits 40 ms for the caller's delayed acknowledgement.
    """
    path = folder / PORT
    try:
        wanted = int(path.read_text())
    except (FileNotFoundError, ValueError):
        wanted = 0
    for port in (wanted, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind(("127.0.0.1", port))
            break
        except OSError:
            listener.close()
            if port == 0:
                raise
    got = listener.getsockname()[1]
    if got != wanted:
        replace_file(path, str(got).encode(), durable=True)
    return listener


def lock(folder: Path) -> int:
    """Hold the folder while this process lives; SERVE-017 when another plane does."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() < end:  # it may be somebody who only looks whether a plane lives
                time.sleep(_POLL_S)
                continue
            holder = os.pread(handle, 32, 0).decode().strip()
            os.close(handle)
            raise Conflict("SERVE-017", f"process {holder} serves {folder}", pid=holder) from None
    os.pwrite(handle, str(os.getpid()).encode().ljust(32), 0)
    return handle


def main(arguments: list[str]) -> int:
    """Serve the folder that the command names; return the exit code."""
    folder = Path(arguments[0]).resolve()
    try:
        lock(folder)
    except MainspringError as fault:
        return _fail(fault)
    try:
        desired = read_desired(folder)
        if desired is None:
            raise Invalid("SERVE-021", f"{folder} has no {DESIRED}")
        if not desired.stopped:
            with asyncio.Runner(loop_factory=_find_loop()) as runner:
                runner.run(_serve(folder, desired))
    except MainspringError as fault:
        status = Status(0, os.getpid(), "", ready=False, problem=describe(fault))
        with contextlib.suppress(OSError):
            write_status(folder, msgspec.json.encode(status))
        return _fail(fault)
    return 0


async def _serve(folder: Path, desired: Desired) -> None:
    await Plane(folder, desired, bind(folder)).serve()


def _fail(fault: MainspringError) -> int:
    print(fault, file=sys.stderr)  # noqa: T201 - the log
    return find_entry(fault.code).exit_code


def _describe(fault: MainspringError | OSError) -> Problem:
    if isinstance(fault, MainspringError):
        return describe(fault)
    return describe(Invalid("SERVE-021", f"{DESIRED} cannot be read: {fault.strerror}"))


def _find_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
