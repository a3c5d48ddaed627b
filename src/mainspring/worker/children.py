"""Children of the fork server: making them, watching them, ending them."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Literal, NoReturn

from mainspring.compute import forks
from mainspring.compute.engine import Cause, Spec, Status

GRACE_S = 3.0
"""Seconds between the word to end and the end, where nobody has chosen another grace."""

_SET_PARENT_DEATH_SIGNAL = 1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Child:
    """A worker process, with the attempt it holds and the one it takes next.

    Attributes
    ----------
    held, following : Launch or None
        The attempt it works on; the attempt already sent to it.
    stage : str
        ``starting``, ``running``, ``finishing`` or ``idle``.
    used : bool
        It has been given an attempt.
    since : float
        Monotonic time of the last change of stage.
    deadline, kill_at : float or None
        When the attempt runs out of time; when its grace ends.
    cause, detail : str
        Why it was told to end.
    """

    def __init__(self, pid: int, link: socket.socket, spec: Spec) -> None:
        self.pid = pid
        self.link = link
        self.frames = forks.Frames()
        self.key = key_of(spec)
        self.held: forks.Launch | None = None
        self.following: forks.Launch | None = None
        self.stage = "idle"
        self.used = False
        self.since = 0.0
        self.deadline: float | None = None
        self.kill_at: float | None = None
        self.cause: Cause = ""
        self.detail = ""

    @property
    def launches(self) -> Iterator[forks.Launch]:
        """The attempts that it holds."""
        if self.held is not None:
            yield self.held
        if self.following is not None:
            yield self.following

    def fits(self, spec: Spec) -> bool:
        """Tell whether it can take another attempt."""
        free = self.held is None or (self.stage == "finishing" and self.following is None)
        # What earlier attempts left in its memory would count against a limit.
        fresh = not (spec.resources.memory_bytes and self.used)
        return free and fresh and not self.cause and self.key == key_of(spec)

    def take(self, launch: forks.Launch, now: float) -> None:
        """Send it an attempt."""
        self.link.sendall(forks.encode(launch))
        self.used = True
        if self.held is None:
            self.begin(launch, now)
        else:
            self.following = launch

    def begin(self, launch: forks.Launch | None, now: float) -> None:
        """Note which attempt it works on from now; None for no one."""
        self.held, self.following = launch, None
        self.stage = "starting" if launch is not None else "idle"
        self.since = now
        self.deadline = None

    def end(self, cause: Cause, detail: str, number: int, grace_s: float, now: float) -> None:
        """Signal it and all that it has started; after the grace `kill` follows."""
        if not self.cause:
            self.cause, self.detail = cause, detail
            self.kill_at = now + grace_s
            self.signal(number)
        else:
            # A second, shorter grace counts; a second signal might interrupt the first clean-up.
            self.kill_at = min(self.kill_at or now, now + grace_s)

    def advance(self, stage: str, now: float) -> None:
        """Note how far it is with the attempt it holds."""
        self.stage, self.since = stage, now
        if stage == "running" and self.held is not None:
            timeout_s = self.held.spec.timeout_s
            self.deadline = None if timeout_s is None else now + timeout_s
        elif stage == "finishing":
            self.deadline = None

    def check(self, now: float) -> None:
        """End it when its time is over or it holds more memory than it may; kill it when its grace is over."""
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + 1.0
            self.signal(signal.SIGKILL)
        elif self.held is None:
            return
        elif self.deadline is not None and now >= self.deadline:
            text = f"it ran longer than its timeout of {self.held.spec.timeout_s:g} s"
            self.end("timeout", text, signal.SIGTERM, GRACE_S, now)
        elif (limit := self.held.spec.resources.memory_bytes) and not self.cause:
            used = measure_memory(self.pid)
            if used > limit:
                text = f"it used {used / 1e6:,.0f} MB of memory; its limit is {limit / 1e6:,.0f} MB"
                self.end("memory", text, signal.SIGKILL, 0.0, now)

    def obey(self, order: str, now: float) -> None:
        """End it when the owner says so of the attempt it holds; one that is finishing hears that itself."""
        if self.stage == "finishing":
            return
        if order == "lost":
            self.end("lost", "another attempt holds the run", signal.SIGKILL, 0.0, now)
        elif order == "cancel":
            self.end("cancelled", "it was cancelled", signal.SIGTERM, GRACE_S, now)

    def signal(self, number: int) -> None:
        """Signal its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def status(self, launch: forks.Launch) -> Status:
        """Return where one of its attempts is."""
        spec, running = launch.spec, launch is self.held and self.stage != "starting"
        state: Literal["running", "starting"] = "running" if running else "starting"
        return Status(spec.run_id, spec.attempt, state, self.pid, devices=spec.devices)

    def last_status(self, launch: forks.Launch, wait_status: int, cpu_s: float, memory_bytes: int) -> Status:
        """Return how the attempt it held has ended, now that its process has."""
        code = os.WEXITSTATUS(wait_status) if os.WIFEXITED(wait_status) else None
        number = os.WTERMSIG(wait_status) if os.WIFSIGNALED(wait_status) else None
        how = f"exit code {code}" if number is None else forks.name_signal(number)
        return Status(
            launch.spec.run_id,
            launch.spec.attempt,
            "ended",
            self.pid,
            self.cause,
            code,
            number,
            self.detail or f"its process ended with {how}",
            cpu_s,
            memory_bytes,
        )


def key_of(spec: Spec) -> tuple[object, ...]:
    """Return what a worker holds for its life: attempts with an equal key may share it."""
    return spec.paths, spec.folder, spec.code_digest, spec.devices, spec.gang


def fork(spec: Spec, close: Callable[[], None], serve: Callable[[socket.socket], None]) -> Child:
    """Fork a worker.

    Parameters
    ----------
    spec : Spec
        The first attempt that it will take.
    close : callable
        Called in the child: lets go of what only the fork server may hold.
    serve : callable
        Called in the child with its link; the child ends when it returns.

    Returns
    -------
    Child
        In the parent.

    Raises
    ------
    OSError
        The system gives no process or no socket.
    """
    ours, theirs = socket.socketpair()
    # What lives now lives for good: left alone, its pages stay shared with the workers.
    gc.freeze()
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        ours.close()
        _live(theirs, close, serve)
    theirs.close()
    # The child does the same: whoever comes first, the group exists before it is signalled.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    ours.setblocking(True)
    return Child(pid, ours, spec)


def _live(link: socket.socket, close: Callable[[], None], serve: Callable[[socket.socket], None]) -> NoReturn:
    status = 70
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        _die_with_parent()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        close()
        serve(link)
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may return into the fork server's loop
        traceback.print_exc()
    finally:
        os._exit(status)


def _die_with_parent() -> None:
    """Have the kernel end this process with the fork server: nobody would keep its leases."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent or parent == 1:
        os._exit(75)


def reap(workers: Container[int]) -> Iterator[tuple[int, int, float, int]]:
    """Yield (pid, wait status, cpu seconds, peak bytes) of each child that has ended.

    What an ended worker had started is killed before its id can be given to another process; what else has ended is
    an orphan of one.
    """
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None:
            return
        if found.si_pid in workers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(found.si_pid, signal.SIGKILL)
        pid, status, usage = os.wait4(found.si_pid, 0)
        yield pid, status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def measure_memory(pid: int) -> int:
    """Return the resident bytes of a process and all below it, 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
        below = Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()
    except (OSError, IndexError):
        return 0
    return pages * _PAGE_BYTES + sum(measure_memory(int(each)) for each in below)
