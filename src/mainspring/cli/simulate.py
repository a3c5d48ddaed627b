"""``mainspring simulate``: a trace of a cluster, or the past of this home, tried with a policy."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from mainspring.cli.printing import Verb, print_fields, print_json, print_next, wants_json
from mainspring.compute.scheduling.demands import Machine
from mainspring.compute.scheduling.figures import Figures, sum_up
from mainspring.compute.scheduling.filling import PLACEMENTS, Filled
from mainspring.compute.scheduling.policies import POLICIES
from mainspring.compute.scheduling.simulation import Arrival, simulate
from mainspring.domain.errors import Invalid
from mainspring.domain.units import format_span, parse_duration

_FILE = click.Path(path_type=Path, dir_okay=False)


class Exported(msgspec.Struct, frozen=True):
    """A trace that was written: the files, and how much is in them."""

    runs: str
    nodes: str
    arrivals: int
    machines: int


@click.command(
    "simulate",
    answer=(Figures, Filled, Exported),
    untried="it changes nothing",
    cls=Verb,
    epilog="Examples: mainspring simulate pods.csv --nodes nodes.csv --policy drf"
    " · mainspring simulate pods.csv --nodes nodes.csv --fill 1.3 --seed 3 --json"
    " · mainspring simulate --last 6w --policy fifo · mainspring simulate --last 6w --export trace",
)
@click.argument("trace", type=_FILE, required=False)
@click.option("--nodes", type=_FILE, help="Machines: CSV with sn, cpu_milli, memory_mib, gpu, model.")
@click.option("--last", metavar="TIME", help="Not TRACE: the runs of this home in so long, 6w, on its machines.")
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Play nothing; write runs.csv and nodes.csv into this folder.",
)
@click.option(
    "--fill",
    type=click.FloatRange(0.0, 10.0, min_open=True),
    help="Not in time: runs come in any order and stay, until so many times the devices were asked for.",
)
@click.option("--policy", type=click.Choice([*POLICIES]), default="mainspring", show_default=True, help="Who decides.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is left to chance.")
def command(
    trace: Path | None,
    nodes: Path | None,
    last: str | None,
    folder: Path | None,
    fill: float | None,
    policy: str,
    seed: int,
) -> None:
    """Play the runs of TRACE on the machines of NODES, and tell how long they took and how even it was.

    TRACE is CSV with the columns name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec, creation_time,
    deletion_time; with --fill the times may be left out. With --last they are those of the record.
    """
    if (trace is None) == (last is None) or (trace is not None and nodes is None):
        what = "a trace with its --nodes, or --last" if trace is None or last is None else "a trace or --last, not both"
        raise Invalid("CLI-001", f"what is to be played? {what}", fix="mainspring simulate --last 6w")
    if fill is None:
        machines, arrivals, notes = _read(trace, nodes, last)
        for note in notes:
            click.echo(f"note: {note}", err=True)
        if folder is not None:
            _export(folder, machines, arrivals)
        else:
            _play(machines, arrivals, notes, policy, seed)
    elif trace is None or nodes is None or folder is not None:
        raise Invalid("CLI-001", "--fill takes a trace and nodes, and writes nothing", fix="mainspring simulate --help")
    elif policy in PLACEMENTS:
        _fill(trace, nodes, policy, seed, fill)
    else:
        what = f"with --fill nobody waits, so {policy} orders nothing"
        raise Invalid("CLI-001", what, fix=f"--policy {', '.join(PLACEMENTS)}")


def _read(trace: Path | None, nodes: Path | None, last: str | None) -> tuple[list[Machine], list[Arrival], list[str]]:
    from mainspring.compute.scheduling.traces import close_gaps, read_arrivals, read_machines

    if trace is not None and nodes is not None:
        machines = read_machines(nodes)
        return machines, *close_gaps(read_arrivals(trace))
    from mainspring.cli.replaying import read_cluster, read_replay

    replay = read_replay(parse_duration(last or ""))
    return read_machines(nodes) if nodes is not None else read_cluster(), replay.arrivals, replay.notes


def _export(folder: Path, machines: list[Machine], arrivals: list[Arrival]) -> None:
    from mainspring.compute.scheduling.traces import write_arrivals, write_machines

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise Invalid("SIM-001", f"{folder} cannot be written: {fault.strerror}") from None
    write_machines(folder / "nodes.csv", machines)
    write_arrivals(folder / "runs.csv", arrivals)
    written = Exported(str(folder / "runs.csv"), str(folder / "nodes.csv"), len(arrivals), len(machines))
    if wants_json():
        print_json(written)
        return
    print_fields({"runs": f"{written.runs} ({len(arrivals):,})", "nodes": f"{written.nodes} ({len(machines):,})"})
    print_next(f"mainspring simulate {written.runs} --nodes {written.nodes}")


def _play(machines: list[Machine], arrivals: list[Arrival], notes: list[str], policy: str, seed: int) -> None:
    with click.progressbar(length=len(arrivals), file=sys.stderr) as bar:
        told = simulate(machines, arrivals, POLICIES[policy], seed=seed, told=lambda ended: bar.update(ended - bar.pos))
    gpus = sum(machine.gpus for machine in machines)
    figures = sum_up(told, gpus, policy, seed, notes)
    if wants_json():
        print_json(figures)
        return
    print_fields(
        {
            "policy": f"{policy}, seed {seed}",
            "runs": f"{figures.runs:,} on {gpus:,} devices, {figures.refused:,} that could never start",
            "took": _spread(figures.completion_mean_s, figures.completion_p50_s, figures.completion_p99_s),
            "waited": _spread(figures.wait_mean_s, figures.wait_p50_s, figures.wait_p99_s),
            "devices": f"{figures.utilisation:.1%} given out, {figures.goodput:.1%} did work that lasted,"
            f" {figures.fragmentation:.1%} lay idle beside runs that wanted some",
            "tenants": f"Jain {figures.jain:.3f}; {figures.unfair:.1%} of the runs took longer than on a part alone",
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
