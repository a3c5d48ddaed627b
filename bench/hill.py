"""The search that `bench.searches` measures, in a process of its own; prints its figures as JSON."""

from __future__ import annotations

import json
import sys
import time

import mainspring as ms
from bench.processes import read_cpu_s
from mainspring.domain.messages import GetStatus
from mainspring.sdk.client import get_client

_LOOK_S = 4.0


@ms.step(cpus=0.2)
def climb(reports: int, x: float, y: float) -> float:
    """Report a curve that rises towards the height of its point."""
    for step in range(reports):
        ms.log(score=(1 - (x - 0.3) ** 2 - (y - 0.7) ** 2) * (1 - 0.5 ** (step + 1)), step=step)
    return x


def _idle(owner: int) -> float:
    """Return which part of a core the owner takes while nobody asks it anything."""
    before_s = read_cpu_s([owner])
    time.sleep(_LOOK_S)
    return (read_cpu_s([owner]) - before_s) / _LOOK_S


def main() -> None:
    """Search, and print what it cost."""
    trials, reports, parallel = map(int, sys.argv[1:4])
    climb.submit(reports, 0.5, 0.5).result()  # the owner and a worker are there
    owner = get_client().ask(GetStatus()).pid
    time.sleep(1)  # what followed the first run is done
    idle = _idle(owner)
    before_s, began_s, began = read_cpu_s([owner]), time.process_time(), time.perf_counter()
    study = ms.tune(
        climb,
        {"x": ms.between(0.0, 1.0), "y": ms.between(0.0, 1.0)},
        args=(reports,),
        metric="score",
        budget=ms.Budget(trials=trials),
        pruner=sys.argv[4],
        parallel=parallel,
    )
    owner_s, script_s = read_cpu_s([owner]) - before_s, time.process_time() - began_s
    wall_s = time.perf_counter() - began
    facts = {
        "owner_ms": 1000 * (owner_s - idle * wall_s) / len(study.trials),
        "idle_ms": 1000 * idle * wall_s / len(study.trials),
        "wall_s": wall_s,
        "script_ms": 1000 * script_s / len(study.trials),
        "pruned": sum(trial.state == "pruned" for trial in study.trials),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
