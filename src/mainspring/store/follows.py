"""References that move: what they named when a run resolved them."""

from __future__ import annotations

from typing import NamedTuple

from mainspring.store.statements import Statement, add_once
from mainspring.store.tables import follows
from mainspring.store.words import Connection, text

_ADD = Statement(add_once(follows), ("run_id", "kind", "reference", "version_id"))
_TREE = Statement(
    text("""
    WITH RECURSIVE tree(id) AS (
        SELECT CAST(id AS TEXT) FROM runs WHERE id = :run_id
        UNION SELECT CAST(CASE WHEN runs.id = tree.id THEN runs.cached_from ELSE runs.id END AS TEXT)
            FROM tree JOIN runs
            ON runs.parent_id = tree.id OR (runs.id = tree.id AND runs.cached_from IS NOT NULL)
    )
    SELECT follows.kind, follows.reference, versions.name, versions.number, versions.digest
        FROM follows JOIN tree ON follows.run_id = tree.id JOIN versions ON versions.id = follows.version_id
        ORDER BY follows.reference
    """)
)


class Followed(NamedTuple):
    """A reference and the version that it named.

    Attributes
    ----------
    kind : str
        ``dataset`` or ``model``.
    reference : str
        As the run wrote it: ``name``, ``name@alias``, ``name@2026-11-01``.
    name, number, digest
        Of the version.
    """

    kind: str
    reference: str
    name: str
    number: int
    digest: str


def add_follow(connection: Connection, run_id: str, kind: str, reference: str, version_id: str) -> None:
    """Record what a reference named for a run; the first time counts."""
    values = {"run_id": run_id, "kind": kind, "reference": reference, "version_id": version_id}
    _ADD.run_later(connection, values)


def list_follows(connection: Connection, run_id: str) -> list[Followed]:
    """Return what a run and all below it followed; a hit counts with the run whose result it took."""
    return [Followed(*row) for row in _TREE.all(connection, run_id=run_id)]
