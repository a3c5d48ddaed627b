"""The use case that tries another one and undoes it."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from mainspring.control.identity import admit
from mainspring.control.turn import Turn
from mainspring.control.usecases import HANDLERS, REHEARSED, handles
from mainspring.domain.errors import Invalid
from mainspring.domain.rehearsals import Rehearse, Rehearsed
from mainspring.domain.wire import decode_command


class _Undone(Exception):
    """Ends the part of a turn in which a command was tried."""


@handles(Rehearse, action="home.read", kept=False)
def rehearse(turn: Turn, command: Rehearse) -> Rehearsed:
    """Run a use case in a savepoint, and undo it with all that was to follow its commit.

    Who asks must be allowed to do it in earnest.

    Raises
    ------
    Invalid
        HOME-038 when what the command does cannot be undone.
    MainspringError
        What the command itself would be refused with.
    """
    wanted = decode_command(command.command)
    if type(wanted) not in REHEARSED:
        raise Invalid("HOME-038", f"{type(wanted).__name__} cannot be tried", command=type(wanted).__name__)
    admit(turn, wanted, "")
    body = b""
    with suppress(_Undone), turn.part():
        turn.expired = True  # nobody waits for what would follow in other turns
        body = msgspec.msgpack.encode(HANDLERS[type(wanted)](turn, wanted))
        raise _Undone
    return Rehearsed(body)
