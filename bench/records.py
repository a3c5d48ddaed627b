"""Acknowledged writes of both kinds of record, each synced: SQLite with FULL, PostgreSQL with fsync."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.figures import Figure
from bench.processes import read_cpu_s
from mainspring.domain.messages import GetStatus, Stop
from mainspring.sdk.client import Client
from mainspring.store.homes import place_home

SECONDS = 3.0
CASES = (("one client", 1, 1), ("8 clients", 8, 1), ("8 clients, 16 at once", 8, 16))


def measure_records(repeats: int) -> list[Figure]:
    """Ask real owners to begin runs, with one client and with many."""
    figures = []
    for record, make in (("SQLite", _in_file), ("PostgreSQL", _in_server)):
        for name, clients, window in CASES:
            rates, costs = [], []
            with make() as address:
                for _ in range(max(1, repeats // 2)):
                    rate, cost = _measure(address, clients, window)
                    rates.append(rate)
                    costs.append(cost)
            cpu = sorted(costs)[len(costs) // 2]
            note = f"acknowledged and on disk; {cpu:.2f} ms of the owner's CPU each"
            figures.append(Figure(f"{record}, {name}", rates, "writes/s", None, note))
    return figures


@contextmanager
def _in_file() -> Iterator[str]:
    yield ""


@contextmanager
def _in_server() -> Iterator[str]:
    from tests.support.postgresql import PostgresqlServer

    server = PostgresqlServer(fsync=True)
    try:
        yield server.make_database("bench")
    finally:
        server.close()


def _measure(address: str, clients: int, window: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MAINSPRING_HOME"] = folder + "/home"
        os.environ["MAINSPRING_RECORD"] = address
        client = Client(place_home(Path(folder) / "home"))
        pid = client.ask(GetStatus()).pid
        before = read_cpu_s([pid])
        command = [sys.executable, "-m", "bench.asker", str(SECONDS), str(window)]
        askers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(clients)]
        counts = [int(asker.communicate()[0]) for asker in askers]
        spent_s = read_cpu_s([pid]) - before
        client.ask(Stop())
        client.close()
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)
        del os.environ["MAINSPRING_RECORD"]
    return sum(counts) / SECONDS, 1000 * spent_s / max(1, sum(counts))


if __name__ == "__main__":
    from bench.figures import print_figures

    print_figures("Record", measure_records(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
