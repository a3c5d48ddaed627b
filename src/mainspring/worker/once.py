"""Executes one attempt of a run, on any machine, and ends: ``python -P -m mainspring.worker.once``.

What an engine gives it stands in variables. ``MAINSPRING_ATTEMPT`` is the `Spec`, in MessagePack and base64.
``MAINSPRING_HOME`` is the home's folder, where this machine has it and its owner answers at its socket; elsewhere
``MAINSPRING_URL`` names a server of the home and ``MAINSPRING_CERTIFICATE`` the SHA-256 of its certificate, and the
attempt's own token is what it shows there. What it prints is the text of the attempt.

It ends with 0 when the owner has its result, also that of a run that failed; with 75 when the owner could not be
reached, 124 when the time of the run was over, 143 when it was told to end by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mainspring.compute import forks
from mainspring.compute.attempts import VARIABLE, read_attempt
from mainspring.compute.engine import Spec, Status
from mainspring.domain.errors import Failed, MainspringError, Unavailable
from mainspring.domain.gangs import split_member
from mainspring.domain.home import Home
from mainspring.domain.messages import FinishRun, GetRun
from mainspring.domain.wire import describe
from mainspring.sdk.client import connect_home, get_client
from mainspring.sdk.homes import current_home, current_project
from mainspring.sdk.wires import dial
from mainspring.security.masks import sweep
from mainspring.security.tokens import WORKER_PREFIX
from mainspring.worker import execute, guard
from mainspring.worker.beats import Heart
from mainspring.worker.capture import Usage, flush
from mainspring.worker.distant import DistantHeart, deliver_rest
from mainspring.worker.main import Worker, begin_anew, take_lease

if TYPE_CHECKING:
    from mainspring.sdk.client import Client

NAME = "MAINSPRING_WORKER"
"""By which a worker leases that goes on as the interpreter of an environment."""

REACH_S = 30.0
"""Seconds in which the owner must answer at its socket."""

_MISUSED = 64
_CAUSES = {"timeout": "RUN-007", "memory": "WORK-006"}


def run(arguments: Sequence[str] | None = None) -> int:
    """Execute the attempt that the variables name; return the exit code."""
    parser = argparse.ArgumentParser(prog="mainspring.worker.once")
    parser.add_argument("--link", type=int, default=-1, help="of a worker that goes on in an environment")
    given = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", message=".*use of fork.. may lead to deadlocks", category=DeprecationWarning)
    try:
        spec = read_attempt(os.environ)
    except MainspringError as error:
        sys.stderr.write(f"{error}\n")
        return _MISUSED
    if given.link >= 0:
        _start_no_owner()
        begin_anew()
        _work(socket.socket(fileno=given.link))
        return 0
    _prepare(spec)
    _start_no_owner()
    far = bool(os.environ.get("MAINSPRING_URL"))
    if not far:
        try:
            _await_owner(current_home())
        except Unavailable as error:
            sys.stderr.write(f"{error}\n")
            return guard.UNREACHABLE
    heart = DistantHeart() if far else Heart(current_home().socket)
    status, code = guard.Guard(spec, heart, partial(_serve, spec)).watch()
    return _report(spec, status, far=far) or code


def _prepare(spec: Spec) -> None:
    """Set the variables of the attempt's process; whoever asks for a client in it works where the attempt does."""
    threads = str(max(1, int(spec.resources.cpus)))
    os.environ |= dict.fromkeys(forks.THREAD_VARIABLES, threads) | spec.variables
    os.environ["MAINSPRING_PROJECT"] = spec.project
    if spec.devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(spec.devices)
    if os.environ.get("MAINSPRING_URL"):
        os.environ["MAINSPRING_TOKEN"] = WORKER_PREFIX + spec.token
    if spec.attempt > 1:
        sys.stderr.write(f"--- attempt {spec.attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')} ---\n")
        sys.stderr.flush()


def _start_no_owner() -> None:
    """Have whoever asks for a client in this process wait for an owner: one from here would end with the attempt."""
    if not os.environ.get("MAINSPRING_URL"):
        connect_home(current_home(), current_project(), _await_owner)


def _await_owner(home: Home) -> None:
    """Wait until an owner answers; none is started here, where the record may not be."""
    path = str(home.socket)
    until = time.monotonic() + REACH_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            if (link := dial(path)) is not None:
                link.close()
                return
        time.sleep(0.2)
    raise Unavailable("HOME-001", f"no owner answers at {path}", path=path)


def _serve(spec: Spec, link: socket.socket) -> None:
    """Be the worker of the attempt, in a process that was just forked."""
    if spec.environment:
        _enter(spec, link)
    begin_anew()
    _work(link)


def _work(link: socket.socket) -> None:
    os.environ.pop(VARIABLE, None)
    worker = Worker(get_client().home, link, _connect, _log, os.environ.pop(NAME, ""))
    try:
        worker.serve()
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        flush()
        os._exit(guard.UNREACHABLE)
    if worker.refused:
        sys.stderr.write("the owner has nothing for this attempt: it is over, or was given to another worker\n")
        flush()
        os._exit(guard.UNREACHABLE)
    flush()


def _enter(spec: Spec, link: socket.socket) -> None:
    """Build the environment of the attempt and go on as its interpreter, under the same lease."""
    from mainspring.compute.environments import open_environment

    client, name = get_client(), f"{os.getpid()}-{spec.run_id}"
    lease = take_lease(client, spec, name)
    if lease is None or lease.run is None:
        os._exit(guard.UNREACHABLE)
    link.sendall(forks.encode(forks.Mark("building")))
    try:
        python = open_environment(client.home.environments, client.blobs.get(spec.environment).decode())
    except MainspringError as error:
        sys.stderr.write(f"{error}\n")
        told = partial(link.sendall, forks.encode(forks.Mark("finishing")))
        execute.finish(lease, client, execute.refuse(error.code, error.what), Usage(), told)
        os._exit(0)
    os.set_inheritable(link.fileno(), True)
    variables = {name: text for name, text in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    words = [str(python), "-P", "-m", "mainspring.worker.once", "--link", str(link.fileno())]
    os.execve(python, words, variables | {NAME: name})  # noqa: S606 - the interpreter that uv has built


def _connect(project: str) -> Client:
    del project  # the variables name it
    return get_client()


@contextlib.contextmanager
def _log(spec: Spec) -> Iterator[None]:
    """Leave what is printed where the engine has it go; a secret in a file of its own is overwritten."""
    del spec
    try:
        yield
    finally:
        flush()
        for number in (1, 2):
            path = Path(f"/proc/self/fd/{number}")
            if path.is_file():
                with contextlib.suppress(OSError):
                    sweep(path)


def _report(spec: Spec, status: Status, *, far: bool) -> int:
    """Tell the owner what only this process knows: what the worker had logged, that it was ended, and why."""
    code = _CAUSES.get(status.cause, "")
    if not far and not code:
        return 0  # the owner reads the journal itself
    client = get_client()
    run_id = split_member(spec.run_id)[0]
    try:
        if far:
            deliver_rest(client, spec)
        if code:
            name = client.ask(GetRun(id=run_id)).name
            problem = describe(Failed(code, f"{name}: {status.detail}", run=run_id))
            ended = FinishRun(run_id=run_id, attempt=spec.attempt, fence=spec.fence, state="failed")
            ended.problem, ended.cpu_s, ended.memory_bytes = problem, status.cpu_s, status.memory_bytes
            client.ask(ended)
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return guard.UNREACHABLE
    except MainspringError as error:  # the owner has ended it before, or nobody may speak for it any more
        sys.stderr.write(f"{error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(run())
