"""Declarations: what was handed over, and what it changed."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from mainspring.control.blobs import check_named
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.messages import Apply, Diff, GetDeclaration
from mainspring.domain.records import Declaration, Snapshot
from mainspring.pipelines.snapshots import digest_snapshot
from mainspring.store import rows, tables


class _Trigger(msgspec.Struct):
    event: str
    match: dict[str, str]
    cooldown_s: float | None = None


class _Pipeline(msgspec.Struct):
    """What the loops read of a pipeline's declaration."""

    snapshot: Snapshot
    folder: str
    triggers: list[_Trigger]


@handles(Apply, action="declarations.apply")
def apply(turn: Turn, command: Apply) -> Diff:
    """Record the declarations that differ from what was applied last."""
    changes = [_apply(turn, declaration, dry_run=command.dry_run) for declaration in command.declarations]
    return Diff(changes)


@handles(GetDeclaration, action="declarations.read", reads=True)
def get_declaration(turn: Turn, command: GetDeclaration) -> Declaration:
    """Return what was applied last under a kind and name."""
    declaration = find_declaration(turn, command.kind, command.name)
    if declaration is None:
        raise NotFound("RENEW-006", f"no {command.kind} {command.name!r} was applied")
    return declaration


def find_declaration(turn: Turn, kind: str, name: str) -> Declaration | None:
    """Return the declaration in force, if there is one."""
    found = rows.find(
        turn.connection, tables.declarations, Declaration, limit=1, project=turn.project, kind=kind, name=name
    )
    return found[0] if found else None


def list_declarations(turn: Turn, kind: str) -> list[Declaration]:
    """Return the declarations of a kind that are in force, by name."""
    newest: dict[str, Declaration] = {}
    for declaration in rows.find(turn.connection, tables.declarations, Declaration, project=turn.project, kind=kind):
        newest.setdefault(declaration.name, declaration)
    return [newest[name] for name in sorted(newest)]


def _apply(turn: Turn, declaration: Declaration, *, dry_run: bool) -> tuple[str, str, str, str]:
    old = find_declaration(turn, declaration.kind, declaration.name)
    changed = [] if old is None else _compare(old.body, declaration.body)
    if old is not None and not changed:
        return "=", declaration.kind, declaration.name, ""
    mark, detail = ("+", "") if old is None else ("~", ", ".join(changed))
    if not dry_run:
        if declaration.kind == "gate":
            turn.require("gates.change")
        _record(turn, declaration)
        subject = f"{declaration.kind}:{declaration.name}"
        turn.audit("declarations.apply", subject, before=_tell(old), after=_tell(declaration))
        turn.emit("applied", f"{declaration.kind}:{declaration.name}", {"mark": mark, "changed": changed})
    return mark, declaration.kind, declaration.name, detail


def _record(turn: Turn, declaration: Declaration) -> None:
    digest = None
    if declaration.kind == "pipeline":
        try:
            snapshot = msgspec.convert(declaration.body, _Pipeline).snapshot
        except msgspec.ValidationError as fault:
            raise Invalid("API-008", f"{declaration.kind} {declaration.name!r}: {fault}") from None
        check_named(turn, snapshot.files.values())
        digest = digest_snapshot(snapshot)
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
    return {"sha256": hashlib.sha256(msgspec.json.encode(declaration.body, order="sorted")).hexdigest()}


def _compare(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
