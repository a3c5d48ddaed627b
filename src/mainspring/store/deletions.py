"""Deletions: versions that are hidden, and later nothing but a tombstone."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select, update

from mainspring.domain.records import Version
from mainspring.domain.upkeep import Deletion
from mainspring.store.rows import change
from mainspring.store.tables import cache, deletions, edges, versions


def delete_version(connection: Connection, version: Version, principal: str, time: float) -> None:
    """Hide a version; what a step that wrote it kept as its result answers no more."""
    values = {"id": version.id, "project": version.project, "deleted_by": principal, "deleted_at": time}
    connection.execute(insert(deletions), values)
    writers = select(edges.c.source).where(edges.c.target == version.id, edges.c.kind == "wrote")
    connection.execute(delete(cache).where(cache.c.run_id.in_(writers)))


def find_deletion(connection: Connection, version_id: str) -> Deletion | None:
    """Return when and by whom a version was deleted; None when it is there."""
    found = _select(connection, deletions.c.id == version_id)
    return found[0] if found else None


def restore_version(connection: Connection, version_id: str) -> None:
    """Show a version again."""
    connection.execute(delete(deletions).where(deletions.c.id == version_id))


def revive_version(connection: Connection, version: Version) -> None:
    """Give a tombstone its manifest and details back, as when the same content is registered again."""
    change(connection, versions, {"id": version.id}, manifest=version.manifest, details=version.details)
    restore_version(connection, version.id)


def list_deletions(connection: Connection, before: float) -> list[Deletion]:
    """Return the versions of all projects that were deleted before a time and are not purged, oldest first."""
    return _select(connection, deletions.c.deleted_at < before, deletions.c.purged_at.is_(None))


def purge_version(connection: Connection, version_id: str, time: float) -> None:
    """Leave nothing of a deleted version but id, name, number and digest, and its lineage."""
    connection.execute(update(versions).where(versions.c.id == version_id).values(manifest=None, details=None))
    connection.execute(update(deletions).where(deletions.c.id == version_id).values(purged_at=time))


def list_dependents(connection: Connection, version_id: str) -> list[str]:
    """Return the versions that were made from a version and are not deleted, as references."""
    query = (
        select(versions.c.name, versions.c.number)
        .join(edges, edges.c.target == versions.c.id)
        .where(edges.c.source == version_id, edges.c.kind == "input", versions.c.id.not_in(select(deletions.c.id)))
        .order_by(versions.c.seq)
        .limit(3)
    )
    return [f"{name}@{number}" for name, number in connection.execute(query)]


def _select(connection: Connection, *conditions: object) -> list[Deletion]:
    query = (
        select(
            versions.c.id,
            versions.c.project,
            versions.c.kind,
            versions.c.name,
            versions.c.number,
            versions.c.digest,
            deletions.c.deleted_by,
            deletions.c.deleted_at,
            deletions.c.purged_at,
        )
        .join(deletions, deletions.c.id == versions.c.id)
        .where(*conditions)  # type: ignore[arg-type]
        .order_by(deletions.c.deleted_at)
    )
    return [Deletion(*row) for row in connection.execute(query)]
