"""The owner of a fresh home: how soon it answers, how much it holds when idle."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

from bench.figures import Figure
from bench.processes import read_cpu_s, read_resident_mb
from mainspring.domain.messages import GetStatus, Stop
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home


def measure_owner(repeats: int) -> list[Figure]:
    """Start owners of fresh homes and of one that exists."""
    fresh: list[float] = []
    known: list[float] = []
    memory: list[float] = []
    cpu: list[float] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            for seconds in (fresh, known):
                ready_s, resident_mb, cpu_s = _start(home)
                seconds.append(ready_s)
            memory.append(resident_mb)
            cpu.append(1000 * cpu_s)
    return [
        Figure("ready, new home", fresh, "s", 0.7, "wall, first command to first answer, schema made"),
        Figure("ready, known home", known, "s", 0.7, "wall"),
        Figure("idle memory", memory, "MB", 110, "resident, one second after"),
        Figure("CPU to ready", cpu, "ms", None, "of the owner, known home, with its first idle second"),
    ]


def _start(root: Path) -> tuple[float, float, float]:
    os.environ["MAINSPRING_HOME"] = str(root)
    home = place_home(root)
    begun, before = time.perf_counter(), _read_children_s()
    start_owner(home)
    client = Client(home)
    status = client.ask(GetStatus())
    ready_s = time.perf_counter() - begun
    time.sleep(1)
    facts = ready_s, read_resident_mb(status.pid), read_cpu_s([status.pid]) + _read_children_s() - before
    client.ask(Stop())
    client.close()
    while home.socket.exists() and Path(f"/proc/{status.pid}").exists():
        time.sleep(0.01)
    return facts


def _read_children_s() -> float:
    """Return the CPU seconds of children that were waited for: the half that starts an owner and leaves."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
