"""The engine's side of one fork server: starts it, finds it again, hears how attempts end."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import msgspec

from mainspring.compute import forks
from mainspring.compute.engine import Cause, Handle, Spec, Status
from mainspring.domain.home import Home

# One that lives and does not listen yet is slow: on a machine with far too much to do its few imports take a minute.
# Its runs do not hang meanwhile, for the owner takes back what no worker asks for.
_START_S = 120.0
_BUILD_S = 3_600.0
"""So long its environment may be built before it listens."""

_REFUSED_S = 60.0
"""So long no environment is built again that could not be."""

_TRY_AGAIN_S = 0.01
_LOOK_S = 1.0
_CREDENTIALS = struct.Struct("3i")

STOPPED_S = 15.0
"""A fork server with work to do that was stopped (SIGSTOP) for so long is killed: its runs are lost by then."""

_TRIES = 5
_FORK_SERVER = "mainspring.worker.forkserver"


class Start(msgspec.Struct, frozen=True):
    """How a fork server is started.

    Attributes
    ----------
    home : Home
        Whose runs it serves.
    python : str
        Interpreter.
    threads : int
        Threads that numeric libraries of its workers may use.
    environment : str
        Digest of the lock of the environment that it is to run in.
    variables : dict of str to str
        Further variables of its process.
    """

    home: Home
    python: str
    threads: int
    environment: str = ""
    variables: dict[str, str] = {}


class ForkLink:
    """A thread that talks to the fork server of one socket.

    Parameters
    ----------
    path : Path
        Where the fork server listens, or will.

    Attributes
    ----------
    start : Start or None
        How to start it when it is needed; None for one that was found running.
    settled : bool
        It has told what it holds, or is gone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.start: Start | None = None
        self.settled = False
        self._greeted = False
        self._building = False
        self._refused = (0.0, "")
        self._lock = threading.Lock()
        self._outbox: list[forks.Message] = []
        self._statuses: dict[Handle, Status] = {}
        self._adopted: list[Handle] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped_s = 0.0
        self._closing = False
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._live, name=f"fork server {path.name}", daemon=True)
        self._thread.start()

    # --- called by the engine ------------------------------------------------------------

    def launch(self, spec: Spec) -> None:
        """Have an attempt executed."""
        with self._lock:
            self._statuses[handle_of(spec)] = Status(spec.run_id, spec.attempt, "starting")
            self._outbox.append(forks.Launch(spec))
        self._wake()

    def post(self, message: forks.Message) -> None:
        """Send a message when the fork server can take it."""
        with self._lock:
            self._outbox.append(message)
        self._wake()

    def status(self, handle: Handle) -> Status | None:
        """Return where an attempt is, None when it is not known here."""
        with self._lock:
            status = self._statuses.get(handle)
        if self._building and status is not None and status.state == "starting":
            return msgspec.structs.replace(status, building=True)
        return status

    def take_adopted(self) -> list[Handle]:
        """Return the attempts that the fork server told of and nobody here had launched."""
        with self._lock:
            adopted, self._adopted = self._adopted, []
            return adopted

    def forget(self, handle: Handle) -> None:
        """Let an ended attempt go, here and there."""
        with self._lock:
            self._statuses.pop(handle, None)
        self.post(forks.Release([(handle.run_id, handle.attempt)]))

    def close(self) -> None:
        """Say good-bye and end the thread."""
        self._closing = True
        self.post(forks.Bye())
        self._thread.join(1.0)
        if self._process is not None and self._process.poll() is None:
            self._process.returncode = 0  # it goes on by design, which Python would warn of

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"x")

    # --- the thread ----------------------------------------------------------------------

    def _live(self) -> None:
        with self._woken, self._waker:
            self._serve()

    def _serve(self) -> None:
        while True:
            link = self._connect()
            if link is None:
                if self._closing:
                    return
                continue
            with link, selectors.DefaultSelector() as selector:
                self._talk(link, selector)
            if self._closing:
                return

    def _connect(self) -> socket.socket | None:
        link = self._dial()
        if link is not None:
            return link
        # What was sent went down with the one that is gone; what was not is for the next.
        self._mourn("lost", "its fork server ended")
        self.settled = True
        self._wait_for_work()
        if self._closing:
            return None
        assert self.start is not None
        return self._begin(self.start)

    def _dial(self) -> socket.socket | None:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(str(self._path))
        except OSError:
            link.close()
            return None
        return link

    def _wait_for_work(self) -> None:
        while not self._closing:
            with self._lock:
                # Only a launch is worth a new process.
                self._outbox = [each for each in self._outbox if isinstance(each, forks.Launch)]
                if self._outbox:
                    return
            with selectors.DefaultSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                selector.select()
            self._drain()

    def _begin(self, start: Start) -> socket.socket | None:
        refused_at, why = self._refused
        if why and time.monotonic() - refused_at < _REFUSED_S:
            self._mourn("unbuildable", why)
            return None
        log = self._path_of_log(start.home)
        begun = log.stat().st_size if log.exists() else 0
        for _ in range(_TRIES):
            try:
                process = self._process = self._spawn(start, log)
            except OSError as fault:
                self._mourn("unstartable", f"{start.python} cannot be started: {fault.strerror}")
                return None
            self._building = bool(start.environment)
            link = self._await(process, _BUILD_S if self._building else _START_S)
            self._building = False
            if link is not None or self._closing:
                return link
            # One that was killed, or left the place to another that ended, says nothing about the next.
            if process.poll() is None or process.returncode > 0:
                break
        with log.open("rb") as text:
            text.seek(begun)
            last = text.read().decode(errors="replace").strip().splitlines()[-1:]
        why = last[0] if last else "it does not answer"
        if start.environment:
            self._refused = (time.monotonic(), why)
            self._mourn("unbuildable", why)
        else:
            self._mourn("unstartable", f"{start.python} cannot be a worker: {why}")
        return None

    def _spawn(self, start: Start, log: Path) -> subprocess.Popen[bytes]:
        home = start.home
        command = [start.python, "-P", "-m"]
        command += ["mainspring.worker.environment", start.environment] if start.environment else [_FORK_SERVER]
        command += ["--socket", str(self._path)]
        command += ["--root", str(home.root), "--state", str(home.state), "--runtime", str(home.runtime)]
        command += ["--blob-store", home.blob_store] if home.blob_store else []
        environment = dict(os.environ) | dict.fromkeys(forks.THREAD_VARIABLES, str(start.threads)) | start.variables
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )

    def _await(self, process: subprocess.Popen[bytes], limit_s: float) -> socket.socket | None:
        until = time.monotonic() + limit_s
        while time.monotonic() < until and not self._closing:
            ended = process.poll() is not None
            link = self._dial()
            if link is not None or ended:
                return link
            time.sleep(_TRY_AGAIN_S)
        return None

    def _path_of_log(self, home: Home) -> Path:
        home.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        return home.logs / f"{self._path.stem}.log"

    def _talk(self, link: socket.socket, selector: selectors.BaseSelector) -> None:
        frames = forks.Frames()
        link.setblocking(False)
        selector.register(self._woken, selectors.EVENT_READ)
        selector.register(link, selectors.EVENT_READ)
        outgoing = bytearray(forks.encode(forks.Hello(os.getpid())))
        self._greeted = False
        look_at = time.monotonic() + _LOOK_S
        while outgoing or not self._closing:
            selector.modify(link, selectors.EVENT_READ | (selectors.EVENT_WRITE if outgoing else 0))
            selector.select(max(0.0, look_at - time.monotonic()) if self._has_work() else None)
            self._drain()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + _LOOK_S
                self._look(link)
            heard = forks.receive(link, frames)
            if heard is None:
                break
            self._note(heard)
            outgoing += self._take_outbox()
            try:
                del outgoing[: link.send(outgoing)]
            except BlockingIOError:
                continue
            except OSError:
                break
        self._reap()

    def _has_work(self) -> bool:
        with self._lock:
            return any(status.state != "ended" for status in self._statuses.values())

    def _look(self, link: socket.socket) -> None:
        """Kill a fork server that somebody has stopped: it is not slow, and nobody may ever let it go on.

        Looks are counted and not time, so that an owner which stood still itself has seen nothing meanwhile.
        """
        pid = _peer_pid(link)
        self._stopped_s = self._stopped_s + _LOOK_S if _is_stopped(pid) else 0.0
        if self._stopped_s >= STOPPED_S:
            self._stopped_s = 0.0
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _take_outbox(self) -> bytes:
        if not self._greeted:
            return b""
        with self._lock:
            messages, self._outbox = self._outbox, []
        return b"".join(map(forks.encode, messages))

    def _note(self, heard: list[forks.Message]) -> None:
        with self._lock:
            for message in heard:
                if isinstance(message, forks.Welcome):
                    for status in message.statuses:
                        self._keep(status)
                    # What is neither there nor still to be sent was lost on the way.
                    self._end_others({handle_of(status) for status in message.statuses}, "lost", "it never arrived")
                    self._greeted = self.settled = True
                elif isinstance(message, forks.Changed):
                    self._keep(message.status)

    def _keep(self, status: Status) -> None:
        handle = handle_of(status)
        if handle not in self._statuses:
            self._adopted.append(handle)
        self._statuses[handle] = status

    def _mourn(self, cause: Cause, detail: str) -> None:
        """End every attempt that was sent; when no fork server can be started, the others too."""
        with self._lock:
            if cause != "lost":
                self._outbox.clear()
            self._end_others(set(), cause, detail)

    def _end_others(self, told: set[Handle], cause: Cause, detail: str) -> None:
        kept = told | {handle_of(message.spec) for message in self._outbox if isinstance(message, forks.Launch)}
        for handle, status in self._statuses.items():
            if status.state != "ended" and handle not in kept:
                self._statuses[handle] = msgspec.structs.replace(status, state="ended", cause=cause, detail=detail)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass

    def _reap(self) -> None:
        process = self._process
        if process is None:
            return
        if self._closing:
            # It outlives this process, which need not warn about that.
            process.returncode = process.poll() or 0
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1.0)


def _peer_pid(link: socket.socket) -> int:
    """Return the process that listens at the other end; 0 where the kernel does not tell."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return 0
    pid, _, _ = _CREDENTIALS.unpack(link.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return int(pid)


def _is_stopped(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state == "T"


def handle_of(thing: Spec | Status) -> Handle:
    """Return the handle of an attempt."""
    return Handle(thing.run_id, thing.attempt)
