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
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from mainspring.compute import forks
from mainspring.compute.devices import VISIBLE
from mainspring.compute.engine import Spec
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Interrupted, MainspringError
from mainspring.domain.gangs import list_variables
from mainspring.domain.home import Home
from mainspring.domain.messages import Lease, LeaseRun
from mainspring.domain.records import Call
from mainspring.sdk.client import Client, connect_home
from mainspring.sdk.commands import find_port
from mainspring.sdk.companion import companion_of
from mainspring.sdk.context import RUN, enter_run
from mainspring.sdk.exposures import forget_exposure
from mainspring.sdk.provenance import host_name
from mainspring.security.tokens import WORKER_PREFIX
from mainspring.tracking.journal import Unkept
from mainspring.worker import execute
from mainspring.worker.capture import Usage, capture, flush
from mainspring.worker.preload import find_third_party
from mainspring.worker.scratch import Scratch

_ENDED_BY_SIGNAL = 128 + signal.SIGTERM
_MEET_S = 20.0
"""So long an answer may take that waits for the first of a gang; then it is asked again."""


Connect = Callable[[str], Client]
"""project -> Client."""

Log = Callable[[Spec], AbstractContextManager[None]]
"""Within it, what the process prints goes where the attempt's text belongs."""


class Terminated(Interrupted):
    """The engine ends this run: it was cancelled, or its time is over."""


class Worker:
    """One worker process.

    Parameters
    ----------
    home : Home
        Whose runs it executes.
    link : socket
        To what has made it, a fork server for instance; blocking.
    connect : callable
        Gives the client of a project.
    log : callable
        Sends what is printed to the text of an attempt.
    name : str, optional
        By which it leases; a worker that is to go on as another process has one that both know.

    Attributes
    ----------
    refused : bool
        The owner had nothing for it, or could not be asked.
    """

    def __init__(self, home: Home, link: socket.socket, connect: Connect, log: Log, name: str = "") -> None:
        self._home = home
        self._link = link
        self._connect = connect
        self._log = log
        self._name = name or secrets.token_hex(8)
        self.refused = False
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
        with self._log(spec):
            self._client = self._connect(spec.project)
            lease = take_lease(self._client, spec, self._name)
            self.refused = lease is None or lease.run is None
            if lease is not None and lease.run is not None:
                forget_exposure()
                if spec.devices:
                    os.environ[VISIBLE] = ",".join(spec.devices)
                if spec.gang is not None:
                    gang = spec.gang
                    os.environ |= list_variables(gang.rank, gang.nodes, gang.address, lease.port)
                os.environ["MAINSPRING_PROJECT"] = spec.project
                self._client.work_for(WORKER_PREFIX + spec.token)
                self._work(spec, lease)
        self._scratch.remove()
        if self._ending:
            os._exit(_ENDED_BY_SIGNAL)
        self._mark("idle", self._learn())

    def _work(self, spec: Spec, lease: Lease) -> None:
        assert lease.run is not None
        crash_point("worker.leased")
        self._mark("running")
        usage = Usage()
        companion = companion_of(self._client)
        with enter_run(lease.run, self._client, Unkept() if lease.rank else None) as active:
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


def take_lease(client: Client, spec: Spec, name: str) -> Lease | None:
    """Ask for the run that an attempt stands for; None when the owner refuses, or cannot be asked.

    The first of a gang offers a port at which the others will meet it; those wait until it has.
    """
    asked = LeaseRun(worker_id=name, pid=os.getpid(), token=spec.token, host=host_name())
    if spec.gang is not None:
        asked.rank, asked.wait_s = spec.gang.rank, _MEET_S
        asked.port = 0 if spec.gang.rank else find_port()
    try:
        lease: Lease = client.ask(asked)
        while lease.run is None and lease.rank:
            lease = client.ask(asked)
    except MainspringError as error:
        sys.stderr.write(f"{error}\n")
        return None
    return lease


def serve(home: Home, link: socket.socket) -> None:
    """Live as a worker in a process that was just forked."""
    # Whoever asks for a client in here works in this home, whatever server the user has logged in to.
    os.environ["MAINSPRING_HOME"] = str(home.root)
    os.environ.pop("MAINSPRING_URL", None)
    begin_anew()
    Worker(home, link, partial(connect_home, home), partial(_open_log, home)).serve()
    flush()


def begin_anew() -> None:
    """Leave behind what a process was that has become a worker by a fork."""
    # What the user's code calls `__main__` is not the fork server, nor is logging set up as it has it.
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv = [""]
    os.environ.pop(RUN, None)  # whoever started the owner may have been a command
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _reseed()


def _open_log(home: Home, spec: Spec) -> AbstractContextManager[None]:
    return capture(forks.log_path(home, spec.run_id, spec.attempt), spec.attempt)


def _reseed() -> None:
    # The standard library seeds `random` anew after a fork; NumPy's global generator would be
    # the same in every worker.
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
