"""Starts the owner of a home when none answers."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import time
from pathlib import Path

import msgspec

import mainspring
from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home
from mainspring.domain.records import Problem
from mainspring.domain.wire import restore
from mainspring.store.files import write_faults
from mainspring.store.homes import make_folders

_TRIES = 10
"""So often is an owner started that dies without a word, as one does that is killed."""

_RELEASE_S = 5.0
"""Seconds in which an owner that ends, or was killed, must have let go of its lock."""

_START_S = 30.0
"""Seconds in which an owner must answer after its start."""


def start_owner(home: Home) -> None:
    """Start the owner of a home in the background and wait until its socket answers.

    Parameters
    ----------
    home : Home
        Its folders are made when they are missing.

    Raises
    ------
    MainspringError
        What kept the owner from starting (HOME-003, HOME-006 ...), or HOME-001.

    Notes
    -----
    Guarantees: of processes that race, one starts an owner and the others wait for it.
    """
    make_folders(home)
    with write_faults(home.state):
        gate = (home.state / "start.lock").open("a")
    with gate:
        _lock(gate.fileno(), home)
        if not answers(home):
            _start(home)


def _start(home: Home) -> None:
    log = home.logs / "owner.log"
    released = time.monotonic() + _RELEASE_S
    deaths = 0
    while deaths < _TRIES:
        line = _launch(home)
        if line is None:
            raise Unavailable("HOME-001", f"the owner did not start within {_START_S:.0f} s; see {log}")
        if line.strip() == b"{}":
            return
        if line:
            problem = restore(msgspec.json.decode(line, type=Problem))
            if problem.code == "HOME-002" and answers(home):
                return  # somebody else has started one
            if problem.code != "HOME-002" or time.monotonic() > released:
                raise problem
            time.sleep(0.05)
        else:
            deaths += 1
    raise Unavailable("HOME-001", f"the owner ended while it started, {_TRIES} times; see {log}")


def _launch(home: Home) -> bytes | None:
    """Start a process; return its line, nothing when it died without one, None when it was silent."""
    import subprocess  # where an owner runs, nobody needs it

    command = [sys.executable, "-P", "-m", "mainspring.control.owner", "--home", str(home.root), "--detach"]
    with (home.logs / "owner.log").open("ab") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=home.root,
            env=_environment(),
            start_new_session=True,
        )
    with process:
        assert process.stdout is not None
        return _read_line(process.stdout.fileno())


def _read_line(handle: int) -> bytes | None:
    """Return a line, nothing when the other end closed, None when it was silent too long."""
    deadline = time.monotonic() + _START_S
    content = b""
    while not content.endswith(b"\n"):
        ready, _, _ = select.select([handle], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return None
        part = os.read(handle, 65536)
        if not part:
            return b""
        content += part
    return content


def _lock(handle: int, home: Home) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unavailable("HOME-001", f"another process is starting the owner of {home.root}") from None
            time.sleep(0.01)


def answers(home: Home) -> bool:
    """Tell whether an owner of a home listens, without starting one."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(home.socket))
        except OSError:
            return False
    return True


def _environment() -> dict[str, str]:
    # The owner runs elsewhere, so relative entries would name other folders there.
    package = Path(mainspring.__file__).parent.parent
    others = [os.path.abspath(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]  # noqa: PTH100
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys([str(package), *others]))}
