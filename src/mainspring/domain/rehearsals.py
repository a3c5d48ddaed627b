"""Messages of the wire by which a change is tried and undone, so that it can be told beforehand."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command


class Rehearse(Command):
    """Answer what a command would answer, and leave everything as it is.

    An owner of a version that does not know this refuses it, where a flag beside the command would be
    overlooked and the change be made.

    Attributes
    ----------
    command : bytes
        The encoded command.
    """

    command: bytes


class Rehearsed(msgspec.Struct, frozen=True):
    """What the command would have answered, encoded."""

    body: bytes


ANSWERS: dict[type[Command], Any] = {Rehearse: Rehearsed}
