"""A worker process: takes one attempt after another from its fork server."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import secrets
import signal
import socket
import sys
import traceback
import types
from typing import Any

from mainspring.compute import forks
from mainspring.compute.engine import Spec
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Interrupted, MainspringError
from mainspring.domain.home import Home
from mainspring.domain.messages import Lease, LeaseRun
from mainspring.domain.records import Call
from mainspring.sdk.client import connect_home
from mainspring.sdk.companion import companion_of
from mainspring.sdk.context import enter_run
from mainspring.sdk.exposures import forget_exposure
from mainspring.security.tokens import WORKER_PREFIX
from mainspring.worker import execute
from mainspring.worker.capture import Usage, capture, flush
from mainspring.worker.preload import find_third_party
from mainspring.worker.scratch import Scratch

_ENDED_BY_SIGNAL = 128 + signal.SIGTERM


class Terminated(Interrupted):
    """The engine ends this run: it was cancelled, or its time is over."""


class Worker:
    """One worker process.

    Parameters
    ----------
    home : Home
        Whose runs it executes.
    link : socket
        To its fork server, blocking.
    """

    def __init__(self, home: Home, link: socket.socket) -> None:
        self._home = home
        self._link = link
        self._client = connect_home(home)
        self._name = secrets.token_hex(8)
        self._loaded = frozenset(sys.modules)
        self._count = len(sys.modules)
        self._placed = False
        self._scratch = Scratch(home.root / "scratch")
        self._in_code = False
        self._ending = False

    def serve(self) -> None:
        """Take attempts until the fork server closes the link."""
        signal.signal(signal.SIGTERM, self._terminate)
        frames = forks.Frames()
        while True:
            messages = forks.receive(self._link, frames)
            if messages is None:
                return
            for message in messages:
                assert isinstance(message, forks.Launch)
                self._take(message.spec)

    def _take(self, spec: Spec) -> None:
        with capture(forks.log_path(self._home, spec.run_id, spec.attempt), spec.attempt):
            lease = self._lease(spec)
            if lease is not None and lease.run is not None:
                forget_exposure()
                os.environ["MAINSPRING_PROJECT"] = lease.run.project
                self._client = connect_home(self._home, lease.run.project)
                self._client.work_for(WORKER_PREFIX + spec.token)
                self._work(spec, lease)
        self._scratch.remove()
        if self._ending:
            os._exit(_ENDED_BY_SIGNAL)
        self._mark("idle", self._learn())

    def _lease(self, spec: Spec) -> Lease | None:
        pid = os.getpid()
        try:
            lease: Lease = self._client.ask(LeaseRun(worker_id=self._name, pid=pid, token=spec.token))
        except MainspringError as error:
            sys.stderr.write(f"{error}\n")
            return None
        return lease

    def _work(self, spec: Spec, lease: Lease) -> None:
        assert lease.run is not None
        crash_point("worker.leased")
        self._mark("running")
        usage = Usage()
        companion = companion_of(self._client)
        with enter_run(lease.run, self._client) as active:
            companion.hold(active)
            try:
                outcome = self._call(spec, lease)
            except Interrupted:
                # The engine tells the owner why; the log shows where the code was.
                traceback.print_exc()
                with contextlib.suppress(MainspringError):
                    companion.release(active)
                flush()
                self._scratch.remove()
                os._exit(_ENDED_BY_SIGNAL)
            crash_point("worker.ran")
            # Who hears of the end finds all that was printed.
            flush()
            companion.release(active)
            # Within the run: what it has seen says how its result is stored.
            execute.finish(lease, self._client, outcome, usage, lambda: self._mark("finishing"))
        if active.journal.used:
            active.journal.remove()

    def _call(self, spec: Spec, lease: Lease) -> execute.Outcome:
        self._in_code = True
        try:
            if self._ending:
                raise Terminated
            assert lease.call is not None
            problem = self._place(spec, lease.call)
            outcome = problem or execute.call(lease, self._client)
        finally:
            self._in_code = False
        if self._ending:
            # The code has swallowed the word to end; its result came too late all the same.
            raise Terminated
        return outcome

    def _place(self, spec: Spec, call: Call) -> execute.Outcome | None:
        """Take the folder and the paths of the attempts that this worker is for."""
        try:
            if not self._placed:
                sys.path[:0] = (*self._lay_out(call), *spec.paths)
                self._placed = True
            if call.foreign:
                os.chdir(self._scratch.make(spec.run_id))
        except MainspringError as error:
            return execute.refuse(error.code, error.what)
        try:
            # Each time: the code before may have gone elsewhere.
            if spec.folder:
                os.chdir(spec.folder)
        except OSError as fault:
            return execute.refuse("WORK-005", f"the working folder {spec.folder} cannot be entered: {fault.strerror}")
        return None

    def _lay_out(self, call: Call) -> tuple[str, ...]:
        """Lay out the code that came with a call from another machine."""
        if not call.snapshot:
            return ()
        from mainspring.pipelines.snapshots import lay_out_modules

        return (str(lay_out_modules(call.snapshot, self._home.snapshots, self._client.blobs)),)

    def _terminate(self, *_: Any) -> None:
        self._ending = True
        if self._in_code:
            self._in_code = False
            raise Terminated

    def _learn(self) -> tuple[str, ...]:
        if len(sys.modules) == self._count:
            return ()
        found = find_third_party(self._loaded)
        self._loaded |= frozenset(found)
        self._count = len(sys.modules)
        return found

    def _mark(self, stage: str, modules: tuple[str, ...] = ()) -> None:
        self._link.sendall(forks.encode(forks.Mark(stage, modules)))


def serve(home: Home, link: socket.socket) -> None:
    """Live as a worker in a process that was just forked."""
    # Whoever asks for a client in here works in this home, whatever server the user has logged in to.
    os.environ["MAINSPRING_HOME"] = str(home.root)
    os.environ.pop("MAINSPRING_URL", None)
    # What the user's code calls `__main__` is not the fork server, nor is logging set up as it has it.
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = [""]
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _reseed()
    Worker(home, link).serve()
    flush()


def _reseed() -> None:
    # The standard library seeds `random` anew after a fork; NumPy's global generator would be
    # the same in every worker.
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
