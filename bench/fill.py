"""How full 6,212 GPUs become, beside what was published of the same trace; run on demand, never in CI.

python -m bench.fill --seeds 10 --to docs/benchmarks/fill.md
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from mainspring.compute.scheduling.filling import PLACEMENTS, fill
from mainspring.compute.scheduling.traces import read_demands, read_machines

TRACE = Path(__file__).parent.parent / "tests/data/gpu-trace"
PUBLISHED = {"mainspring": "FGD", "best-fit": "BestFit", "random": "Random"}


def measure(policy: str, seed: int) -> tuple[float, float, float]:
    """Return the share that is allocated once 100 and 130 per cent were asked for, and CPU seconds."""
    machines, demands = read_machines(TRACE / "nodes.csv"), read_demands(TRACE / "pods.csv")
    began = time.process_time()
    filled = fill(machines, demands, policy, seed)
    return filled.curve[99][1], filled.allocated_percent, time.process_time() - began


def read_published() -> dict[tuple[str, int], tuple[float, float]]:
    """Return (policy, per cent that arrived) -> mean and standard deviation of ten seeds."""
    with (TRACE / "published.csv").open(encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    mean, spread = "gpu_allocation_percent_mean", "gpu_allocation_percent_sd"
    return {
        (row["policy"], int(row["arrived_percent_of_gpu_capacity"])): (float(row[mean]), float(row[spread]))
        for row in rows
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    published = read_published()
    lines = [
        "| policy | at 100 % | at 130 % | published at 100 % | at 130 % | CPU s a seed |",
        "|---|---|---|---|---|---|",
    ]
    with ProcessPoolExecutor(2) as processes:
        for policy in PLACEMENTS:
            asked = [processes.submit(measure, policy, seed) for seed in range(options.seeds)]
            told = [each.result() for each in asked]
            cells: list[str] = []
            for column in (0, 1):
                values = [each[column] for each in told]
                cells.append(f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}")
            for percent in (100, 130):
                mean, spread = published[PUBLISHED[policy], percent]
                cells.append(f"{PUBLISHED[policy]} {mean:.2f} ± {spread:.2f}")
            cells.append(f"{statistics.fmean(each[2] for each in told):.1f}")
            lines.append(f"| {policy} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    if options.to:
        _write(options.to, options.seeds, lines)


def _write(path: Path, seeds: int, lines: list[str]) -> None:
    text = (
        "# How full a cluster becomes\n\n"
        f"Share of 6,212 devices on 1,213 machines that is allocated (mean ± standard deviation of {seeds} seeds)\n"
        "when runs of the trace come in any order and stay, until 100 and 130 per cent of the devices were asked for;\n"
        "beside what was published of the same trace and protocol (Weng and others, USENIX ATC 2023). Written by\n"
        f"`python -m bench.fill --seeds {seeds} --to {path}`.\n\n"
    )
    path.write_text(text + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
