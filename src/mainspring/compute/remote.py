"""Engines whose machines are elsewhere: the port is answered at once, from what a thread has learnt there.

An engine to come brings a `Link`, which is that thread, and the reading of its URL.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import msgspec

from mainspring.compute import forks
from mainspring.compute.engine import Cause, Description, Handle, Node, Rejection, Spec, Status
from mainspring.domain.home import Home

_AGAIN_S = 0.25
_SIGNALLED = 128
_TIMED_OUT = 124
_TOLD = {75: "it could not reach the owner", _TIMED_OUT: "its time was over"}
"""What `mainspring.worker.once` means by its exit codes."""

_log = logging.getLogger(__name__)


class Attempt:
    """One that was accepted and not released.

    Attributes
    ----------
    handle : Handle
        Which one.
    spec : Spec or None
        What is still to be handed over; None once it was, or an earlier owner's.
    since : float
        Wall time at which it was accepted.
    signal, grace_s, kill_at : int, float, float or None
        It is to end by that signal, and to be killed so much later, at that monotonic time.
    status : Status
        As the owner is told.
    """

    def __init__(self, handle: Handle, since: float, spec: Spec | None = None) -> None:
        self.handle = handle
        self.spec = spec
        self.since = since
        self.signal = 0
        self.grace_s = 0.0
        self.kill_at: float | None = None
        self.status = Status(handle.run_id, handle.attempt, "starting")

    @property
    def ended(self) -> bool:
        """Nothing more will become of it."""
        return self.status.state == "ended"

    def change(self, **facts: object) -> None:
        """Set fields of its status; one that has ended stays as it is."""
        if not self.ended:
            self.status = msgspec.structs.replace(self.status, **facts)

    def end(self, cause: Cause, detail: str, exit_code: int | None = None, number: int | None = None) -> None:
        """Note how it has ended; one that was told to end is cancelled, whatever else is known."""
        cause = "cancelled" if self.signal and cause in {"", "lost"} else cause
        self.change(state="ended", cause=cause, detail=detail, exit_code=exit_code, signal=number, queued=False)

    def end_by_code(self, code: int) -> None:
        """Note that its process has ended by itself, with an exit code as shells or Python tell it."""
        if code in _TOLD:
            self.end("timeout" if code == _TIMED_OUT else "lost", _TOLD[code], code)
        elif code < 0 or code > _SIGNALLED:
            number = -code if code < 0 else code - _SIGNALLED
            self.end("", f"its process ended with {forks.name_signal(number)}", number=number)
        else:
            self.end("", f"its process ended with exit code {code}", code)


A = TypeVar("A", bound=Attempt)


class Link(ABC, Generic[A]):
    """A thread that speaks to what is elsewhere, and the attempts that it holds.

    Parameters
    ----------
    name : str
        Of the thread.

    Attributes
    ----------
    searched : bool
        It knows what earlier owners have left.

    Notes
    -----
    A link brings `make_attempt`, `look`, `rest`, `list_nodes` and `find_refusal`. Its thread calls `look` and `rest`
    in turn; what other threads may call meanwhile is under `_lock`.
    """

    def __init__(self, name: str) -> None:
        self.searched = False
        self._lock = threading.RLock()
        self._attempts: dict[Handle, A] = {}
        self._woken = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    # --- brought by each -----------------------------------------------------------------

    @abstractmethod
    def make_attempt(self, handle: Handle, since: float, spec: Spec | None = None) -> A:
        """Return what is kept of an attempt."""

    @abstractmethod
    def look(self) -> None:
        """Say what is to be said, and learn what there is; in the thread, may take long."""

    @abstractmethod
    def rest(self) -> None:
        """Wait until the next look; in the thread."""

    @abstractmethod
    def list_nodes(self) -> list[Node]:
        """Return the machines, as they were told last."""

    @abstractmethod
    def find_refusal(self, spec: Spec) -> str:
        """Tell why an attempt can never be executed there; empty when it can, or nothing is known yet."""

    def drop(self, attempt: A) -> None:
        """Let go what is kept elsewhere of an attempt that was released; under the lock."""

    def tell_logs(self, handle: Handle) -> None:
        """Hear that somebody reads what an attempt prints."""

    # --- called by the engine ------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def accept(self, spec: Spec) -> None:
        """Have an attempt executed, unless it is held already."""
        handle = Handle(spec.run_id, spec.attempt)
        with self._lock:
            if handle not in self._attempts:
                self._attempts[handle] = self.make_attempt(handle, time.time(), spec)
        self._woken.set()

    def status(self, handle: Handle) -> Status | None:
        """Return where an attempt is; None when it is not held."""
        with self._lock:
            found = self._attempts.get(handle)
            return found.status if found is not None else None

    def list_accepted(self, since: float) -> list[Handle]:
        """Return what was accepted since a wall time and not released."""
        with self._lock:
            return [each.handle for each in self._attempts.values() if each.since >= since]

    def cancel(self, handles: Iterable[Handle], grace_s: float, number: int) -> None:
        """Have attempts signalled, and killed after the grace."""
        kill_at = time.monotonic() + grace_s
        with self._lock:
            for handle in handles:
                found = self._attempts.get(handle)
                if found is not None and not found.ended:
                    # A second, shorter grace counts; a second signal might interrupt the first clean-up.
                    found.signal = found.signal or number
                    found.grace_s = grace_s
                    found.kill_at = min(found.kill_at or kill_at, kill_at)
                    self.hurry()
        self._woken.set()

    def hurry(self) -> None:
        """Hear that an attempt is to end; under the lock."""

    def forget(self, handles: Iterable[Handle]) -> None:
        """Let ended attempts go."""
        with self._lock:
            for handle in handles:
                found = self._attempts.pop(handle, None)
                if found is not None:
                    self.drop(found)
        self._woken.set()

    def close(self) -> None:
        """End the thread; what is executed elsewhere goes on."""
        self._closing = True
        self._woken.set()
        self._thread.join(2.0)

    # --- the thread ----------------------------------------------------------------------

    def _live(self) -> None:
        while not self._closing:
            self._woken.clear()
            try:
                self.look()
            except Exception:  # noqa: BLE001 - one surprise must not leave all attempts without anybody who looks
                _log.exception("%s: a look failed", self._thread.name)
                time.sleep(_AGAIN_S)
            if not self._closing:
                self.rest()

    def _list_live(self) -> list[A]:
        with self._lock:
            return [each for each in self._attempts.values() if not each.ended]


class RemoteEngine:
    """Executes runs on machines elsewhere.

    Parameters
    ----------
    home : Home
        Whose runs it executes; what they print is copied to it.
    description : Description
        What the engine can do.
    link : Link
        Speaks to those machines; it is begun here.

    Notes
    -----
    Guarantees: no method waits for another machine. An attempt is handed over once, however often it was submitted.
    """

    def __init__(self, home: Home, description: Description, link: Link[A]) -> None:
        self._home = home
        self._description = description
        self._link = link
        link.start()

    def describe(self) -> Description:
        """Return what the engine can do."""
        return self._description

    def capacity(self) -> list[Node]:
        """Return the machines, as they were told last; errors are those of the link."""
        return self._link.list_nodes()

    def submit(self, specs: Sequence[Spec]) -> list[Handle | Rejection]:
        """Accept attempts."""
        return [self._submit(spec) for spec in specs]

    def poll(self, handles: Sequence[Handle]) -> list[Status]:
        """Return where attempts are."""
        return [self._poll(handle) for handle in handles]

    def cancel(self, handles: Sequence[Handle], grace_s: float, signal: int) -> None:
        """Signal attempts, kill what is left after the grace."""
        self._link.cancel(handles, grace_s, signal)

    def logs(self, handle: Handle, offset: int, limit_bytes: int) -> tuple[bytes, int]:
        """Return what an attempt printed, as far as it was copied, and how much in all."""
        self._link.tell_logs(handle)
        return forks.read_log(self._home, handle.run_id, handle.attempt, offset, limit_bytes)

    def adopt(self, since: float) -> list[Handle]:
        """Find attempts of this and earlier owners."""
        return self._link.list_accepted(since)

    def release(self, handles: Sequence[Handle]) -> None:
        """Forget ended attempts; their text is in the home."""
        self._link.forget(handles)

    def close(self) -> None:
        """Let go; attempts go on."""
        self._link.close()

    def _submit(self, spec: Spec) -> Handle | Rejection:
        handle = Handle(spec.run_id, spec.attempt)
        if self._link.status(handle) is None:
            refusal = self._link.find_refusal(spec)
            if refusal:
                return Rejection(spec.run_id, spec.attempt, refusal)
            self._link.accept(spec)
        return handle

    def _poll(self, handle: Handle) -> Status:
        # Asked before what is held is: one that is found meanwhile is never called lost.
        found_all = self._link.searched
        status = self._link.status(handle)
        if status is not None:
            return status
        if not found_all:
            detail = "what earlier owners have left is still being found"
            queued = self._description.owns_queue
            return Status(handle.run_id, handle.attempt, "starting", detail=detail, queued=queued)
        return Status(handle.run_id, handle.attempt, "ended", cause="lost", detail="nothing is known of it there")
