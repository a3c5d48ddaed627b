"""``mainspring nodes``: the machines of pools."""

from __future__ import annotations

import click

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_table, wants_json
from mainspring.cli.texts import format_age
from mainspring.domain.pools import DrainNode, ListNodes, Machine, ResumeNode
from mainspring.domain.units import format_size


@click.group("nodes", answer=list[Machine], cls=Noun, epilog="Example: mainspring nodes drain lab/gpu01")
@click.option("--pool", default="", shell_complete=offer("pool"), help="Those of one pool.")
@click.pass_context
def command(context: click.Context, pool: str) -> None:
    """List the machines of pools that answer; drain or resume one."""
    if context.invoked_subcommand is None:
        nodes: list[Machine] = ask(ListNodes(pool=pool))
        if wants_json():
            print_json(nodes)
            return
        rows = [
            (each.place, f"{each.cpus:g}", format_size(each.memory_bytes), f"{each.gpus:g}", each.gpu_type, each.held,
             describe_state(each))
            for each in nodes
        ]  # fmt: skip
        print_table(("place", "cpus", "memory", "gpus", "type", "runs", "state"), rows, empty="no machine answers")


@command.command("drain", answer=Machine)
@click.argument("place", shell_complete=offer("node"))
@dry_run
def drain(place: str) -> None:
    """Start nothing more on the machine PLACE; what runs there goes on."""
    _show(act(DrainNode(place=place)))


@command.command("resume", answer=Machine)
@click.argument("place", shell_complete=offer("node"))
@dry_run
def resume(place: str) -> None:
    """Start runs on the machine PLACE again."""
    _show(act(ResumeNode(place=place)))


def describe_state(node: Machine) -> str:
    """Return whether runs start on a machine, in a few words.

    Examples
    --------
    >>> describe_state(Machine("lab/gpu01", "lab", "gpu01", 8.0, 0, 0.0))
    'ok'
    """
    if not node.drained_by:
        return "ok"
    return f"drained by {node.drained_by}, {format_age(node.drained_at)} ago"


def _show(node: Machine) -> None:
    if wants_json():
        print_json(node)
        return
    memory = format_size(node.memory_bytes)
    print_fields(
        {
            "node": node.place,
            "has": f"{node.cpus:g} cpus, {memory}, {node.gpus:g} gpus {node.gpu_type}".rstrip(),
            "runs": node.held,
            "state": describe_state(node),
        }
    )
