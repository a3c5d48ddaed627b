"""``mainspring stop``: end the owner of the home."""

from __future__ import annotations

import socket
import time

import click

from mainspring.cli.printing import Verb, print_json, wants_json
from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home
from mainspring.domain.messages import Stop

_PATIENCE_S = 10.0


@click.command("stop", cls=Verb, epilog="Example: mainspring stop")
def command() -> None:
    """End the owner of the home; services go on, and the next command starts it again."""
    from mainspring.sdk.client import Client
    from mainspring.sdk.homes import current_home

    home = current_home()
    running = is_answering(home)
    if running:
        Client(home, start=None).ask(Stop())
        _wait(home)
    if wants_json():
        print_json({"home": str(home.root), "stopped": running})
    else:
        click.echo(f"stopped the owner of {home.root}" if running else f"no owner runs for {home.root}")


def is_answering(home: Home) -> bool:
    """Tell whether the owner of a home listens, without starting one."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(home.socket))
        except OSError:
            return False
    return True


def _wait(home: Home) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while is_answering(home):
        if time.monotonic() > deadline:
            raise Unavailable("HOME-001", f"the owner of {home.root} was told to stop and still answers")
        time.sleep(0.02)
