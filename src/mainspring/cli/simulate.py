"""``mainspring simulate``: a trace of a cluster, tried with a policy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mainspring.cli.printing import Verb, print_fields, print_json, wants_json
from mainspring.compute.scheduling.filling import PLACEMENTS, Filled

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "simulate",
    answer=Filled,
    untried="it changes nothing",
    cls=Verb,
    epilog="Examples: mainspring simulate pods.csv --nodes nodes.csv --fill 1.3"
    " · mainspring simulate pods.csv --nodes nodes.csv --fill 1.3 --policy best-fit --seed 3 --json",
)
@click.argument("trace", type=_FILE)
@click.option("--nodes", required=True, type=_FILE, help="Machines: CSV with sn, cpu_milli, memory_mib, gpu, model.")
@click.option(
    "--fill",
    required=True,
    type=click.FloatRange(0.0, 10.0, min_open=True),
    help="Runs come in any order and stay, until so many times the devices were asked for.",
)
@click.option("--policy", type=click.Choice(PLACEMENTS), default=PLACEMENTS[0], show_default=True, help="Who chooses.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order, and of what is left to chance.")
def command(trace: Path, nodes: Path, fill: float, policy: str, seed: int) -> None:
    """Try how full the machines of NODES become with the runs of TRACE: what share of their devices is allocated.

    TRACE is CSV with the columns name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec.
    """
    from mainspring.compute.scheduling.filling import fill as fill_cluster
    from mainspring.compute.scheduling.traces import read_demands, read_machines

    machines, demands = read_machines(nodes), read_demands(trace)
    with click.progressbar(length=round(100 * fill), file=sys.stderr) as bar:
        filled = fill_cluster(machines, demands, policy, seed, 100 * fill, told=lambda _: bar.update(1))
    if wants_json():
        print_json(filled)
        return
    print_fields(
        {
            "policy": f"{filled.policy}, seed {filled.seed}",
            "runs": f"{filled.arrived:,} came, {filled.placed:,} got a place",
            "devices": f"{sum(machine.gpus for machine in machines):,} on {len(machines):,} machines",
            "asked": f"{filled.arrived_percent:.2f} %",
            "allocated": f"{filled.allocated_percent:.2f} %",
        }
    )
