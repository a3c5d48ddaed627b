"""Ask the owner of the home; imports the client only when a verb needs it."""

from __future__ import annotations

from typing import Any

import click

from mainspring.cli.printing import is_dry_run
from mainspring.domain.messages import Command


def ask(command: Command, key: str = "") -> Any:
    """Send a command to the home's owner, which starts when it is not there.

    Parameters
    ----------
    command : Command
        A message of the wire.
    key : str
        Idempotency key; the client makes one for a write when it is empty.

    Returns
    -------
    object
        The answer's struct.

    Raises
    ------
    MainspringError
        The problem that the owner answers with, or HOME-001 when it does not answer.
    """
    from mainspring.sdk.client import get_client

    return get_client().ask(command, key)


def act(command: Command) -> Any:
    """Send a command that changes something; with ``--dry-run`` it is done, answered and undone.

    Parameters
    ----------
    command : Command
        One whose use case may be rehearsed.

    Returns
    -------
    object
        The answer's struct; the same with ``--dry-run``, except for what only time brings.

    Raises
    ------
    MainspringError
        The problem that the owner answers with, in earnest and rehearsed.
    """
    if not is_dry_run():
        return ask(command)
    from mainspring.domain.rehearsals import Rehearse, Rehearsed
    from mainspring.domain.wire import decode_answer, encode_command

    tried: Rehearsed = ask(Rehearse(command=encode_command(command)))
    click.echo("dry run: nothing was changed", err=True)
    return decode_answer(tried.body, type(command))
