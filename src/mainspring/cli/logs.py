"""``mainspring logs``: what a run printed."""

from __future__ import annotations

import click

from mainspring.cli.asking import ask
from mainspring.cli.printing import Verb, print_json, wants_json
from mainspring.domain.messages import GetLogs, GetRun, Logs

_WAIT_S = 5.0


@click.command("logs", cls=Verb, epilog="Examples: mainspring logs c07e12 · mainspring logs c07e12 -f")
@click.argument("id")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
def command(id: str, *, follow: bool) -> None:  # noqa: A002
    """Print what a run printed; with -f go on until it ends."""
    run_id = ask(GetRun(id)).id
    pieces: list[str] = []
    offset, ended = 0, False
    while not ended:
        logs: Logs = ask(GetLogs(run_id, offset, _WAIT_S if follow else 0.0))
        ended = logs.ended or not (follow or logs.text)
        offset = logs.offset
        if wants_json():
            pieces.append(logs.text)
        else:
            click.echo(logs.text, nl=False)
    if wants_json():
        print_json({"run": run_id, "text": "".join(pieces), "offset": offset})
