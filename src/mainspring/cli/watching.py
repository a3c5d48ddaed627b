"""Showing the same again as it changes: `-w` of lists."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

from mainspring.cli.printing import print_json, print_line, wants_json

T = TypeVar("T")

_EVERY_S = 1.0
_CLEAR = "\x1b[H\x1b[2J"

watch = click.option(
    "-w",
    "--watch",
    is_flag=True,
    expose_value=False,
    callback=lambda context, _option, wanted: context.meta.update(watch=wanted),
    help="Show it again as it changes, until Ctrl-C.",
)
"""The option of verbs that show something by `show_found`."""


def show_found(find: Callable[[], T], show: Callable[[T], None]) -> None:
    """Show what is found: once, or with ``--watch`` again and again.

    Parameters
    ----------
    find : callable
        Asks the owner; with ``--watch`` once a second.
    show : callable
        Prints it for people; with ``--json`` it is printed as JSON instead.

    Notes
    -----
    On a terminal the picture is drawn anew in its place. Elsewhere it is printed when it has changed, with
    an empty line behind it and without any control code; with ``--json`` in one line.
    """
    if not click.get_current_context().meta.get("watch"):
        found = find()
        (print_json if wants_json() else show)(found)
        return
    before: Any = None
    drawn = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    while True:
        found = find()
        told = msgspec.json.encode(found, enc_hook=str)
        if wants_json():
            if told != before:
                print_line(found)
        elif drawn:
            click.echo(_CLEAR, nl=False)
            show(found)
        elif told != before:
            show(found)
            click.echo()
            sys.stdout.flush()
        before = told
        time.sleep(_EVERY_S)
