"""Declarations: what was handed over, and what it changed."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from mainspring.control.blobs import check_named
from mainspring.control.declarations import digest_body, find_declaration, list_declarations
from mainspring.control.foreign import check_applied
from mainspring.control.pipelines import remove_pipeline
from mainspring.control.services import watch
from mainspring.control.standings import settle_triggers, take_over
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.messages import Apply, Diff, Difference, GetDeclaration
from mainspring.domain.records import Declaration, Snapshot
from mainspring.domain.triggers import RemovePipeline, Trigger
from mainspring.pipelines.differences import compare
from mainspring.pipelines.snapshots import digest_snapshot
from mainspring.pipelines.triggers import check_trigger
from mainspring.security.policy import ACTIONS
from mainspring.store import rows, tables
from mainspring.store.buckets import check_approved
from mainspring.store.words import delete

_ACTIONS = {"gate": "gates.change"}
"""Kind -> the action that a change of it takes; of the others, `declarations.apply`."""

_GONE = "its file declares it no longer"

_KINDS = ("pipeline", "gate", "monitor", "contract", "view")


class _Pipeline(msgspec.Struct):
    """What the loops read of a pipeline's declaration."""

    snapshot: Snapshot
    folder: str
    triggers: list[Trigger]


@handles(Apply, action="declarations.apply")
def apply(turn: Turn, command: Apply) -> Diff:
    """Record the declarations that differ from what was applied last; all or none.

    Raises
    ------
    Conflict
        TRIGGER-004 when what is in force is not what the difference was made against.
    Invalid
        API-008, RENEW-004 or TRIGGER-001 to TRIGGER-003 for what no owner can act on.
    Denied
        AUTH-005 when a gate changes and the actor is no approver; TRIGGER-009 for a trigger on a bucket that
        nobody approved.

    Notes
    -----
    A pipeline of another machine is code that triggers start, so a home that runs none (API-018) takes none.
    """
    diff = Diff([])
    for declaration in command.declarations:
        _apply(turn, command, declaration, diff)
    for each in _list_vanished(turn, command):
        if command.prune and each.kind != "gate":
            _prune(turn, command, each, diff)
        else:
            diff.changes.append(("!", each.kind, each.name, f"{_GONE}; it stays: {_tell_removal(each)}"))
    return diff


@handles(GetDeclaration, action="declarations.read", reads=True)
def get_declaration(turn: Turn, command: GetDeclaration) -> Declaration:
    """Return what was applied last under a kind and name."""
    declaration = find_declaration(turn, command.kind, command.name)
    if declaration is None:
        raise NotFound("RENEW-006", f"no {command.kind} {command.name!r} was applied")
    return declaration


def _apply(turn: Turn, command: Apply, declaration: Declaration, diff: Diff) -> None:
    kind, name = declaration.kind, declaration.name
    pipeline = _read_pipeline(declaration) if kind == "pipeline" else None
    place = f"{kind} {name}"
    old = find_declaration(turn, kind, name)
    diff.base[place] = "" if old is None else digest_body(old.body)
    changed = compare(kind, name, None if old is None else old.body, declaration.body)
    if old is not None and kind == "pipeline" and not changed:
        changed = _compare_principals(turn, name)
    if old is not None and not changed:
        diff.changes.append(("=", kind, name, ""))
        if declaration.source and declaration.source != old.source:
            _move(turn, command, declaration, diff)
        return
    if pipeline is not None:
        check_applied(turn, name, pipeline.snapshot, pipeline.folder)
        for trigger in pipeline.triggers:
            if "://" in trigger.match.get("path", ""):
                check_approved(trigger.match["path"])
    _check_base(turn, command, diff, kind, name)
    action = _ACTIONS.get(kind, "declarations.apply")
    fields = dict.fromkeys(each.field.partition(".")[0] for each in changed)
    diff.changes.append(("+" if old is None else "~", kind, name, "" if old is None else ", ".join(fields)))
    diff.details += changed
    diff.needs[place] = ACTIONS[action].role
    if not command.dry_run:
        turn.require(action)
        source = declaration.source or ("" if old is None else old.source)
        _record(turn, replace(declaration, source=source), pipeline)
        if kind == "monitor":
            watch(turn, name, declaration.body)
        turn.audit("declarations.apply", f"{kind}:{name}", before=_tell(old), after=_tell(declaration))
        turn.emit("applied", f"{kind}:{name}", {"mark": diff.changes[-1][0], "changed": list(fields)})


def _compare_principals(turn: Turn, name: str) -> list[Difference]:
    """Return the change of principal of a pipeline whose own one may start it no longer."""
    before = take_over(turn, name)
    return [Difference("pipeline", name, "principal", before, str(turn.actor))] if before else []


def _list_vanished(turn: Turn, command: Apply) -> list[Declaration]:
    """Return what stays applied of whole files that declare it no longer."""
    if not command.files:
        return []
    here = {(each.kind, each.name) for each in command.declarations}
    found = [each for kind in _KINDS for each in list_declarations(turn, kind) if (kind, each.name) not in here]
    return [each for each in found if each.source in command.files]


def _tell_removal(declaration: Declaration) -> str:
    """Return how to end what a file declares no longer."""
    if declaration.kind == "gate":
        return f"mainspring gates remove {declaration.name.replace('->', ' ')}"
    return "mainspring apply FILE --prune"


def _prune(turn: Turn, command: Apply, declaration: Declaration, diff: Diff) -> None:
    """Take out of force what its file declares no longer; what it made stays."""
    kind, name = declaration.kind, declaration.name
    diff.base[f"{kind} {name}"] = digest_body(declaration.body)
    _check_base(turn, command, diff, kind, name)
    diff.changes.append(("-", kind, name, _GONE))
    diff.needs[f"{kind} {name}"] = ACTIONS["declarations.apply"].role
    if command.dry_run:
        return
    if kind == "pipeline":
        remove_pipeline(turn, RemovePipeline(name))
        return
    if kind == "monitor":
        watch(turn, name, None)
    table = tables.declarations
    mine = (table.c.project == turn.project) & (table.c.kind == kind) & (table.c.name == name)
    turn.connection.execute(delete(table).where(mine))
    turn.audit("declarations.apply", f"{kind}:{name}", before=_tell(declaration), after={"removed": True})
    turn.emit("applied", f"{kind}:{name}", {"mark": "-", "changed": []})


def _check_base(turn: Turn, command: Apply, diff: Diff, kind: str, name: str) -> None:
    """Refuse to change what somebody else changed since the difference was made."""
    place = f"{kind} {name}"
    based = command.base.get(place)
    if based is not None and based != diff.base[place]:
        who = _find_applier(turn, kind, name)
        raise Conflict("TRIGGER-004", f"{place} was applied by {who} after this difference was made", name=name)


def _move(turn: Turn, command: Apply, declaration: Declaration, diff: Diff) -> None:
    """Note that another file declares something now; nothing that is in force changes."""
    diff.moved.append(f"{declaration.kind} {declaration.name}")
    if not command.dry_run:
        where = {"project": turn.project, "kind": declaration.kind, "name": declaration.name}
        rows.change(turn.connection, tables.declarations, where, source=declaration.source)


def _find_applier(turn: Turn, kind: str, name: str) -> str:
    where = {"project": turn.project, "kind": kind, "name": name}
    found = rows.find(turn.connection, tables.declarations, _Applied, limit=1, **where)
    return found[0].principal if found else "somebody"


class _Applied(msgspec.Struct):
    principal: str


def _read_pipeline(declaration: Declaration) -> _Pipeline:
    try:
        body = msgspec.convert(declaration.body, _Pipeline)
    except msgspec.ValidationError as fault:
        raise Invalid("API-008", f"{declaration.kind} {declaration.name!r}: {fault}") from None
    for each in body.triggers:
        check_trigger(each)
    return body


def _record(turn: Turn, declaration: Declaration, pipeline: _Pipeline | None) -> None:
    digest = None
    if pipeline is not None:
        check_named(turn, [*pipeline.snapshot.files.values(), *filter(None, [pipeline.snapshot.lock])])
        digest = digest_snapshot(pipeline.snapshot)
        if pipeline.triggers:
            turn.require("runs.start")
        settle_triggers(turn, declaration.name, pipeline.triggers)
    rows.add(
        turn.connection,
        tables.declarations,
        declaration,
        project=turn.project,
        snapshot=digest,
        principal=str(turn.actor),
        created_at=turn.now(),
    )


def _tell(declaration: Declaration | None) -> Any:
    """Return what the audit keeps: the rules of a gate whole, of what may be large its digest."""
    if declaration is None or declaration.kind == "gate":
        return declaration and declaration.body
    return {"sha256": digest_body(declaration.body)}
