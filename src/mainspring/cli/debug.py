"""``mainspring debug``: a failed step again, with its inputs, under pdb."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb
from mainspring.cli.targets import guard
from mainspring.cli.texts import shorten_id

if TYPE_CHECKING:
    from mainspring.domain.records import Call
    from mainspring.sdk.client import Client


@click.command(
    "debug",
    untried="what code does is known when it has run",
    cls=Verb,
    epilog="Examples: mainspring debug c07e12 · mainspring debug c07e12 --from-start",
)
@click.argument("id", shell_complete=offer("run"))
@click.option("--from-start", is_flag=True, help="Stop at the first line, not where it raises.")
def command(id: str, from_start: bool) -> None:  # noqa: A002
    """Call the failed step ID again in this terminal, with the arguments it had, and stop where it raises.

    ID may be a pipeline: then it is the step that failed in it. The call is recorded as a run of its
    own, with the tag debugs; its result is printed, not kept. It prints no JSON: who debugs is a person.
    """
    from mainspring.sdk.client import get_client
    from mainspring.sdk.debugging import debug_call, find_call

    client = get_client()
    run, call = find_call(client, id)
    if call.environment and not call.foreign:
        _enter(client, call)
    click.echo(f"{run.name} {shorten_id(run.id)} in {call.folder}; q leaves the debugger", err=True)
    with guard(f"{run.name} {shorten_id(run.id)}"):
        result = debug_call(client, run, call, from_start=from_start)
    click.echo(
        f"{run.name} returned {result!r}; nothing was kept. To try it again on a worker: "
        f"mainspring runs retry {shorten_id(run.id)}"
    )


def _enter(client: Client, call: Call) -> None:
    """Go on as the interpreter of the call's environment, unless this is the one."""
    from mainspring.compute.environments import open_environment

    environments = client.home.environments
    if Path(sys.prefix).is_relative_to(environments):
        return
    python = open_environment(environments, client.blobs.get(call.environment).decode())
    variables = {name: text for name, text in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    os.execve(python, [str(python), "-P", "-m", "mainspring", *sys.argv[1:]], variables | call.variables)  # noqa: S606
