"""Messages about the gates that are in force: what guards which alias, and by whose word."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command, Count
from mainspring.domain.records import Json


class GateInForce(msgspec.Struct):
    """A gate that was applied and guards an alias.

    Attributes
    ----------
    name : str
        ``model->alias``.
    body : JSON
        What it demands; see `mainspring.evaluation.rules.Rules`.
    rules : str
        SHA-256 of the body, as verdicts name it.
    principal : str
        Who applied it.
    """

    name: str
    model: str
    alias: str
    body: dict[str, Json]
    rules: str
    principal: str = ""
    applied_at: float = 0.0


class ListGates(Command):
    """The gates in force, by name; `page` is the name of the last one before."""

    limit: Count = 1000
    page: str = ""


class GetGate(Command):
    """The gate of a model and an alias."""

    model: str
    alias: str


class RemoveGate(Command):
    """Let an alias move without judgement from now on; an approver says why."""

    model: str
    alias: str
    reason: str = ""


ANSWERS: dict[type[Command], Any] = {ListGates: list[GateInForce], GetGate: GateInForce, RemoveGate: GateInForce}
