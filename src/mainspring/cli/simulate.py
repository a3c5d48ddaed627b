"""``mainspring simulate``: a trace of a cluster, tried with a policy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mainspring.cli.printing import Verb, print_fields, print_json, wants_json
from mainspring.cli.texts import format_span
from mainspring.compute.scheduling.figures import Figures, sum_up
from mainspring.compute.scheduling.filling import PLACEMENTS, Filled
from mainspring.compute.scheduling.policies import POLICIES
from mainspring.domain.errors import Invalid

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "simulate",
    answer=(Figures, Filled),
    untried="it changes nothing",
    cls=Verb,
    epilog="Examples: mainspring simulate pods.csv --nodes nodes.csv --policy drf"
    " · mainspring simulate pods.csv --nodes nodes.csv --fill 1.3 --seed 3 --json",
)
@click.argument("trace", type=_FILE)
@click.option("--nodes", required=True, type=_FILE, help="Machines: CSV with sn, cpu_milli, memory_mib, gpu, model.")
@click.option(
    "--fill",
    type=click.FloatRange(0.0, 10.0, min_open=True),
    help="Not in time: runs come in any order and stay, until so many times the devices were asked for.",
)
@click.option("--policy", type=click.Choice([*POLICIES]), default="mainspring", show_default=True, help="Who decides.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is left to chance.")
def command(trace: Path, nodes: Path, fill: float | None, policy: str, seed: int) -> None:
    """Play the runs of TRACE on the machines of NODES, and tell how long they took and how even it was.

    TRACE is CSV with the columns name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec, creation_time,
    deletion_time; with --fill the times may be left out.
    """
    if fill is None:
        _play(trace, nodes, policy, seed)
    elif policy in PLACEMENTS:
        _fill(trace, nodes, policy, seed, fill)
    else:
        what = f"with --fill nobody waits, so {policy} orders nothing"
        raise Invalid("CLI-001", what, fix=f"--policy {', '.join(PLACEMENTS)}")


def _play(trace: Path, nodes: Path, policy: str, seed: int) -> None:
    from mainspring.compute.scheduling.simulation import simulate
    from mainspring.compute.scheduling.traces import read_arrivals, read_machines

    machines, arrivals = read_machines(nodes), read_arrivals(trace)
    with click.progressbar(length=len(arrivals), file=sys.stderr) as bar:
        told = simulate(machines, arrivals, POLICIES[policy], seed=seed, told=lambda ended: bar.update(ended - bar.pos))
    gpus = sum(machine.gpus for machine in machines)
    figures = sum_up(told, gpus, policy, seed)
    if wants_json():
        print_json(figures)
        return
    print_fields(
        {
            "policy": f"{policy}, seed {seed}",
            "runs": f"{figures.runs:,} on {gpus:,} devices, {figures.refused:,} that could never start",
            "took": _spread(figures.completion_mean_s, figures.completion_p50_s, figures.completion_p99_s),
            "waited": _spread(figures.wait_mean_s, figures.wait_p50_s, figures.wait_p99_s),
            "devices": f"{figures.utilisation:.1%} given out, {figures.goodput:.1%} did work that lasted",
            "tenants": f"Jain {figures.jain:.3f}",
            "preempted": f"{figures.preemptions:,}, {figures.lost_gpu_hours:,.0f} device hours done twice",
            "rented": f"{figures.cost:,.2f}" if any(machine.rent for machine in machines) else None,
        }
    )


def _spread(mean_s: float, half_s: float, most_s: float) -> str:
    return f"{format_span(mean_s)} on the mean; half within {format_span(half_s)}, 99 % within {format_span(most_s)}"


def _fill(trace: Path, nodes: Path, policy: str, seed: int, times: float) -> None:
    from mainspring.compute.scheduling.filling import fill
    from mainspring.compute.scheduling.traces import read_demands, read_machines

    machines, demands = read_machines(nodes), read_demands(trace)
    with click.progressbar(length=round(100 * times), file=sys.stderr) as bar:
        filled = fill(machines, demands, policy, seed, 100 * times, told=lambda _: bar.update(1))
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
