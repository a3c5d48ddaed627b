"""What a step costs: inline, cached, isolated; with lineage, artifact and key committed."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from bench.figures import Figure
from bench.processes import find_processes, measure_cpu, read_cpu_s, run

_COUNT = 200
_FEW = 20


def measure_steps(repeats: int) -> list[Figure]:
    """Run the workload in fresh homes."""
    facts = [_run() for _ in range(repeats)]

    def take(name: str, index: int) -> list[float]:
        return [each[name][index] for each in facts]

    how = f"{_COUNT} calls, CPU of script and owner"
    few = f"{_FEW} calls one after another"
    return [
        Figure("step, inline", take("inline", 0), "ms", 5, how),
        Figure("step, cached", take("cached", 0), "ms", 1, how),
        Figure("step, isolated", take("isolated", 0), "ms", 100, f"{few}, CPU of script, owner, fork server, workers"),
        Figure("3-step script", take("script", 0), "s", 0.35, "CPU of script and owner, Python's start included"),
        Figure("step of a map", take("mapped", 0), "ms", 20, f"{_COUNT} elements, CPU of all processes of the home"),
        Figure("map, script alone", take("mapped", 1), "ms", None, "CPU; the rest is the owner's and the workers'"),
        Figure("inline, script alone", take("inline", 1), "ms", None, "CPU; the rest is the owner's"),
        Figure("cached, script alone", take("cached", 1), "ms", None, "CPU; the rest is the owner's"),
        Figure("inline, wall", take("inline", 2), "ms", None, "two syncs of the disk in it"),
        Figure("cached, wall", take("cached", 2), "ms", None, "one sync of the disk in it"),
        Figure("isolated, wall", take("isolated", 2), "ms", None, few),
    ]


def _run() -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        home = str(Path(folder) / "home")
        try:
            command = [sys.executable, "-m", "bench.workload", str(_COUNT), str(_FEW)]
            text = run(command, MAINSPRING_HOME=home, MAINSPRING_PROGRESS="0")
            script_s = _run_script(home)
        finally:
            run([sys.executable, "-m", "mainspring", "stop"], MAINSPRING_HOME=home)
        facts: dict[str, list[float]] = json.loads(text.splitlines()[-1])
        return facts | {"script": [script_s]}


def _run_script(home: str) -> float:
    """Return the CPU seconds of a script of three steps, with what its home spends on it."""
    before = read_cpu_s(find_processes(Path(home)))
    own_ms = measure_cpu([sys.executable, "-m", "bench.three"], 1, MAINSPRING_HOME=home, MAINSPRING_PROGRESS="0")
    # It ran twice: the first time is not measured.
    return own_ms[0] / 1000 + (read_cpu_s(find_processes(Path(home))) - before) / 2
