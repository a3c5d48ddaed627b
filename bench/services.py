"""What a service costs: CPU of its process for each request, captures and signature on."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure
from bench.processes import read_memory_mb

_NAME = "bench"
_WIDE = 30
_PATH = f"/v2/models/{_NAME}/infer"


def measure_services(repeats: int) -> list[Figure]:
    """Serve a scaled logistic regression as ONNX and ask it with 1, 16 and 64 connections."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for inputs in (1, _WIDE):
            width = "" if inputs == 1 else f"{inputs} inputs, "
            how = f"one row of {inputs} input{'s' if inputs > 1 else ''}, JSON, CPU of the process"
            with _serve(Path(folder) / str(inputs), inputs) as (pid, port):
                for connections, budget in ((64, 55 if inputs == 1 else None), (16, None), (1, None)):
                    values = [_spend(pid, port, connections, inputs, turn) for turn in range(repeats)]
                    figures.append(Figure(f"ONNX, {width}c={connections}", values, "us", budget, how))
                if inputs == 1:
                    memory = Figure("memory", [read_memory_mb(pid)], "MB", None, "proportional, after the requests")
            with _serve(Path(folder) / f"{inputs}-single", inputs, batch_rows=1) as (pid, port):
                values = [_spend(pid, port, 64, inputs, turn) for turn in range(repeats)]
                budget = 100 if inputs == 1 else None
                figures.append(
                    Figure(f"unbatched, {width}c=64", values, "us", budget, f"{how}, the model's own with it")
                )
    return [*figures, memory]


@contextmanager
def _serve(folder: Path, inputs: int, **limits: int) -> Iterator[tuple[int, int]]:
    from mainspring.serving.files import Desired, DesiredRevision, Limits, read_status, write_desired

    files = _save_model(folder / "model", inputs)
    service = folder / "service"
    revision = DesiredRevision(1, "bench@1", "bench", files, 100)
    write_desired(service, Desired(1, _NAME, revisions=[revision], limits=Limits(**limits)))
    plane = subprocess.Popen([sys.executable, "-m", "mainspring.serving.plane", str(service)])
    try:
        while (status := read_status(service)) is None or not status.ready:
            time.sleep(0.05)
        yield plane.pid, int((service / "port").read_text())
    finally:
        plane.terminate()
        plane.wait()


def _save_model(folder: Path, inputs: int) -> dict[str, str]:
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from mainspring.models.package import build_package

    rows = np.random.default_rng(0).normal(size=(1000, inputs)).astype(np.float32)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, rows[:, 0] > 0)
    package = build_package(model, {f"x{number}": rows[:, number] for number in range(inputs)})
    folder.mkdir(parents=True)
    for name, content in package.files.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in package.files}


def _spend(pid: int, port: int, connections: int, inputs: int, turn: int) -> float:
    """Return the CPU microseconds of the process for each of some requests."""
    total = 100 * connections if connections > 1 else 500
    tensors = [{"name": f"x{number}", "shape": [1], "datatype": "FP32", "data": [0.5]} for number in range(inputs)]

    def make(number: int) -> bytes:
        body = json.dumps({"id": f"{connections}-{turn}-{number}", "inputs": tensors}).encode()
        return b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (
            _PATH.encode(),
            len(body),
            body,
        )

    before = _read_cpu_us(pid)
    _ask(port, connections, total, make)
    return (_read_cpu_us(pid) - before) / total


def _ask(port: int, connections: int, total: int, make: Callable[[int], bytes]) -> None:
    """Keep a request in flight on each connection until `total` are answered."""
    poll = select.epoll()
    sockets = {}
    for number in range(connections):
        made = socket.create_connection(("127.0.0.1", port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[made.fileno()] = made
        poll.register(made.fileno(), select.EPOLLIN)
        made.sendall(make(number))
    sent, answered = connections, 0
    halves: dict[int, bytes] = {}
    while answered < total:
        for handle, _ in poll.poll():
            reply = halves.pop(handle, b"") + sockets[handle].recv(65536)
            if not _is_whole(reply):
                halves[handle] = reply
                continue
            answered += 1
            if sent < total:
                sockets[handle].sendall(make(sent))
                sent += 1
    for made in sockets.values():
        made.close()
    poll.close()


def _is_whole(reply: bytes) -> bool:
    if not reply.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(reply.decode(errors="replace"))
    head, _, body = reply.partition(b"\r\n\r\n")
    return len(body) == int(head.partition(b"content-length: ")[2].partition(b"\r")[0])


def _read_cpu_us(pid: int) -> float:
    """Return the CPU of all threads; the kernel counts it in nanoseconds there."""
    threads = (Path("/proc") / str(pid) / "task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1000
