"""The servers that are compared: each a fresh record in a folder of its own, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import find_children, find_processes, read_memory_mb

_PATIENCE_S = 240.0


@dataclass
class Server:
    """A tracking server of this machine.

    Attributes
    ----------
    name : str
        Heads its column.
    folder : Path
        Its record; also what its processes are found by.
    port : int
        Of 127.0.0.1.
    process : Popen
        What was started.
    ready_s : float
        Wall seconds from start to its first answer.
    headers : bytes
        What each request carries besides.
    database : int
        Process of the database server that it alone uses, whose children count as its own; 0: it has none.
    """

    name: str
    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    ready_s: float = 0.0
    headers: bytes = b""
    token: str = field(default="", repr=False)
    database: int = 0

    @property
    def url(self) -> str:
        """What a client is given."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pids(self) -> list[int]:
        """Every process of it."""
        of_database = [self.database, *find_children(self.database)] if self.database else []
        return find_processes(self.folder) + of_database

    def read_memory_mb(self) -> float:
        """Return the proportional memory of all its processes."""
        total = 0.0
        for pid in self.pids:
            try:
                total += read_memory_mb(pid)
            except (OSError, RuntimeError):
                continue
        return total

    def end(self) -> None:
        """End it with everything that it started."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in find_processes(self.folder):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def start_mainspring(folder: Path, name: str = "mainspring", record: str = "", database: int = 0) -> Server:
    """Start ``mainspring up`` over a fresh home; `record` is the address of an empty database of PostgreSQL."""
    port = _find_port()
    command = [sys.executable, "-m", "mainspring", "up", "--port", str(port)]
    made = _start(name, folder, port, command, {"MAINSPRING_RECORD": record} if record else {})
    made.database = database
    made.token = (folder / "keys" / "token").read_text().strip()
    made.headers = f"Authorization: Bearer {made.token}\r\n".encode()
    return made


def start_mlflow(python: Path, folder: Path, *, best: bool) -> Server:
    """Start ``mlflow server`` over a fresh SQLite file: at its best (one worker, no jobs), or as it comes."""
    port = _find_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    if best:
        command += ["--workers", "1"]
        settings["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    return _start("mlflow, best" if best else "mlflow, defaults", folder, port, command, settings)


def _start(name: str, folder: Path, port: int, command: list[str], settings: dict[str, str]) -> Server:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAINSPRING_", "MLFLOW_"))}
    environment |= {"MAINSPRING_HOME": str(folder), **settings}
    begun = time.perf_counter()
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    while not _answers(port):
        if process.poll() is not None or time.perf_counter() - begun > _PATIENCE_S:
            process.kill()
            raise RuntimeError(f"{name} did not start; see {folder}.log")
        time.sleep(0.01)
    return Server(name, folder, port, process, time.perf_counter() - begun)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 0.2) as made:
            made.settimeout(10)
            made.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return made.recv(32).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _find_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port
