"""What watches the one worker of an attempt: beats for its lease, ends what takes too long, leaves nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mainspring.compute import forks
from mainspring.compute.engine import Spec, Status
from mainspring.worker import children
from mainspring.worker.children import Child

GRACE_S = 60.0
"""Seconds between the word of an engine and the end; an engine kills earlier when it has chosen another grace."""

LOOK_S = 0.2
"""How often the memory of a limited attempt is read, and orders of a server are looked for."""

TOLD, UNREACHABLE, TIMEOUT, ENDED, SILENT = 0, 75, 124, 143, 70

_SET_SUBREAPER = 36
_SIGNALLED = 128
_ROUNDS = 50


class Heart(Protocol):
    """Keeps leases: `mainspring.worker.beats.Heart` at a socket, `DistantHeart` at a server."""

    link: socket.socket | None
    due_at: float

    def beat(self, leases: list[tuple[str, int, int]], now: float) -> None:
        """Send a heartbeat."""
        ...

    def read(self) -> dict[tuple[str, int], str]:
        """Return the orders that have come."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Guard:
    """Runs one attempt in a child; this process runs no code of users.

    Parameters
    ----------
    spec : Spec
        The attempt.
    heart : Heart
        Beats for it.
    serve : callable
        Called in the child with its link; the child ends when it returns.

    Notes
    -----
    Guarantees: whatever the attempt has started ends with it, also what has made itself a daemon, where the
    kernel lets this process adopt it (Linux).
    """

    def __init__(self, spec: Spec, heart: Heart, serve: Callable[[socket.socket], None]) -> None:
        self._spec = spec
        self._heart = heart
        self._serve = serve
        self._told = False
        self._status: Status | None = None
        self._word = 0
        self._woken, self._waker = socket.socketpair()

    def watch(self) -> tuple[Status, int]:
        """Execute the attempt; return how its process ended, and the exit code that says so."""
        _adopt_orphans()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear_word)
        child = children.fork(self._spec, self._close, self._serve)
        with contextlib.suppress(OSError):  # it may have ended already
            child.take(forks.Launch(self._spec), time.monotonic())
        while self._status is None:
            self._turn(child)
        end_descendants()
        self._heart.close()
        return self._status, decide_exit(self._status, told=self._told)

    def _hear_word(self, number: int, _: object) -> None:
        self._word = self._word or number

    def _turn(self, child: Child) -> None:
        now = time.monotonic()
        if self._word:
            child.end("cancelled", "it was told to end", self._word, GRACE_S, now)
            self._word = 0
        child.check(now)
        if now >= self._heart.due_at:
            lease = (self._spec.run_id, self._spec.attempt, self._spec.fence)
            self._heart.beat([lease] if child.stage != "starting" else [], now)
        for order in self._heart.read().values():
            child.obey(order, now)
        links = [self._woken, child.link, *([self._heart.link] if self._heart.link else [])]
        links = [link for link in links if link.fileno() >= 0]
        readable, _, _ = select.select(links, [], [], self._pause(child, now))
        if self._woken in readable:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        if child.link in readable:
            self._listen(child)
        self._reap(child)

    def _pause(self, child: Child, now: float) -> float:
        quick = self._heart.link is None or self._spec.resources.memory_bytes is not None
        times = [self._heart.due_at, now + (LOOK_S if quick else 1.0)]
        times += [at for at in (child.deadline, child.kill_at) if at is not None]
        return max(0.0, min(times) - now)

    def _listen(self, child: Child) -> None:
        messages = forks.receive(child.link, child.frames)
        if messages is None:
            child.link.close()
            return
        for message in messages:
            assert isinstance(message, forks.Mark)
            if message.stage == "idle":
                # It has no more to do: the end of its link is the word to end itself.
                with contextlib.suppress(OSError):
                    child.link.shutdown(socket.SHUT_WR)
                continue
            self._told = self._told or message.stage == "finishing"
            child.advance(message.stage, time.monotonic())

    def _reap(self, child: Child) -> None:
        for pid, status, cpu_s, memory_bytes in children.reap({child.pid}):
            if pid != child.pid:
                continue
            if child.link.fileno() >= 0:
                child.link.setblocking(False)
                self._listen(child)
            self._status = child.last_status(forks.Launch(self._spec), status, cpu_s, memory_bytes)

    def _close(self) -> None:
        self._woken.close()
        self._waker.close()


def decide_exit(status: Status, *, told: bool) -> int:
    """Return the exit code by which an engine learns how an attempt ended.

    Parameters
    ----------
    status : Status
        Of the worker's process.
    told : bool
        It was about to tell its result, or has.

    Returns
    -------
    int
        0: the owner has the result; 75: it could not be reached; 124: timeout; 143: told to end. Else that of
        the process, 128 and the number of the signal that ended it, or 70: it has ended itself without a word.

    Examples
    --------
    >>> decide_exit(Status("a", 1, "ended", exit_code=0), told=True)
    0
    >>> decide_exit(Status("a", 1, "ended", exit_code=0), told=False)
    70
    >>> decide_exit(Status("a", 1, "ended", signal=9), told=False)
    137
    """
    if status.cause == "timeout":
        return TIMEOUT
    if status.cause in {"cancelled", "lost"}:
        return ENDED
    if status.signal is not None:
        return _SIGNALLED + status.signal
    return status.exit_code or (TOLD if told else SILENT)


def end_descendants() -> None:
    """Kill all that descends from this process, until nothing is left."""
    for _ in range(_ROUNDS):
        below = _list_children()
        if not below:
            return
        for pid in below:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in below:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _list_children() -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/self/task/{os.getpid()}/children").read_bytes().split()]
    except OSError:  # not Linux: the process groups must do
        return []


def _adopt_orphans() -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_SET_SUBREAPER, 1, 0, 0, 0)
