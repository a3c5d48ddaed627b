"""Which action a command asks for, as its use case is registered."""

from __future__ import annotations


def list_actions() -> dict[str, str]:
    """Return name of a command -> the action that whoever asks must be allowed.

    Notes
    -----
    Cost: imports every use case, some 0.5 s; only documents and tests ask.
    """
    from mainspring.control.owner import load
    from mainspring.control.usecases import ASKED

    load()
    return {command.__name__: action for command, action in ASKED.items()}
