"""Gates in force: what lets an alias move, and who may change that."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.control.declarations import digest_body, find_declaration, list_declarations
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import gates as messages
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.gates import GateInForce
from mainspring.domain.lists import cut
from mainspring.domain.records import Declaration, Verdict, Version
from mainspring.store import rows, tables
from mainspring.store.words import delete

UNGATED = "ungated"
FORCED = "forced"


class _Applied(msgspec.Struct):
    principal: str
    created_at: float


@handles(messages.ListGates, action="declarations.read", reads=True)
def list_gates(turn: Turn, command: messages.ListGates) -> list[GateInForce]:
    """Answer with a page of the gates in force, by name."""
    return [_complete(turn, each) for each in cut(list_declarations(turn, "gate"), command)]


@handles(messages.GetGate, action="declarations.read", reads=True)
def get_gate(turn: Turn, command: messages.GetGate) -> GateInForce:
    """Answer with the gate of a model and an alias.

    Raises
    ------
    NotFound
        RENEW-006 when none was applied.
    """
    return _complete(turn, _find(turn, command.model, command.alias))


@handles(messages.RemoveGate, action="gates.change", rehearsed=True)
def remove_gate(turn: Turn, command: messages.RemoveGate) -> GateInForce:
    """Let an alias move without judgement from now on.

    Raises
    ------
    NotFound
        RENEW-006 when no gate was applied.
    Invalid
        GATE-008 when nobody says why.
    """
    gate = _complete(turn, _find(turn, command.model, command.alias))
    check_reason(command.reason, f"the gate {gate.name} is removed")
    table = tables.declarations
    mine = (table.c.project == turn.project) & (table.c.kind == "gate") & (table.c.name == gate.name)
    turn.connection.execute(delete(table).where(mine))
    turn.audit("gates.change", gate.name, before=gate.body, after={"removed": True, "reason": command.reason})
    turn.emit("gate.removed", gate.name, {"reason": command.reason})
    return gate


def find_gate(turn: Turn, model: str, alias: str) -> Declaration | None:
    """Return the gate that guards an alias, None when it moves freely."""
    return find_declaration(turn, "gate", f"{model}->{alias}")


def allow_move(turn: Turn, version: Version, alias: str, *, force: bool = False, reason: str = "") -> str:
    """Return by what rule an alias may be moved to a version: ungated, a verdict, or force.

    Raises
    ------
    Conflict
        GATE-003 when a gate guards the alias and has not let this version through.
    Denied
        AUTH-005 when it is forced and the actor is no approver.
    Invalid
        GATE-008 when it is forced and nobody says why.
    """
    gate = find_gate(turn, version.name, alias)
    if gate is None:
        return UNGATED
    where: dict[str, Any] = {"model": version.reference, "alias": alias, "passed": True}
    where |= {"project": turn.project, "rules": digest_body(gate.body)}
    found = rows.find(turn.connection, tables.verdicts, Verdict, limit=1, **where)
    if found:
        return f"verdict {found[0].id}"
    check_force(turn, version.name, alias, version.reference, force=force, reason=reason)
    return FORCED


def check_force(turn: Turn, model: str, alias: str, reference: str, *, force: bool, reason: str) -> None:
    """Refuse what a gate holds back, unless an approver forces it and says why; it raises as `allow_move` does."""
    if not force:
        judge = f"mainspring promote {reference} {alias} --data DATASET"
        what = f"{model}@{alias} is gated"
        raise Conflict("GATE-003", what, fix=judge, model=model, alias=alias, version=reference)
    turn.require("aliases.force")
    check_reason(reason, f"{model}@{alias} is forced")
    turn.audit("aliases.force", f"{model}@{alias}", after={"version": reference, "reason": reason})


def check_reason(reason: str, what: str) -> None:
    """Refuse what nobody gives a reason for.

    Raises
    ------
    Invalid
        GATE-008.
    """
    if not reason.strip():
        raise Invalid("GATE-008", f"{what} without a reason")


def _find(turn: Turn, model: str, alias: str) -> Declaration:
    gate = find_gate(turn, model, alias)
    if gate is None:
        names = [f"{each.name.replace('->', ' ')}" for each in list_declarations(turn, "gate")]
        near = turn.suggest("declarations.read", f"{model} {alias}", names)
        raise NotFound("RENEW-006", f"no gate guards {model}@{alias}", fix=near or "mainspring gates")
    return gate


def _complete(turn: Turn, gate: Declaration) -> GateInForce:
    where = {"project": turn.project, "kind": "gate", "name": gate.name}
    applied = rows.find(turn.connection, tables.declarations, _Applied, limit=1, **where)[0]
    model, _, alias = gate.name.partition("->")
    rules = digest_body(gate.body)
    return GateInForce(gate.name, model, alias, gate.body, rules, applied.principal, applied.created_at)
