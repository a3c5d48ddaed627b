"""``mainspring debug``: a failed step again, with its inputs, under pdb."""

from __future__ import annotations

import click

from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb
from mainspring.cli.targets import guard
from mainspring.cli.texts import shorten_id


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
    click.echo(f"{run.name} {shorten_id(run.id)} in {call.folder}; q leaves the debugger", err=True)
    with guard(f"{run.name} {shorten_id(run.id)}"):
        result = debug_call(client, run, call, from_start=from_start)
    click.echo(
        f"{run.name} returned {result!r}; nothing was kept. To try it again on a worker: "
        f"mainspring runs retry {shorten_id(run.id)}"
    )
