"""``mainspring notebook``: Jupyter in a run, with what that asks for."""

from __future__ import annotations

from typing import Any

import click

from mainspring.cli.entering import await_entrance, find_session, session_options, start
from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb, print_fields, print_json, print_next, wants_json
from mainspring.cli.texts import shorten_id
from mainspring.domain.records import Run


@click.command(
    "notebook",
    answer=Run,
    untried="what is done in a notebook is known when it has been done",
    cls=Verb,
    epilog="Examples: mainspring notebook --gpus 1 --idle 2h · mainspring notebook --attach c07e12",
)
@session_options
@click.option("--attach", metavar="RUN", shell_complete=offer("run"), help="Tell the address of one that is there.")
def command(attach: str | None, **asked: Any) -> None:
    """Start Jupyter in a run that holds the cores and devices that it asks for, and print its address.

    It answers on this machine alone, to who has the token in the address. It is a run of kind session: `runs cancel`
    ends it, as does --idle without anything done or at work in it. Jupyter must be installed, or be in the file of
    --env.
    """
    from mainspring.sdk.notebooks import read_door

    run = start("notebook", asked) if attach is None else find_session(attach, "notebook")
    url = read_door(await_entrance(run)).url
    if wants_json():
        print_json(run)
        return
    print_fields({"session": run.id, "url": url})
    print_next(f"mainspring runs cancel {shorten_id(run.id)}")
