"""What workers of Dask execute: it needs nothing but this package there, and Dask itself only for where to write."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mainspring.compute import keeper
from mainspring.compute.devices import VISIBLE, choose_devices, find_devices

KEPT = "_MAINSPRING_KEPT"
"""Marks the processes of an attempt, so that what it has left is found."""

_LOOK_S = 0.2
_ENDED = 143

_lock = threading.Lock()
_asked: dict[str, dict[str, Any]] = {}
_used: dict[str, float] = {}


def execute(folder: str, name: str, variables: dict[str, str], gpus: float, python: str) -> str:
    """Execute an attempt in a process of its own, unless it has been begun; tell why that could not be.

    Nothing is raised: Dask would write the arguments, which hold a token, into its log.
    """
    place = _find_folder(folder) / keeper.check_name(name)
    try:
        place.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        return ""
    pid = os.getpid()
    keeper.write(place / "keeper.json", {"pid": pid, "start": keeper.start_of(pid), "at": time.time()})
    if name in _asked:
        keeper.write(place / "end.json", {"code": _ENDED})
        return ""
    with _lend_devices(gpus) as devices:
        own = {KEPT: name} | ({VISIBLE: ",".join(devices)} if devices else {})
        try:
            worker = subprocess.Popen(
                [python or sys.executable, "-P", "-m", "mainspring.worker.once"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **variables, **own},
                cwd=place,
                start_new_session=True,
            )
        except OSError as fault:
            return f"no process could be made for it: {fault.strerror}"
        keeper.write(place / "worker.json", {"pid": worker.pid})
        _keep(place, name, worker)
    keeper.write(place / "end.json", {"code": worker.returncode})
    return ""


def exchange(request: dict[str, Any], dask_worker: Any = None) -> dict[str, Any]:
    """End and forget attempts of this worker, and tell where all are and what they have printed since."""
    folder = Path(dask_worker.local_directory) / f"mainspring-{request['mark']}"
    for each in request["end"]:
        _asked.setdefault(keeper.check_name(each["name"]), each | {"kill_at": time.monotonic() + each["grace_s"]})
    for name in request["forget"]:
        _asked.pop(name, None)
        keeper.forget(folder / keeper.check_name(name))
    return keeper.tell_all(folder, request)


def _find_folder(folder: str) -> Path:
    from distributed import get_worker

    return Path(get_worker().local_directory) / folder


@contextlib.contextmanager
def _lend_devices(gpus: float) -> Iterator[tuple[str, ...]]:
    """Give devices of this worker to an attempt; that there are enough, Dask sees to by its resources."""
    share = min(gpus, 1.0)
    with _lock:
        devices = choose_devices(find_devices() or [str(number) for number in range(64)], _used, gpus) if gpus else ()
        for each in devices:
            _used[each] = _used.get(each, 0.0) + share
    try:
        yield devices
    finally:
        with _lock:
            for each in devices:
                _used[each] -= share


def _keep(place: Path, name: str, worker: subprocess.Popen[bytes]) -> None:
    """Copy what a process prints until it has ended, and end it when that was asked for."""
    signalled = False
    with (place / "text").open("ab", 0) as text:
        assert worker.stdout is not None
        pipe = worker.stdout.fileno()
        while worker.poll() is None:
            keeper.copy(pipe, text, _LOOK_S)
            asked = _asked.get(name)
            if asked is not None and not signalled:
                signalled = True
                worker.send_signal(asked["signal"])
            if asked is not None and time.monotonic() >= asked["kill_at"]:
                end_kept(name)
                worker.kill()
        if worker.returncode < 0:  # the guard is gone that would have ended the others
            end_kept(name)
        while keeper.copy(pipe, text, 0.0):
            pass
    worker.stdout.close()


def end_kept(name: str) -> None:
    """Kill all processes of an attempt, daemons too, until none is found."""
    mark = f"{KEPT}={name}".encode()
    for _ in range(10):
        found = [int(each.name) for each in Path("/proc").glob("[0-9]*") if _bears(each, mark)]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.02)


def _bears(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
