"""A shell in a run: the worker holds its terminal, and whoever attaches to the worker's socket sits at it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import selectors
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Self

from mainspring.domain.home import Home
from mainspring.sdk.context import active_run, tell_process
from mainspring.sdk.idling import Watch, measure_cpu

SIZE, TEXT = b"s", b"t"
"""What a frame to the worker holds: the size of the window, or what was typed."""

_HEADER = struct.Struct("!cI")
_WINDOW = struct.Struct("HHHH")
_LOOK_S = 1.0
_GRACE_S = 1.0
_SESSION = 3
_STALLED_S = 10.0
_CHUNK = 1 << 16
_MOST_FRAME = 1 << 20

# Takes the terminal for its session, and ends with the worker: nobody could reach it any more.
_BEGIN = """
import ctypes, fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if sys.platform.startswith("linux"):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def name_socket(home: Home, run_id: str) -> Path:
    """Return where the worker of a session listens; only this user reaches the folder."""
    return home.runtime / f"t-{run_id[-12:]}.sock"


def frame(kind: bytes, content: bytes) -> bytes:
    """Return what is sent to the worker of a session."""
    return _HEADER.pack(kind, len(content)) + content


def pack_size(columns: int, rows: int) -> bytes:
    """Return the frame that tells the size of the window."""
    return frame(SIZE, _WINDOW.pack(rows, columns, 0, 0))


def run_shell(idle_s: float) -> dict[str, object]:
    """Hold a shell until it ends, or nobody has worked in it for too long; return how it ended.

    Parameters
    ----------
    idle_s : float
        Without a key that is pressed and without anything that works.

    Notes
    -----
    Guarantees: the socket is in the home's own folder, which only this user may enter. Who goes away leaves the
    shell as it is, until it has been idle for too long.
    """
    active = active_run()
    assert active is not None
    path = name_socket(active.client.home, active.run.id)
    program = os.environ.get("SHELL") or "/bin/sh"
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _BEGIN, program],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, **tell_process()},
    )
    os.close(slave)
    try:
        with _Terminal(path, master) as terminal:
            return {"ended": terminal.serve(process, idle_s), "status": process.poll()}
    finally:
        path.unlink(missing_ok=True)
        os.close(master)
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Have all of a shell's session hang up, its jobs in the background too, and kill what does not."""
    until = time.monotonic() + _GRACE_S
    for pid in _list_session(process.pid):
        _signal(pid, signal.SIGHUP)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    while (left := _list_session(process.pid)) and time.monotonic() < until:
        time.sleep(_GRACE_S / 20)
    for pid in left:
        _signal(pid, signal.SIGKILL)
    process.wait()


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _list_session(leader: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):  # it has ended meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[_SESSION]) == leader and fields[0] not in {"Z", "X"}:
                found.append(int(path.parent.name))
    return found


class _Terminal:
    """The worker's side of a terminal, and the one who sits at it."""

    def __init__(self, path: Path, master: int) -> None:
        self._master = master
        self._selector = selectors.DefaultSelector()
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._listener.bind(str(path))
        finally:
            os.umask(before)
        self._listener.listen(1)
        self._guest: socket.socket | None = None
        self._typed = bytearray()
        self._typed_at = time.monotonic()
        self._unseen = b""
        self._due = bytearray()
        os.set_blocking(master, False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(master, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        self._selector.close()
        self._listener.close()

    def serve(self, process: subprocess.Popen[bytes], idle_s: float) -> str:
        """Carry what is typed and what is shown; return why it is over: ``exit`` or ``idle``."""
        now = time.monotonic()
        watch, look_at = Watch(idle_s, now, measure_cpu(process.pid)), now + _LOOK_S
        while True:
            self._selector.modify(self._master, selectors.EVENT_READ | (selectors.EVENT_WRITE if self._due else 0))
            for key, events in self._selector.select(_LOOK_S):
                if key.fileobj is self._listener:
                    self._meet()
                elif key.fileobj is self._guest:
                    self._hear()
                elif key.fileobj == self._master and not self._carry(events):
                    process.wait()
                    return "exit"
            now = time.monotonic()
            if now >= look_at:
                look_at = now + _LOOK_S
                watch.note(self._typed_at)
                if watch.is_over(now, measure_cpu(process.pid)):
                    self._tell(f"\r\nnobody has worked here for {idle_s:g} s: the session ends\r\n".encode())
                    return "idle"

    def _meet(self) -> None:
        guest, _ = self._listener.accept()
        guest.settimeout(_STALLED_S)
        if self._guest is not None:
            self._tell(b"\r\nsomebody has attached to this session elsewhere\r\n")
            self._leave()
        self._guest, self._typed = guest, bytearray()
        self._typed_at = time.monotonic()
        self._selector.register(guest, selectors.EVENT_READ)
        unseen, self._unseen = self._unseen, b""
        self._tell(unseen)

    def _leave(self) -> None:
        if self._guest is not None:
            self._selector.unregister(self._guest)
            self._guest.close()
            self._guest = None

    def _hear(self) -> None:
        assert self._guest is not None
        try:
            content = self._guest.recv(_CHUNK)
        except OSError:
            content = b""
        if not content:
            self._leave()
            return
        self._typed += content
        while len(self._typed) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._typed)
            if length > _MOST_FRAME:
                self._leave()
                return
            if len(self._typed) < _HEADER.size + length:
                return
            part = bytes(self._typed[_HEADER.size : _HEADER.size + length])
            del self._typed[: _HEADER.size + length]
            if kind == SIZE and length == _WINDOW.size:
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, part)
            elif kind == TEXT:
                self._typed_at = time.monotonic()
                self._due += part

    def _carry(self, events: int) -> bool:
        """Carry what was typed to the shell, and what it has written; False when it has ended."""
        try:
            if events & selectors.EVENT_WRITE:
                del self._due[: os.write(self._master, self._due)]
            if events & selectors.EVENT_READ:
                self._tell(os.read(self._master, _CHUNK))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def _tell(self, content: bytes) -> None:
        if self._guest is None:
            self._unseen = (self._unseen + content)[-_CHUNK:]
            return
        try:
            self._guest.sendall(content)
        except OSError:
            self._leave()
