"""Jupyter in a run: a server of this machine alone, which ends when nobody works in it any more."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from mainspring.domain.errors import Failed, NotFound
from mainspring.domain.home import Home
from mainspring.sdk.commands import find_port
from mainspring.sdk.context import active_run, tell_process
from mainspring.sdk.idling import Watch, measure_cpu

_PROGRAMS = ("jupyterlab", "notebook", "jupyter_server")
_ADDRESS = "127.0.0.1"
_LOOK_S = 1.0
_ANSWER_S = 10.0
_START_S = 120.0
_GRACE_S = 10.0


class Door(msgspec.Struct, frozen=True):
    """Where the notebook of a session answers, and the token that lets in; only this user reads it."""

    url: str
    pid: int


def name_door(home: Home, run_id: str) -> Path:
    """Return the file in which the worker of a session tells where it answers."""
    return home.runtime / f"n-{run_id[-12:]}.json"


def read_door(path: Path) -> Door:
    """Read where the notebook of a session answers."""
    return msgspec.json.decode(path.read_bytes(), type=Door)


def find_jupyter() -> str:
    """Return the module by which Jupyter is started with this interpreter.

    Raises
    ------
    NotFound
        SESSION-001 when there is none.
    """
    found = next((name for name in _PROGRAMS if find_spec(name) is not None), None)
    if found is None:
        raise NotFound("SESSION-001", f"Jupyter is not installed for {sys.executable}")
    return found


def run_notebook(idle_s: float) -> dict[str, object]:
    """Hold a Jupyter server until it ends, or nobody has worked in it for too long; return how it ended.

    Parameters
    ----------
    idle_s : float
        Without a word between a browser or kernel and the server, and without anything that works.

    Raises
    ------
    NotFound
        SESSION-001 when Jupyter is not installed here.
    Failed
        SESSION-002 when it does not start.

    Notes
    -----
    Guarantees: it listens on the loopback address only, and lets in who has a token of 256 bits, which stands in no
    record, log or list of processes.
    """
    active = active_run()
    assert active is not None
    module, port, token = find_jupyter(), find_port(), secrets.token_hex(32)
    words = [sys.executable, "-m", module, "--no-browser", f"--ip={_ADDRESS}", f"--port={port}"]
    words += ["--ServerApp.port_retries=0", *(["--allow-root"] if os.geteuid() == 0 else [])]
    # The token travels as a variable: words are seen by all users of the machine.
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, env={**os.environ, **tell_process(), "JUPYTER_TOKEN": token}
    )
    door = name_door(active.client.home, active.run.id)
    try:
        _await(process, port, token)
        _tell(door, Door(f"http://{_ADDRESS}:{port}/?token={token}", os.getpid()))
        return {"ended": _watch(process, port, token, idle_s), "status": process.poll()}
    finally:
        door.unlink(missing_ok=True)
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()


def _await(process: subprocess.Popen[bytes], port: int, token: str) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise Failed("SESSION-002", f"Jupyter has ended with status {process.returncode} before it answered")
        if _ask(port, token) is not None:
            return
        time.sleep(_LOOK_S / 5)
    raise Failed("SESSION-002", f"Jupyter has not answered for {_START_S:.0f} s")


def _watch(process: subprocess.Popen[bytes], port: int, token: str, idle_s: float) -> str:
    """Wait until the server ends or is idle for too long; return which: ``exit`` or ``idle``."""
    watch, seen = Watch(idle_s, time.monotonic(), measure_cpu(process.pid)), ""
    while True:
        try:
            process.wait(_LOOK_S)
            return "exit"
        except subprocess.TimeoutExpired:
            pass
        told = _ask(port, token)
        last = str(told.get("last_activity", "")) if told is not None else seen
        now = time.monotonic()
        if last != seen:
            watch.note(now)
        seen = last
        if watch.is_over(now, measure_cpu(process.pid)):
            return "idle"


def _ask(port: int, token: str) -> dict[str, Any] | None:
    """Return what the server tells of itself; None while it does not answer. To be asked is no activity to it."""
    request = urllib.request.Request(
        f"http://{_ADDRESS}:{port}/api/status", headers={"Authorization": f"token {token}"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with contextlib.suppress(OSError, ValueError), opener.open(request, timeout=_ANSWER_S) as answer:
        told = json.load(answer)
        return told if isinstance(told, dict) else None
    return None


def _tell(path: Path, door: Door) -> None:
    making = path.with_suffix(".part")
    making.unlink(missing_ok=True)
    with open(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - a mode is given
        file.write(msgspec.json.encode(door))
    making.rename(path)
