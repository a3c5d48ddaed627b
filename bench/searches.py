"""What a search costs its owner: 500 trials of 20 reports each, pruned, from begin to end."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from bench.figures import Figure
from bench.processes import run

TRIALS, REPORTS, PARALLEL = 500, 20, 8


_MOST = 3
"""So often at most each search is made: one takes half a minute."""


def measure_searches(repeats: int) -> list[Figure]:
    """Search in fresh homes; what the owner takes while nobody asks it anything is told apart."""
    asha = [_run("asha") for _ in range(min(repeats, _MOST))]
    none = [_run("none")]
    how = f"{TRIALS} trials x {REPORTS} reports, {PARALLEL} at a time"
    pruned = f"{asha[0]['pruned']:.0f} pruned"
    return [
        Figure("owner, a trial", [each["owner_ms"] for each in asha], "ms", 3, f"CPU without idling; {how}, {pruned}"),
        Figure("owner, a trial, unpruned", [each["owner_ms"] for each in none], "ms", None, f"CPU; {how}"),
        Figure("owner, idling meanwhile", [each["idle_ms"] for each in asha], "ms", None, "CPU a trial; its loops"),
        Figure("searcher, a trial", [each["script_ms"] for each in asha], "ms", None, "CPU of the script, by tpe"),
    ]


def _run(pruner: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        home = str(Path(folder) / "home")
        try:
            words = [str(each) for each in (TRIALS, REPORTS, PARALLEL, pruner)]
            text = run([sys.executable, "-m", "bench.hill", *words], MAINSPRING_HOME=home, MAINSPRING_PROGRESS="0")
        finally:
            run([sys.executable, "-m", "mainspring", "stop"], MAINSPRING_HOME=home)
        facts: dict[str, float] = json.loads(text.splitlines()[-1])
        return facts
