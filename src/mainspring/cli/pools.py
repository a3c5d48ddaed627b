"""``mainspring pools``: where runs execute."""

from __future__ import annotations

from typing import Any

import click

from mainspring.cli.asking import act, ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Noun, dry_run, print_fields, print_json, print_next, print_table, wants_json
from mainspring.cli.texts import format_money
from mainspring.domain.pools import AddPool, GetPool, ListPools, Pool, RemovePool
from mainspring.domain.units import format_size, format_span, parse_duration


@click.group(
    "pools",
    answer=list[Pool],
    cls=Noun,
    epilog="Examples: mainspring pools add lab 'slurm://?partition=gpu' --zone hall-2 · mainspring pools show lab",
)
@click.pass_context
def command(context: click.Context) -> None:
    """List the pools in which runs execute; add, show or remove one. `local` is there by itself."""
    if context.invoked_subcommand is None:
        pools: list[Pool] = ask(ListPools())
        if wants_json():
            print_json(pools)
            return
        rows = [
            (each.name, each.url, each.nodes, f"{each.cpus:g}", f"{each.gpus:g}", each.held, each.zone, _price(each),
             format_money(each.cost), describe_state(each))
            for each in pools
        ]  # fmt: skip
        print_table(("name", "url", "nodes", "cpus", "gpus", "runs", "zone", "price", "this month", "state"), rows)


@command.command("add", answer=Pool)
@click.argument("name")
@click.argument("url")
@click.option("--zone", default="", help="Where it stands.")
@click.option("--owner", default="", help="The tenant whose runs alone it takes: a project, or PROJECT/USER.")
@click.option("--trust", default="", help="`sensitive`: what is sensitive may be there, where ZONE is the home's.")
@click.option("--price", type=click.FloatRange(0), default=0.0, help="Of an hour of one node; 0: it is there anyway.")
@click.option(
    "--start", "start_s", type=click.FloatRange(0), default=0.0, help="Seconds until a machine of it is there."
)
@click.option("--spot", is_flag=True, help="Its machines may be taken away at any time.")
@click.option("--burst-after", default="10min", show_default=True, help="With a price: so long a run waits first.")
@click.option("--idle", default="10min", show_default=True, help="With a price: so long others need not wait.")
@dry_run
def add(name: str, url: str, burst_after: str, idle: str, **said: Any) -> None:
    """Have runs executed by the engine at URL, too, or change what is known of a pool.

    The scheme of URL names the engine. A run asks for the pool by `pool=NAME`; steps and trials that ask
    for none may be placed there once this machine is full; where it has a price, once they have waited, too.
    """
    said |= {"burst_after_s": _read_span(burst_after), "idle_s": _read_span(idle)}
    pool: Pool = act(AddPool(name=name, url=url, **said))
    _show(pool)
    print_next(f"mainspring pools show {name}")


@command.command("show", answer=Pool)
@click.argument("name", shell_complete=offer("pool"))
def show(name: str) -> None:
    """Show a pool: its engine, what is known of it, what it has and whether it answers."""
    _show(ask(GetPool(name=name)))


@command.command("remove", answer=Pool)
@click.argument("name", shell_complete=offer("pool"))
@click.option("--force", is_flag=True, help="What runs there is lost, and queued again where it may go elsewhere.")
@dry_run
def remove(name: str, force: bool) -> None:
    """Execute nothing there any more; a pool with runs is only removed with --force."""
    _show(act(RemovePool(name=name, force=force)))


def describe_state(pool: Pool) -> str:
    """Return whether a pool takes runs, in a few words.

    Examples
    --------
    >>> describe_state(Pool("lab", "slurm://", problem="slurm:// does not answer"))
    'slurm:// does not answer'
    """
    return pool.problem or "ok"


def _show(pool: Pool) -> None:
    if wants_json():
        print_json(pool)
        return
    print_fields(
        {
            "pool": pool.name,
            "url": pool.url,
            "zone": pool.zone,
            "owner": pool.owner,
            "trust": pool.trust,
            "sensitive": "may be there" if pool.may_hold_sensitive else "stays out",
            "price": _price(pool) + (", spot" if pool.spot else ""),
            "rented": pool.rented,
            "this month": format_money(pool.cost),
            "start": format_span(pool.start_s) if pool.start_s else None,
            "nodes": pool.nodes,
            "has": f"{pool.cpus:g} cpus, {format_size(pool.memory_bytes)}, {pool.gpus:g} gpus" if pool.nodes else None,
            "runs": pool.held,
            "state": describe_state(pool),
        }
    )


def _read_span(text: str) -> float:
    """Return a length of time in seconds, which may be none."""
    return 0.0 if text.strip() in {"0", "0s"} else parse_duration(text)


def _price(pool: Pool) -> str:
    return f"{pool.price:g}/h a node" if pool.price else ""
