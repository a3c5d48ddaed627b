"""Messages of the wire about calls that are made again."""

from __future__ import annotations

from typing import Any

from mainspring.domain.command import Command
from mainspring.domain.records import Call, Run


class GetCall(Command):
    """What a run executed, with its arguments; a failed run of the caller's own process has one, too."""

    id: str


class RetryRuns(Command):
    """Queue again what ended runs executed, with the same arguments; each becomes a run of its own."""

    ids: list[str]


ANSWERS: dict[type[Command], Any] = {GetCall: Call, RetryRuns: list[Run]}
