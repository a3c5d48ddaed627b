"""``mainspring logs``: what a run printed."""

from __future__ import annotations

import sys

import click

from mainspring.cli.asking import ask
from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb, print_json, print_line, wants_json
from mainspring.domain.messages import GetLogs, GetRun, Logs

_WAIT_S = 5.0


@click.command(
    "logs",
    answer=Logs,
    lines=True,
    cls=Verb,
    epilog="Examples: mainspring logs c07e12 · mainspring logs c07e12 -f",
)
@click.argument("id", shell_complete=offer("run"))
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--rank", type=click.IntRange(0), default=0, help="Of the node of a run on several; default the first.")
def command(id: str, *, follow: bool, rank: int) -> None:  # noqa: A002
    """Print what a run printed; with -f go on until it ends.

    With --json it is one piece of text; with -f --json each new piece is a line of its own.
    """
    run_id = ask(GetRun(id)).id
    pieces: list[str] = []
    logs = Logs("", 0, ended=False)
    while not logs.ended:
        logs = ask(GetLogs(run_id=run_id, offset=logs.offset, wait_s=_WAIT_S if follow else 0.0, rank=rank))
        if not wants_json():
            click.echo(logs.text, nl=False)
            sys.stdout.flush()
        elif not follow:
            pieces.append(logs.text)
        elif logs.text or logs.ended:
            print_line(logs)
        if not (follow or logs.text):
            break
    if wants_json() and not follow:
        print_json(Logs("".join(pieces), logs.offset, logs.ended))
