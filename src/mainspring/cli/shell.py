"""``mainspring shell``: a terminal in a run, with what that asks for."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from mainspring.cli.entering import await_entrance, find_session, session_options, start
from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb, print_fields, print_json, print_next, wants_json
from mainspring.cli.texts import shorten_id
from mainspring.domain.records import Run


@click.command(
    "shell",
    answer=Run,
    untried="what is done at a terminal is known when it has been done",
    cls=Verb,
    epilog="Examples: mainspring shell --gpus 1 · mainspring shell --attach c07e12",
)
@session_options
@click.option("--attach", metavar="RUN", shell_complete=offer("run"), help="Go back to a session that is there.")
def command(attach: str | None, **asked: Any) -> None:
    """Open a shell in a run that holds the cores and devices that it asks for.

    It is a run like any other, of kind session: `runs`, `why` and `runs cancel` know it. It ends with the shell, or
    when nobody has typed and nothing has worked in it for the time of --idle. Who closes the terminal leaves it as
    it is; --attach goes back.
    """
    from mainspring.sdk.terminals import attach as sit_down

    run = start("shell", asked) if attach is None else find_session(attach, "shell")
    path = await_entrance(run)
    if not wants_json():
        click.echo(f"{shorten_id(run.id)}: a shell on {run.place or 'this machine'}", err=True)
    with contextlib.suppress(ConnectionError):  # it ends as the session is cancelled
        sit_down(path, (sys.stderr if wants_json() else sys.stdout).fileno())
    if wants_json():
        print_json(run)
    else:
        print_fields({"session": run.id})
        print_next(f"mainspring runs show {shorten_id(run.id)}")
