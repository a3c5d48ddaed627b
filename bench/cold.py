"""A first script of three steps: in an empty home, and in one whose owner has ended."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.figures import Figure
from bench.processes import find_processes, measure_cpu, read_own_cpu_s

_CALM_S = 0.15
"""Seconds in which the owner has done what the end of the script left it to do."""


class Spent(NamedTuple):
    """CPU seconds of a script, with all that it waits for, and of the owner that it has started."""

    script: float
    owner: float


def measure_cold(repeats: int) -> list[Figure]:
    """Run the script in homes without an owner, each time twice."""
    pairs = [_run_twice() for _ in range(repeats + 1)][1:]
    empty, known = ([pair[place] for pair in pairs] for place in (0, 1))
    how = "CPU of script and owner, starts of Python and Git included"
    return [
        Figure("cold script", [sum(each) for each in empty], "s", 0.35, f"{how}; the home is empty"),
        Figure("cold script, known home", [sum(each) for each in known], "s", None, f"{how}; its owner had ended"),
        Figure("cold script, owner alone", [each.owner for each in empty], "s", None, "after it has left its starter"),
    ]


def _run_twice() -> tuple[Spent, Spent]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        return _run(home), _run(home)


def _run(home: Path) -> Spent:
    command = [sys.executable, "-m", "bench.three"]
    try:
        (script_ms,) = measure_cpu(command, 1, warm=False, MAINSPRING_HOME=str(home), MAINSPRING_PROGRESS="0")
        time.sleep(_CALM_S)
        return Spent(script_ms / 1000, read_own_cpu_s(find_processes(home)))
    finally:
        for pid in find_processes(home):
            os.kill(pid, signal.SIGTERM)
        while find_processes(home):
            time.sleep(0.01)
