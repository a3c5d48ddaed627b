"""``mainspring deploy``: a model becomes a service."""

from __future__ import annotations

import click

from mainspring.cli.asking import act
from mainspring.cli.offering import offer
from mainspring.cli.printing import Verb, dry_run, is_dry_run, print_json, print_next, wants_json
from mainspring.cli.status import describe_service
from mainspring.domain.messages import Deploy
from mainspring.domain.records import Service


@click.command(
    "deploy",
    answer=Service,
    cls=Verb,
    epilog="Examples: mainspring deploy delays --model delays@champion · mainspring deploy delays --model delays@4",
)
@click.argument("name", shell_complete=offer("service"))
@click.option(
    "--model",
    required=True,
    shell_complete=offer("model"),
    metavar="REFERENCE",
    help="NAME@ALIAS is followed, NAME@NUMBER is pinned.",
)
@click.option(
    "--rollout",
    type=click.Choice(["canary", "direct"]),
    default="canary",
    show_default=True,
    help="canary: a share of the requests first; direct: all at once.",
)
@dry_run
def command(name: str, model: str, rollout: str) -> None:
    """Set what the service NAME serves, and wait until it answers.

    The same again changes nothing.
    """
    from mainspring.sdk.services import deploy

    service = act(Deploy(name, model, rollout)) if is_dry_run() else deploy(name, model, rollout=rollout).record
    if wants_json():
        print_json(service)
        return
    click.echo(describe_service(service))
    print_next(f"mainspring services show {name}")
