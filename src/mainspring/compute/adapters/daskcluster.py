"""A Dask cluster of this machine, as a process that outlives the owner and ends when nobody uses it any more."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dask
from distributed import LocalCluster, Security

IDLE_S = 60.0
"""It ends when so long no client was there and no task."""

START_S = 90.0
"""In which it must be there."""

_LOOK_S = 1.0
_NOBODY = "fire-and-forget"
"""Dask's name for who wants what is to be done though nobody waits for it."""


def await_cluster(settings: dict[str, Any]) -> tuple[str, Security]:
    """Return the address of the cluster of a pool, and the keys to it; start it when there is none.

    Raises
    ------
    TimeoutError
        It did not start.
    """
    folder = Path(settings["folder"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    until, started = time.monotonic() + START_S, None
    while time.monotonic() < until:
        if _is_held(folder):
            with contextlib.suppress(OSError, ValueError):
                address = str(json.loads((folder / "cluster.json").read_text())["address"])
                return address, _read_keys(folder)
        elif started is None or started.poll() is not None:
            started = _start(folder, settings)
        time.sleep(0.1)
    raise TimeoutError(f"it has not started within {START_S:.0f} s; {folder / 'cluster.log'} may tell why")


def run(settings: dict[str, Any]) -> None:
    """Be the cluster, unless another process is."""
    folder = Path(settings["folder"])
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        told = folder / "cluster.json"
        told.unlink(missing_ok=True)
        # Pages about the cluster would be open to everybody on this machine.
        dask.config.set({"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []})
        security = Security.temporary()
        _write_keys(folder, security)
        with LocalCluster(
            n_workers=settings["workers"],
            threads_per_worker=settings["threads"],
            processes=True,
            host="127.0.0.1",
            protocol="tls",
            security=security,
            dashboard_address=None,
            local_directory=str(folder),
            resources={"GPU": settings["gpus"]} if settings["gpus"] else None,
        ) as cluster:
            draft = told.with_suffix(".draft")
            draft.write_text(json.dumps({"address": cluster.scheduler_address}))
            draft.replace(told)
            _await_end(cluster)
        told.unlink(missing_ok=True)


def _await_end(cluster: LocalCluster) -> None:
    used_at = time.monotonic()
    while time.monotonic() - used_at < IDLE_S:
        scheduler = cluster.scheduler
        if set(scheduler.clients) - {_NOBODY} or scheduler.tasks:
            used_at = time.monotonic()
        time.sleep(_LOOK_S)


def _start(folder: Path, settings: dict[str, Any]) -> subprocess.Popen[bytes]:
    with (folder / "cluster.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "mainspring.compute.adapters.daskcluster", json.dumps(settings)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )


def _is_held(folder: Path) -> bool:
    """Tell whether a process is the cluster."""
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _write_keys(folder: Path, security: Security) -> None:
    for name, text in (("authority", security.tls_ca_file), ("key", security.tls_client_key)):
        path = folder / f"{name}.pem"
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - a mode is given
            file.write(text)


def _read_keys(folder: Path) -> Security:
    authority = str(folder / "authority.pem")
    return Security(
        tls_ca_file=authority,
        tls_client_cert=authority,
        tls_client_key=str(folder / "key.pem"),
        require_encryption=True,
    )


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
