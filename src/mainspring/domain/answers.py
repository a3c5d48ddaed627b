"""What answers each command of the wire, and which command a name stands for.

Areas of commands are loaded when one of their commands is needed: a script of three steps speaks of runs alone.
"""

from __future__ import annotations

import sys
from functools import cache, lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mainspring.domain import messages, records
from mainspring.domain.command import Command

if TYPE_CHECKING:
    ANSWERS: dict[type[Command], Any]

_AREAS = (
    "messages",
    "access",
    "environments",
    "experiments",
    "files",
    "gates",
    "imports",
    "leases",
    "lineage",
    "loggedmodels",
    "passwords",
    "planning",
    "pools",
    "predictions",
    "preemptions",
    "quotas",
    "registry",
    "rehearsals",
    "retries",
    "searches",
    "sinks",
    "tracking",
    "transfers",
    "triggers",
    "upkeep",
)
"""Modules of `mainspring.domain` that define commands; each but the first says in its `ANSWERS` what answers them."""

_OWN: dict[type[Command], Any] = {
    messages.BeginRun: messages.Begun,
    messages.SubmitRuns: list[records.Run],
    messages.Heartbeat: messages.Beats,
    messages.FinishRun: records.Run,
    messages.GetRun: records.Run,
    messages.ListRuns: list[records.Run],
    messages.SearchRuns: messages.RunPage,
    messages.WaitRuns: list[records.Run],
    messages.CancelRuns: list[records.Run],
    messages.GetLogs: messages.Logs,
    messages.PutVersion: records.Version,
    messages.GetVersion: records.Version,
    messages.ListVersions: list[records.Version],
    messages.ListReads: list[records.Version],
    messages.MoveAlias: records.Version,
    messages.Apply: messages.Diff,
    messages.GetDeclaration: records.Declaration,
    messages.Promote: records.Run,
    messages.GetVerdict: records.Verdict,
    messages.Deploy: records.Service,
    messages.GetService: records.Service,
    messages.ListServices: list[records.Service],
    messages.StopService: records.Service,
    messages.RollbackService: records.Service,
    messages.CheckService: records.Run,
    messages.ListAlarms: list[records.Alarm],
    messages.ListRenewals: list[records.Renewal],
    messages.ListEvents: list[records.Event],
    messages.Explain: records.Reason,
    messages.GetStatus: messages.Status,
    messages.Stop: messages.Nothing,
}
"""Command of `mainspring.domain.messages` -> type of its answer."""


def answer_of(command: type[Command]) -> Any:
    """Return the type of the answer to a command.

    Raises
    ------
    KeyError
        The type is no command of the wire (a mistake of the programmer).
    """
    return _answers_of(command.__module__.rpartition(".")[2])[command]


@lru_cache(1024)
def find_command(name: str) -> type[Command] | None:
    """Return the command of a name; None when there is none.

    Notes
    -----
    Cost: areas that are not loaded yet are, one after the other, until one has the command.

    Examples
    --------
    >>> find_command("GetRun"), find_command("GetRum")
    (<class 'mainspring.domain.messages.GetRun'>, None)
    """
    for area in sorted(_AREAS, key=lambda area: f"mainspring.domain.{area}" not in sys.modules):
        for command in _answers_of(area):
            if command.__name__ == name:
                return command
    return None


def _answers_of(area: str) -> dict[type[Command], Any]:
    if area == "messages":
        return _OWN
    found: dict[type[Command], Any] = import_module(f"mainspring.domain.{area}").ANSWERS
    return found


@cache
def _list_answers() -> dict[type[Command], Any]:
    return {command: answer for area in _AREAS for command, answer in _answers_of(area).items()}


def __getattr__(name: str) -> Any:
    # The commands of every area, with the types of their answers.
    if name == "ANSWERS":
        return _list_answers()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
