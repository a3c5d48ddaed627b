"""Messages of the wire about calls that are made again."""

from __future__ import annotations

from typing import Any

from mainspring.domain.command import Command
from mainspring.domain.records import Call, Run

ANEW_FROM = "anew.from"
"""Tag of a run below which results of earlier runs answer only until a step of this name begins."""

ANEW_RUN = "anew.run"
"""Tag of the same run: id of the first run that was made anew."""


class GetCall(Command):
    """What a run executed, with its arguments; a failed run of the caller's own process has one, too."""

    id: str


class RetryRuns(Command):
    """Queue again what ended runs executed, with the same arguments; each becomes a run of its own.

    Attributes
    ----------
    ids : list of str
        The runs.
    anew : str
        Name of a step below them: from it on nothing is answered by an earlier result. Empty: all
        that succeeded before answers.
    """

    ids: list[str]
    anew: str = ""


ANSWERS: dict[type[Command], Any] = {GetCall: Call, RetryRuns: list[Run]}
