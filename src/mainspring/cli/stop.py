"""``mainspring stop``: end the owner of the home."""

from __future__ import annotations

import time

import click
import msgspec

from mainspring.cli.printing import Verb, print_json, wants_json
from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home
from mainspring.domain.messages import Stop

_PATIENCE_S = 10.0


class Stopped(msgspec.Struct):
    """The home, and whether its owner ran."""

    home: str
    stopped: bool


@click.command(
    "stop",
    answer=Stopped,
    untried="the next command starts the owner again",
    cls=Verb,
    epilog="Example: mainspring stop",
)
def command() -> None:
    """End the owner of the home; services go on, and the next command starts it again."""
    from mainspring.sdk.client import Client
    from mainspring.sdk.homes import current_home
    from mainspring.sdk.owners import answers

    home = current_home()
    running = answers(home)
    if running:
        Client(home, start=None).ask(Stop())
        _wait(home)
    if wants_json():
        print_json(Stopped(str(home.root), running))
    else:
        click.echo(f"stopped the owner of {home.root}" if running else f"no owner runs for {home.root}")


def _wait(home: Home) -> None:
    from mainspring.sdk.owners import answers

    deadline = time.monotonic() + _PATIENCE_S
    while answers(home):
        if time.monotonic() > deadline:
            raise Unavailable("HOME-001", f"the owner of {home.root} was told to stop and still answers")
        time.sleep(0.02)
