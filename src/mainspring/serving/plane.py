"""The process of a service: ``python -m mainspring.serving.plane FOLDER``.

It reads ``desired.json``, answers HTTP on the loopback, writes ``status.json`` and captures,
and needs nobody else: it goes on when the owner is gone. SIGTERM drains it, SIGHUP makes it
read ``desired.json`` at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from mainspring.domain.catalogue import find_entry
from mainspring.domain.errors import Conflict, Invalid, MainspringError
from mainspring.domain.wire import describe
from mainspring.serving.files import DESIRED, LOCK, PORT, Desired, Status, read_desired, replace_file, write_status

_LOCK_S = 0.5
_LOOK_S = 0.01


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
                time.sleep(_LOOK_S)
                continue
            holder = os.pread(handle, 32, 0).decode().strip()
            os.close(handle)
            raise Conflict("SERVE-017", f"process {holder} serves {folder}", pid=holder, name=folder.name) from None
    os.pwrite(handle, str(os.getpid()).encode().ljust(32), 0)
    return handle


def main(arguments: list[str]) -> int:
    """Serve the folder that the command names; return the exit code."""
    folder = Path(arguments[0]).resolve()
    try:
        held = lock(folder)
    except MainspringError as fault:
        return _fail(fault)
    try:
        desired = read_desired(folder)
        if desired is None:
            raise Invalid("SERVE-021", f"{folder} has no {DESIRED}", name=folder.name)
        if not desired.stopped:
            with asyncio.Runner(loop_factory=_find_loop()) as runner:
                runner.run(_serve(folder, desired, held))
    except MainspringError as fault:
        status = Status(0, os.getpid(), "", ready=False, problem=describe(fault).about(name=folder.name))
        with contextlib.suppress(OSError):
            write_status(folder, msgspec.json.encode(status))
        return _fail(fault)
    return 0


async def _serve(folder: Path, desired: Desired, held: int) -> None:
    from mainspring.serving.lifecycle import Plane  # takes its time, so the folder is locked before

    await Plane(folder, desired, bind(folder), held).serve()


def _fail(fault: MainspringError) -> int:
    print(fault, file=sys.stderr)  # noqa: T201 - the log
    return find_entry(fault.code).exit_code


def _find_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
