"""MLflow inside a run: what a program logs with it, by itself or by autolog, goes to the run with no configuration.

Variables of the environment tell MLflow where the record answers. A socket of this machine stands there; who serves it
is started once somebody connects, and ends with this process.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.security.tokens import digest_token

if TYPE_CHECKING:
    from mainspring.domain.records import Run
    from mainspring.sdk.client import Client
    from mainspring.sdk.remote import RemoteClient

URI = "MLFLOW_TRACKING_URI"
RUN = "MLFLOW_RUN_ID"

_ours: set[str] = set()
"""Addresses that this module has told; one that the user has chosen stays."""
_doors: dict[tuple[int, Path], Door] = {}
_opening = threading.Lock()


class Door:
    """A loopback address of a home for the programs of this process.

    Parameters
    ----------
    home : Path
        Folder of the home.

    Attributes
    ----------
    url : str
        ``http://127.0.0.1:PORT``.
    token : str
        What opens it; it is known to this process alone, and to what it starts.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.token = secrets.token_hex(32)
        threading.Thread(target=self._serve, name="mainspring-loopback", daemon=True).start()

    def _serve(self) -> None:
        """Start who answers once somebody knocks, and again should it end."""
        number = self._listener.fileno()
        words = [sys.executable, "-m", "mainspring.cli.loopback", "--home", str(self._home), "--listener", str(number)]
        variables = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
        while True:
            select.select([number], [], [])
            with subprocess.Popen(words, stdin=subprocess.PIPE, pass_fds=[number], env=variables) as process:
                assert process.stdin is not None
                with contextlib.suppress(BrokenPipeError):  # it could not begin, and has said why
                    process.stdin.write(f"{digest_token(self.token)}\n".encode())
                    process.stdin.flush()
                process.wait()


@contextlib.contextmanager
def log_to(run: Run, client: Client) -> Iterator[None]:
    """Have what MLflow logs inside go to a run, unless the user has said where it goes.

    Parameters
    ----------
    run : Run
        A run that this process holds.
    client : Client
        Of its home or server.

    Notes
    -----
    The variables are those of the whole process: of runs that go on at once in its threads, MLflow sees the one that
    began last.
    """
    chosen = os.environ.get(URI)
    if chosen and chosen not in _ours:
        yield
        return
    told = _describe(run, client)
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    active = _find_active()
    try:
        yield
    finally:
        _end_active(active)
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


def _describe(run: Run, client: Client) -> dict[str, str]:
    told = {}
    if client.remote:
        server = cast("RemoteClient", client)
        url, token = server.url, server.token
        if Path(server.certificate).is_file():
            told["MLFLOW_TRACKING_SERVER_CERT_PATH"] = server.certificate
    else:
        door = _open_door(client.home.root)
        url, token = door.url, client.authority or door.token
    uri = url if run.project == DEFAULT_PROJECT else f"{url}/projects/{run.project}"
    _ours.add(uri)
    # What is begun beside the run itself, such as by a second fit under autolog, lies below it.
    context = msgspec.json.encode({"mlflow.parentRunId": run.id}).decode()
    return {URI: uri, "MLFLOW_TRACKING_TOKEN": token, RUN: run.id, "MLFLOW_RUN_CONTEXT": context, **told}


def _open_door(home: Path) -> Door:
    with _opening:
        door = _doors.get((os.getpid(), home))
        if door is None:
            door = _doors[os.getpid(), home] = Door(home)
        return door


def _find_active() -> str:
    """Return the id of the run that MLflow has active in this thread; empty: none, or it is not loaded."""
    mlflow: Any = sys.modules.get("mlflow")
    active = mlflow.active_run() if mlflow is not None and hasattr(mlflow, "active_run") else None
    return active.info.run_id if active is not None else ""


def _end_active(before: str) -> None:
    """End what was begun inside and left active, or the next run of this process would log to it."""
    mlflow: Any = sys.modules.get("mlflow")
    try:
        while (active := _find_active()) and active != before:
            mlflow.end_run("FINISHED")
    except Exception as fault:  # noqa: BLE001 - a fault of MLflow's client must not hide how the user's code ended
        print(f"MLflow could not end a run: {type(fault).__name__}", file=sys.stderr)  # noqa: T201
