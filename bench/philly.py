"""82,247 jobs of 15 tenants, played with our policy and with those it is measured beside; on demand, never in CI.

    python -m bench.philly --nodes 352 56 --to docs/benchmarks/philly.md --plot docs/images/philly.png

On the 352 machines of 8 devices that the trace came from next to nobody waits; on fewer the same jobs contend.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from pathlib import Path

from mainspring.compute.scheduling.demands import Demand, Machine
from mainspring.compute.scheduling.figures import Figures, sum_up
from mainspring.compute.scheduling.policies import POLICIES
from mainspring.compute.scheduling.simulation import Arrival, simulate

TRACE = Path(__file__).parent.parent / "tests/data/philly/philly.csv.gz"
NAMES = ("fifo", "sjf", "drf", "las", "mainspring")
PER_NODE = 8


def read_arrivals() -> list[Arrival]:
    """Return the jobs; one that asks for more than a machine has is a gang of whole machines."""
    with gzip.open(TRACE, "rt", encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    arrivals = []
    for number, row in enumerate(rows):
        gpus, at = int(row["num_gpus"]), datetime.fromisoformat(row["timestamp"]).timestamp()
        demand = Demand(0, gpus=min(gpus, PER_NODE), nodes=math.ceil(gpus / PER_NODE))
        arrivals.append(Arrival(f"{number}", row["tenant"], demand, at, float(row["duration"])))
    return arrivals


def measure(name: str, nodes: int) -> tuple[Figures, float]:
    """Play the trace, and return its figures and the CPU seconds it took."""
    machines = [Machine(f"node{number:03d}", 0, 0, PER_NODE) for number in range(nodes)]
    arrivals, began = read_arrivals(), time.process_time()
    told = simulate(machines, arrivals, POLICIES[name])
    return sum_up(told, nodes * PER_NODE, name, 0), time.process_time() - began


def main() -> None:
    """Measure, and print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[352, 56])
    parser.add_argument("--to", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    text, told = [], {}
    with ProcessPoolExecutor(2) as processes:
        asked = {(nodes, name): processes.submit(measure, name, nodes) for nodes in options.nodes for name in NAMES}
        for nodes in options.nodes:
            text += [f"\n## {nodes} machines, {nodes * PER_NODE:,} devices\n", *_HEAD]
            for name in NAMES:
                figures, cpu_s = asked[nodes, name].result()
                told[nodes, name] = figures
                text.append(_row(figures, cpu_s))
                print(text[-1], flush=True)
    if options.to:
        options.to.write_text(_INTRODUCTION.format(nodes=" ".join(map(str, options.nodes))) + "\n".join(text) + "\n")
    if options.plot:
        _plot(options.plot, [told[options.nodes[-1], name] for name in NAMES], options.nodes[-1])


_INTRODUCTION = """# Fair and fast

The 82,247 finished jobs of Microsoft's Philly cluster, 15 tenants, 109 days of 2017, played through the function that
decides: from arrival to end (mean, 99th percentile), from arrival to start, Jain's index of what tenants got of what
they were entitled to while they waited, jobs that gave way and device hours done twice (a checkpoint every 10 minutes,
a minute to go on). `sjf` knows how long each job will take; nobody else does. `las` is two-queue least attained
service, and like ours lets jobs that have used 16 device hours give way. Written by
`python -m bench.philly --nodes {nodes} --to FILE`.

On the machines that the trace came from nobody waits, so all policies are one; on a part of them they are not.

![how long and how even](../images/philly.png)
"""

_HEAD = [
    "| policy | mean | p99 | wait, mean | wait, p99 | Jain | gave way | hours twice | devices given out | CPU s |",
    "|---|---|---|---|---|---|---|---|---|---|",
]


def _row(figures: Figures, cpu_s: float) -> str:
    hours = [
        f"{seconds / 3600:.2f} h"
        for seconds in (
            figures.completion_mean_s,
            figures.completion_p99_s,
            figures.wait_mean_s,
            figures.wait_p99_s,
        )
    ]
    rest = [f"{figures.jain:.3f}", f"{figures.preemptions:,}", f"{figures.lost_gpu_hours:,.0f}"]
    return f"| {' | '.join([figures.policy, *hours, *rest, f'{figures.utilisation:.1%}', f'{cpu_s:.0f}'])} |"


def _plot(path: Path, told: list[Figures], nodes: int) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for each in told:
        ours = each.policy == "mainspring"
        color = "#c2410c" if ours else "#475569"
        hours = each.completion_mean_s / 3600
        axes.scatter(hours, each.jain, s=90 if ours else 50, color=color)
        axes.annotate(each.policy, (hours, each.jain), xytext=(7, 5), textcoords="offset points", color=color)
    axes.set_xscale("log")
    axes.margins(0.15)
    axes.set_xlabel("from arrival to end, hours on the mean (log)")
    axes.set_ylabel("Jain's index over tenants")
    axes.set_title(f"82,247 jobs, 15 tenants, {nodes * PER_NODE} devices: up and to the left is better", fontsize=10)
    axes.grid(alpha=0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
