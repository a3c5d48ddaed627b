"""``mainspring top``: the queue, pools and machines, live."""

from __future__ import annotations

import sys

import click

from mainspring.cli.asking import ask
from mainspring.cli.printing import Verb, print_fields, print_table, wants_json
from mainspring.cli.texts import format_age, shorten_id
from mainspring.cli.watching import show_found
from mainspring.domain.planning import Candidate, GetQueue, Holder, Load, Part, Queue
from mainspring.domain.pools import Machine

_IDLE_PERCENT = 5.0


@click.command(
    "top",
    answer=Queue,
    untried="it changes nothing",
    cls=Verb,
    epilog="Examples: mainspring top · mainspring top --json",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="So many runs of each kind.")
@click.option("--once", is_flag=True, help="Show it once, on a terminal too.")
def command(limit: int, once: bool) -> None:
    """Show who holds which machines and who waits, until Ctrl-C; once where it is no terminal."""
    live = sys.stdout.isatty() and not once and not wants_json()
    click.get_current_context().meta.setdefault("watch", live)
    show_found(lambda: ask(GetQueue(limit=limit)), _show)


def _show(queue: Queue) -> None:
    given = sum(each.gpus for each in queue.loads)
    there = sum(each.gpus for each in queue.nodes)
    cpus, cores = sum(each.cpus for each in queue.loads), sum(each.cpus for each in queue.nodes)
    print_fields(
        {
            "runs": f"{queue.running:,} have a place, {queue.waits:,} wait",
            "cpus": f"{cpus:g} of {cores:g} given",
            "gpus": f"{given:g} of {there:g} given{_tell_busy(queue.loads)}" if there else None,
            "pools": ", ".join(f"{each.name} ({each.problem})" for each in queue.pools if each.problem) or None,
        }
    )
    rows = [
        (node.place, f"{load.cpus:g}/{node.cpus:g}", f"{load.gpus:g}/{node.gpus:g}", node.held, tell_node(node, load))
        for node, load in zip(queue.nodes, queue.loads, strict=True)
    ]
    print_table(("place", "cpus", "gpus", "runs", "state"), rows, empty="no machine answers")
    if queue.parts:
        print_table(("tenant", "runs", "wait", "cpus", "gpus", "had", "share"), map(_list_part, queue.parts))
    if queue.holding:
        print_table(("run", "name", "tenant", "place", "gpus", "for", "does"), map(_list_holder, queue.holding))
    if queue.waiting:
        print_table(("", "run", "name", "tenant", "gpus", "for", "because"), map(_list_candidate, queue.waiting))


def _list_part(part: Part) -> tuple[object, ...]:
    amounts = f"{part.cpus:g}", f"{part.gpus:g}", f"{part.used:.0%}", f"{part.share:.0%}"
    return part.tenant, part.running, part.waiting, *amounts


def _list_holder(run: Holder) -> tuple[object, ...]:
    told = f"{run.gpus:g}", format_age(run.since), tell_holder(run)
    return shorten_id(run.run_id), run.name, run.tenant, run.place, *told


def _list_candidate(run: Candidate) -> tuple[object, ...]:
    told = f"{run.gpus:g}", format_age(run.since), run.reason
    return run.rank, shorten_id(run.run_id), run.name, run.tenant, *told


def tell_node(node: Machine, load: Load) -> str:
    """Return what is to be said of a machine: whether it is drained, and what its devices do.

    Examples
    --------
    >>> node = Machine("lab/n1", "lab", "n1", 8.0, 0, 2.0)
    >>> tell_node(node, Load("lab/n1", gpus=2.0, busy_gpus=1))
    '1 gpu given and idle'
    >>> tell_node(node, Load("lab/n1", gpus=1.0, busy_gpus=2))
    '1 gpu busy with what is no run'
    """
    words = [f"drained by {node.drained_by}"] if node.drained_by else []
    if load.busy_gpus is not None:
        idle = load.gpus - load.busy_gpus
        if idle >= 1:
            words.append(f"{_count(int(idle))} given and idle")
        elif idle <= -1:
            words.append(f"{_count(int(-idle))} busy with what is no run")
    return ", ".join(words) or "ok"


def tell_holder(holder: Holder) -> str:
    """Return what a run does with its devices.

    Examples
    --------
    >>> tell_holder(Holder("c07e12", "fit", "air/anna", "lab", 1.0, 2.0, gpu_percent=0.5))
    'holds 2 gpus idle'
    """
    if not holder.gpus or holder.gpu_percent is None:
        return ""
    if holder.gpu_percent < _IDLE_PERCENT:
        return f"holds {_count(holder.gpus)} idle"
    return f"gpus {holder.gpu_percent:.0f} %"


def _count(gpus: float) -> str:
    return f"{gpus:g} gpu{'' if gpus == 1 else 's'}"


def _tell_busy(loads: list[Load]) -> str:
    known = [each.busy_gpus for each in loads if each.busy_gpus is not None]
    return f", {sum(known)} busy" if known else ""
