"""The fork server of one interpreter: forks workers, watches them, keeps their leases.

It is single-threaded, runs no user code and outlives the owner: a new owner finds it by its
socket. Started by the local engine as ``python -m mainspring.worker.forkserver``.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import logging
import os
import selectors
import signal
import socket
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mainspring.compute import forks
from mainspring.compute.engine import Status
from mainspring.domain.home import Home
from mainspring.worker import children, main
from mainspring.worker.beats import Heart
from mainspring.worker.children import Child
from mainspring.worker.preload import Preloader

WARM_S = 4.0
"""A worker without work ends after so long."""

LINGER_S = 3.0
"""Without an owner and without work it waits so long for a new owner."""

REMEMBER_S = 60.0
"""The same when it has seen an attempt end that no owner has heard of."""

IDLE_S = 300.0
"""With an owner, but without work, it gives its memory back after so long."""

WATCH_S = 0.2
"""How often the memory of limited attempts is read."""

_LOCK_S = 2.0
_log = logging.getLogger(__name__)


class ForkServer:
    """See the module.

    Parameters
    ----------
    home : Home
        Whose runs it serves.
    listener : socket
        Bound and listening.
    lock : int
        Descriptor of the lock that keeps a second server away.
    """

    def __init__(self, home: Home, listener: socket.socket, lock: int) -> None:
        self._home = home
        self._listener = listener
        self._lock = lock
        self._selector = selectors.DefaultSelector()
        self._engine: socket.socket | None = None
        self._children: dict[int, Child] = {}
        self._ended: dict[tuple[str, int], Status] = {}
        self._heart = Heart(home.socket)
        self._heard: socket.socket | None = None
        self._preloader = Preloader(self._beat)
        self._busy_at = self._met_at = time.monotonic()
        self._linger_s = LINGER_S
        self._woken, self._waker = socket.socketpair()

    def serve(self) -> None:
        """Work until there is nothing left to do and no owner to do it for."""
        for end in (self._woken, self._waker):
            end.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._watch(self._listener, self._accept)
        self._watch(self._woken, self._reap)
        while not self._done(time.monotonic()):
            for key, _ in self._selector.select(self._pause()):
                key.data()
            self._tick(time.monotonic())

    # --- the loop ------------------------------------------------------------------------

    def _watch(self, link: socket.socket, act: Any) -> None:
        self._selector.register(link, selectors.EVENT_READ, act)

    def _pause(self) -> float:
        if self._may_preload():
            return 0.0
        limited = any(
            launch.spec.resources.memory_bytes for child in self._children.values() for launch in child.launches
        )
        now = time.monotonic()
        times = [self._heart.due_at, now + (WATCH_S if limited else 1.0)]
        times += [at for child in self._children.values() for at in (child.deadline, child.kill_at) if at is not None]
        return max(0.0, min(times) - now)

    def _tick(self, now: float) -> None:
        for child in list(self._children.values()):
            self._check(child, now)
        if now >= self._heart.due_at:
            self._beat()
        if self._may_preload():
            self._preloader.load_next()

    def _may_preload(self) -> bool:
        # What runs needs the cores more than what may run later.
        return self._preloader.waiting and not any(child.held for child in self._children.values())

    def _check(self, child: Child, now: float) -> None:
        child.check(now)
        if child.stage == "idle" and now - child.since >= WARM_S:
            # The worker reads the end of its link as the word to end itself.
            with contextlib.suppress(OSError):
                child.link.shutdown(socket.SHUT_WR)

    def _done(self, now: float) -> bool:
        if any(child.held is not None for child in self._children.values()):
            self._busy_at = self._met_at = now
            return False
        if self._engine is not None:
            self._met_at = now
        found = Path(self._listener.getsockname()).exists()
        linger_s = REMEMBER_S if self._ended else self._linger_s
        if found and now - self._busy_at < IDLE_S and now - self._met_at <= linger_s:
            return False
        for child in self._children.values():
            child.signal(signal.SIGKILL)
        return True

    # --- the owner -----------------------------------------------------------------------

    def _beat(self) -> None:
        leases = [
            (launch.spec.run_id, launch.spec.attempt, launch.spec.fence)
            for child in self._children.values()
            for launch in child.launches
        ]
        self._heart.beat(leases, time.monotonic())
        if self._heart.link is not self._heard:
            if self._heard is not None:
                self._selector.unregister(self._heard)
            self._heard = self._heart.link
            if self._heard is not None:
                self._watch(self._heard, self._obey)

    def _obey(self) -> None:
        heard = self._heard
        for attempt, order in self._heart.read().items():
            self._drop(attempt, order)
        if heard is not None and self._heart.link is None:
            self._selector.unregister(heard)
            self._heard = None

    def _drop(self, attempt: tuple[str, int], order: str) -> None:
        for child in self._children.values():
            if child.held is not None and (child.held.spec.run_id, child.held.spec.attempt) == attempt:
                child.obey(order, time.monotonic())

    # --- the engine ----------------------------------------------------------------------

    def _accept(self) -> None:
        link, _ = self._listener.accept()
        link.setblocking(False)
        if self._engine is not None:
            self._leave(self._engine)
        self._engine = link
        self._linger_s = LINGER_S
        self._watch(link, partial(self._hear, link, forks.Frames()))

    def _leave(self, link: socket.socket) -> None:
        self._selector.unregister(link)
        link.close()
        if link is self._engine:
            self._engine = None

    def _hear(self, link: socket.socket, frames: forks.Frames) -> None:
        if link is not self._engine:
            return  # replaced since the selector has seen it
        messages = forks.receive(link, frames)
        if messages is None:
            self._leave(link)
            return
        for message in messages:
            self._act(message)

    def _act(self, message: forks.Message) -> None:
        match message:
            case forks.Hello():
                held = [child.status(launch) for child in self._children.values() for launch in child.launches]
                self._tell(forks.Welcome(os.getpid(), [*held, *self._ended.values()]))
            case forks.Launch():
                self._launch(message)
            case forks.Cancel():
                self._cancel(message)
            case forks.Release():
                for attempt in message.attempts:
                    self._ended.pop(attempt, None)
            case forks.Bye():
                self._linger_s = 0.0

    def _tell(self, message: forks.Message) -> None:
        if self._engine is None:
            return
        try:
            self._engine.sendall(forks.encode(message))
        except OSError:
            # An owner that is gone, or that does not listen: it asks for everything when it comes back.
            self._leave(self._engine)

    # --- workers -------------------------------------------------------------------------

    def _launch(self, launch: forks.Launch) -> None:
        spec = launch.spec
        attempt = (spec.run_id, spec.attempt)
        if attempt in self._ended:
            self._tell(forks.Changed(self._ended[attempt]))
            return
        for child in list(self._children.values()):
            for held in child.launches:
                if (held.spec.run_id, held.spec.attempt) == attempt:
                    return
                if held.spec.run_id == spec.run_id:
                    child.end("lost", "a later attempt has begun", signal.SIGKILL, 0.0, time.monotonic())
        now = time.monotonic()
        for child in sorted(self._children.values(), key=lambda each: each.held is not None):
            if child.fits(spec) and self._give(child, launch, now):
                return
        self._preloader.load(spec.preload)
        try:
            child = children.fork(spec, self._close, partial(main.serve, self._home))
        except OSError as fault:
            self._end(Status(*attempt, "ended", detail=f"no worker could be forked: {fault}"))
            return
        self._children[child.pid] = child
        self._watch(child.link, partial(self._listen, child))
        self._give(child, launch, time.monotonic())

    def _give(self, child: Child, launch: forks.Launch, now: float) -> bool:
        try:
            child.take(launch, now)
        except OSError:
            return False
        return True

    def _listen(self, child: Child) -> None:
        if child.pid not in self._children:
            return  # reaped since the selector has seen it
        messages = forks.receive(child.link, child.frames)
        if messages is None:
            self._selector.unregister(child.link)
            child.link.close()
            # It is ending, or its code has closed what is not its own.
            child.signal(signal.SIGKILL if child.held is not None else signal.SIGTERM)
            self._reap()
            return
        for message in messages:
            assert isinstance(message, forks.Mark)
            self._mark(child, message)

    def _mark(self, child: Child, mark: forks.Mark) -> None:
        now = time.monotonic()
        self._preloader.want(mark.modules)
        if mark.stage == "idle":
            if child.held is not None and not child.cause:
                self._tell(forks.Changed(Status(child.held.spec.run_id, child.held.spec.attempt, "ended", child.pid)))
                child.begin(child.following, now)
            return
        child.advance(mark.stage, now)
        if mark.stage == "running" and child.held is not None:
            self._tell(forks.Changed(child.status(child.held)))

    def _cancel(self, cancel: forks.Cancel) -> None:
        for child in self._children.values():
            held = child.held
            if held is not None and (held.spec.run_id, held.spec.attempt) == (cancel.run_id, cancel.attempt):
                child.end("cancelled", "it was cancelled", cancel.signal, cancel.grace_s, time.monotonic())

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass
        for pid, status, cpu_s, memory_bytes in children.reap(self._children):
            child = self._children.get(pid)
            if child is None:
                continue
            self._hear_out(child)
            del self._children[pid]
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(child.link)
            child.link.close()
            if child.held is not None:
                self._end(child.last_status(child.held, status, cpu_s, memory_bytes))
            if child.following is not None:
                self._launch(child.following)

    def _hear_out(self, child: Child) -> None:
        """Read what a worker has said before it ended: which attempt it was at."""
        with contextlib.suppress(OSError):
            child.link.setblocking(False)
            while messages := forks.receive(child.link, child.frames):
                for message in messages:
                    assert isinstance(message, forks.Mark)
                    self._mark(child, message)

    def _end(self, status: Status) -> None:
        self._ended[status.run_id, status.attempt] = status
        self._tell(forks.Changed(status))

    def _close(self) -> None:
        """Let go, in a fresh child, of what only the server may hold."""
        self._selector.close()
        links = [self._listener, self._woken, self._waker, self._engine, self._heart.link]
        for link in [*links, *(child.link for child in self._children.values())]:
            if link is not None:
                link.close()
        os.close(self._lock)


def listen(path: Path) -> tuple[socket.socket, int] | None:
    """Bind the server's socket.

    Returns
    -------
    tuple of socket and int, or None
        None when another server holds the lock; one that is about to end is waited for.
    """
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(lock)
                return None
            time.sleep(0.01)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(8)
    return listener, lock


def run(arguments: Sequence[str] | None = None) -> None:
    """Serve until done; the entry of the process."""
    parser = argparse.ArgumentParser(prog="mainspring.worker.forkserver")
    for name in ("root", "state", "runtime", "socket"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--blob-store", default="")
    given = parser.parse_args(arguments)
    # Some libraries start a service thread when they are imported; none is used before a fork.
    warnings.filterwarnings("ignore", message=".*use of fork.. may lead to deadlocks", category=DeprecationWarning)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    found = listen(given.socket)
    if found is None:
        return
    listener, lock = found
    try:
        home = Home(given.root, given.state, given.runtime, blob_store=given.blob_store)
        ForkServer(home, listener, lock).serve()
    finally:
        given.socket.unlink(missing_ok=True)
        listener.close()


if __name__ == "__main__":
    run()
