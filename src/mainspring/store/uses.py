"""Who may read which blob: what the runs and versions of a project name, and what somebody has uploaded."""

from __future__ import annotations

from collections.abc import Iterable

from mainspring.store.statements import Statement, add_once, add_or_replace
from mainspring.store.tables import uploads, uses
from mainspring.store.words import Connection, bindparam, delete, text

_ADD = Statement(add_once(uses), ("project", "digest", "source"))
_COPY = Statement(
    text(
        "INSERT INTO uses (project, digest, source)"
        " SELECT project, digest, CAST(:target AS TEXT) FROM uses WHERE source = :source"
    )
)
_HOLD = Statement(
    add_or_replace(uploads, "size_bytes", "created_at"), ("project", "digest", "holder", "size_bytes", "created_at")
)
_DROP = Statement(delete(uploads).where(uploads.c.created_at < bindparam("before")))
_MAY_READ = Statement(
    text("""
    SELECT digest FROM uploads WHERE project = :project AND digest = :digest AND holder = :holder
    UNION ALL
    SELECT digest FROM uses
        WHERE project = :project AND digest = :digest AND source NOT IN (SELECT id FROM deletions)
        AND (EXISTS (SELECT 1 FROM runs WHERE runs.id = uses.source)
             OR EXISTS (SELECT 1 FROM versions WHERE versions.id = uses.source)
             OR EXISTS (SELECT 1 FROM logged_models WHERE logged_models.id = uses.source AND deleted_at IS NULL
                        AND NOT EXISTS (SELECT 1 FROM deletions WHERE deletions.id = logged_models.run_id)))
    LIMIT 1
    """)
)


def add_uses(connection: Connection, project: str, source: str, digests: Iterable[str]) -> None:
    """Record that a run or version of a project names blobs."""
    for digest in digests:
        _ADD.run_later(connection, {"project": project, "digest": digest, "source": source})


def copy_uses(connection: Connection, source: str, target: str) -> None:
    """Record that a new run names all that another one names, as a hit does."""
    _COPY.run_later(connection, {"source": source, "target": target})


def may_read(connection: Connection, project: str, digest: str, principal: str) -> bool:
    """Tell whether a principal that may read a project may read a blob there.

    Notes
    -----
    Guarantees: what names the blob still is in the record, and is not deleted; what was uploaded
    and is not named yet is its holder's alone.
    """
    return _MAY_READ.first(connection, project=project, digest=digest, holder=principal) is not None


def hold_upload(connection: Connection, project: str, digest: str, principal: str, size_bytes: int, now: float) -> None:
    """Keep a blob for a principal from `now` on."""
    values = {"project": project, "digest": digest, "holder": principal, "size_bytes": size_bytes, "created_at": now}
    _HOLD.run_later(connection, values)


def drop_uploads(connection: Connection, before: float) -> None:
    """Forget claims that were last made before a time."""
    _DROP.run_later(connection, {"before": before})
