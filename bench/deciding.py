"""What a decision costs with many machines and many runs that wait; on demand, never in CI.

    python -m bench.deciding

Runs of the demands of a real trace, of 50 tenants, until so many wait; then round after round one per cent of what
runs ends, one per cent of what waits leaves and as many come, and it is decided. The upkeep of the state is counted.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path
from random import Random

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.demands import Machine
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.policies import POLICIES
from mainspring.compute.scheduling.state import State
from mainspring.compute.scheduling.traces import read_demands

TRACE = Path(__file__).parent.parent / "tests/data/gpu-trace"
TENANTS = 50
ROUND_S = 60.0


def measure(gpus: int, queued: int, rounds: int, seed: int) -> tuple[float, list[float]]:
    """Return CPU seconds of the first decision and of each later one, state upkeep included."""
    chance, numbers = Random(seed), itertools.count()
    demands = [demand for demand in read_demands(TRACE / "pods.csv") if demand.gpus]
    machines = [Machine(f"m{number}", 128_000, 1 << 40, 8) for number in range(gpus // 8)]

    def make(now: float) -> Job:
        return Job(f"{next(numbers)}", f"lab{chance.randrange(TENANTS)}", chance.choice(demands), now)

    began = time.process_time()
    state = State(machines, POLICIES["mainspring"], Mix.of(demands))
    while len(state.backlog) < queued:
        for _ in range(queued + gpus * 2 - len(state.backlog) if not state.running else queued - len(state.backlog)):
            state.submit(make(0.0))
        decide(state, 0.0)
    cold, spent, now = time.process_time() - began, [], 0.0
    for _ in range(rounds):
        now += ROUND_S
        ended = chance.sample(sorted(state.running), max(1, len(state.running) // 100))
        left = chance.sample(sorted(job.run_id for job in state.backlog), max(1, queued // 100))
        came = [make(now) for _ in range(queued - len(state.backlog) + len(left) + len(ended))]
        began = time.process_time()
        for run_id in (*ended, *left):
            state.stop(run_id, now)
        for job in came:
            state.submit(job)
        given = decide(state, now).preempted
        for victim in given:
            state.submit(victim.job)
        spent.append(time.process_time() - began)
    return cold, spent


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    lines = ["| devices | waiting | cold, s | steady, median ms | 99th, ms |", "|---|---|---|---|---|"]
    for gpus, queued in ((1_000, 10_000), (3_000, 30_000), (10_000, 100_000)):
        cold, spent = measure(gpus, queued, options.rounds, options.seed)
        most = sorted(spent)[int(0.99 * len(spent))]
        figures = f"{cold:.2f} | {1000 * statistics.median(spent):.1f} | {1000 * most:.1f}"
        lines.append(f"| {gpus:,} | {queued:,} | {figures} |")
        print(lines[-1], flush=True)
    if options.to:
        options.to.write_text(_INTRODUCTION + "\n".join(lines) + "\n", encoding="utf-8")


_INTRODUCTION = """# What a decision costs

CPU of one decision, the upkeep of its state included, with so many devices (8 a machine) and so many runs that wait,
of 50 tenants and the demands of a real trace: the first one, and later ones between which one per cent of what runs
ends, one per cent of what waits leaves and as many come. The 99th percentile is that of decisions by which runs give
way. Plain Python. Written by `python -m bench.deciding --to docs/benchmarks/deciding.md`.

"""


if __name__ == "__main__":
    main()
