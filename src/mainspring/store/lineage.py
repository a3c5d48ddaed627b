"""Lineage by edges: all that a version was made of, and all that was made of it."""

from __future__ import annotations

from mainspring.domain.records import Version
from mainspring.store.versions import get_versions
from mainspring.store.words import Connection, TextClause, text

_WALK = """
    WITH RECURSIVE met(id) AS (
        SELECT CAST({end} AS TEXT) FROM edges WHERE {start} = :id AND kind = 'input'
        UNION SELECT CAST(edges.{end} AS TEXT) FROM edges JOIN met ON edges.{start} = met.id WHERE edges.kind = 'input'
    )
    SELECT versions.id FROM met JOIN versions ON versions.id = met.id
        WHERE versions.kind = :kind ORDER BY versions.seq DESC LIMIT :most
    """
_BEFORE = text(_WALK.format(start="target", end="source"))
_AFTER = text(_WALK.format(start="source", end="target"))


def list_before(connection: Connection, version_id: str, kind: str, most: int) -> list[Version]:
    """Return the versions of a kind that one was made of, the newest first; deleted ones stay in lineage."""
    return _walk(connection, _BEFORE, version_id, kind, most)


def list_after(connection: Connection, version_id: str, kind: str, most: int) -> list[Version]:
    """Return the versions of a kind that were made of one, the newest first; deleted ones stay in lineage."""
    return _walk(connection, _AFTER, version_id, kind, most)


def _walk(connection: Connection, walk: TextClause, version_id: str, kind: str, most: int) -> list[Version]:
    found = connection.execute(walk, {"id": version_id, "kind": kind, "most": most})
    return get_versions(connection, [str(each) for (each,) in found])[::-1]
