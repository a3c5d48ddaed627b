"""Fresh processes and what they cost: CPU by the kernel's count, memory by /proc."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def measure_cpu(command: Sequence[str], repeats: int, *, warm: bool = True, **environment: str) -> list[float]:
    """Run a command in fresh processes and return the CPU milliseconds of each; to be `warm`, it is run once before."""
    if warm:
        run(command, **environment)
    return [_spend(command, environment) for _ in range(repeats)]


def run(command: Sequence[str], **environment: str) -> str:
    """Run a command and return what it printed.

    Raises
    ------
    CalledProcessError
        It ended with another code than 0.
    """
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=sys.stderr, text=True, env={**os.environ, **environment}
    )
    return done.stdout


def read_cpu_s(pids: Sequence[int]) -> float:
    """Return the CPU seconds that processes and their ended children have spent."""
    total = 0
    for pid in pids:
        try:
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / _TICKS


def read_own_cpu_s(pids: Sequence[int]) -> float:
    """Return the CPU seconds of processes to the nanosecond, without threads and children that have ended."""
    total = 0
    for pid in pids:
        for thread in (_PROC / str(pid) / "task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def read_memory_mb(pid: int) -> float:
    """Return the proportional memory of a process in MB: pages that several share count in parts."""
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"the kernel tells no memory of process {pid}")


def read_resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB, shared pages in full."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def find_processes(home: Path) -> list[int]:
    """Return the processes of a home except this one, by the home in their environment."""
    mark = f"MAINSPRING_HOME={home}".encode()
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def find_children(pid: int) -> list[int]:
    """Return the processes that a process has started and that live."""
    return [int(each) for each in (_PROC / str(pid) / "task" / str(pid) / "children").read_text().split()]


def _spend(command: Sequence[str], environment: dict[str, str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(command, **environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
