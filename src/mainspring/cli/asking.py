"""Ask the owner of the home; imports the client only when a verb needs it."""

from __future__ import annotations

from typing import Any

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
