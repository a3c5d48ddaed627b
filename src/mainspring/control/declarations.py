"""Declarations in force: found, listed, and named by their content."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from mainspring.control.turn import Turn
from mainspring.domain.records import Declaration
from mainspring.store import rows, tables


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


def digest_body(body: dict[str, Any]) -> str:
    """Return the SHA-256 of a body; equal ones have the same."""
    return hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
