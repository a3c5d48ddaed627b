"""Deletions: versions and runs that are hidden, and later gone but for what lineage names."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring.domain.records import Run, Version
from mainspring.domain.registry import RegisteredModel
from mainspring.domain.upkeep import Deletion
from mainspring.store.ids import pick_id
from mainspring.store.rows import change
from mainspring.store.statements import Statement, pack_ids, unpack_ids
from mainspring.store.tables import cache, calls, deletions, edges, registered_models, runs, versions
from mainspring.store.words import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    exists,
    insert,
    literal,
    select,
    text,
    update,
)

BELOW = """
    WITH RECURSIVE below(id) AS (
        SELECT CAST(id AS TEXT) FROM runs WHERE id = :id
        UNION SELECT CAST(runs.id AS TEXT) FROM runs JOIN below ON runs.parent_id = below.id
    )
"""
"""A run and all that is below it."""

_LIST_BELOW = text(
    f"{BELOW} SELECT id FROM below WHERE NOT EXISTS (SELECT 1 FROM deletions WHERE id = below.id)"  # noqa: S608
)
_DELETED_WITH = text(
    f"{BELOW} SELECT deletions.id FROM below JOIN deletions ON deletions.id = below.id "  # noqa: S608 - words of our own
    "WHERE deleted_at = :deleted_at"
)
_WAITS = Statement(
    select(deletions.c.id).where(deletions.c.deleted_at < bindparam("before"), deletions.c.purged_at.is_(None)).limit(1)
)


def is_here(column: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that what a column names is not deleted."""
    return ~exists().where(deletions.c.id == column)


def delete_version(connection: Connection, version: Version, principal: str, time: float) -> None:
    """Hide a version; what a step that wrote it kept as its result answers no more."""
    _hide(connection, [version.id], version.project, principal, time)
    writers = select(edges.c.source).where(edges.c.target == version.id, edges.c.kind == "wrote")
    connection.execute(delete(cache).where(cache.c.run_id.in_(writers)))


def delete_name(connection: Connection, model: RegisteredModel, principal: str, time: float) -> None:
    """Hide the name of a model."""
    _hide(connection, [model.id], model.project, principal, time)


def delete_run(connection: Connection, run: Run, principal: str, time: float, *, alone: bool = False) -> int:
    """Hide a run, alone or with all below it; none of them answers a call any more. Return how many were hidden."""
    ids = [run.id] if alone else list_below(connection, run.id)
    _hide(connection, ids, run.project, principal, time)
    named = {"ids": pack_ids(ids)}
    connection.execute(delete(cache).where(cache.c.run_id.in_(unpack_ids("ids"))), named)
    again = update(calls).where(calls.c.run_id.in_(unpack_ids("ids")), calls.c.dedupe.is_not(None))
    connection.execute(again.values(dedupe=None), named)
    return len(ids)


def list_below(connection: Connection, run_id: str) -> list[str]:
    """Return a run and all below it that is not deleted, by their ids."""
    return [str(found) for (found,) in connection.execute(_LIST_BELOW, {"id": run_id})]


def find_deletion(connection: Connection, thing_id: str) -> Deletion | None:
    """Return when and by whom a version or run was deleted; None when it is there."""
    found = _select(connection, deletions.c.id == thing_id)
    return found[0] if found else None


def find_deleted_run(connection: Connection, project: str, part: str) -> Deletion:
    """Return the deleted run of a project whose id is, starts or ends with a text.

    Raises
    ------
    NotFound
        KEEP-004 when none or several match; it names the nearest, or those.
    """
    among = select(runs.c.id, runs.c.name).join_from(deletions, runs, runs.c.id == deletions.c.id)
    among = among.where(deletions.c.project == project)
    found = pick_id(connection, among, part, code="KEEP-004", noun="deleted run")
    return _select(connection, deletions.c.id == found, kinds=("run",))[0]


def restore_version(connection: Connection, version_id: str) -> None:
    """Show a version again, or the name of a model."""
    connection.execute(delete(deletions).where(deletions.c.id == version_id))


def restore_run(connection: Connection, deletion: Deletion) -> None:
    """Show a run again, with what was deleted along with it."""
    values = {"id": deletion.id, "deleted_at": deletion.deleted_at}
    ids = [str(found) for (found,) in connection.execute(_DELETED_WITH, values)]
    connection.execute(delete(deletions).where(deletions.c.id.in_(unpack_ids("ids"))), {"ids": pack_ids(ids)})


def revive_version(connection: Connection, version: Version) -> None:
    """Give a tombstone its manifest and details back, as when the same content is registered again."""
    change(connection, versions, {"id": version.id}, manifest=version.manifest, details=version.details)
    restore_version(connection, version.id)


def list_deletions(
    connection: Connection, before: float, *, project: str | None = None, limit: int = 1000
) -> list[Deletion]:
    """Return what was deleted before a time and is not purged: what is below a run comes before it.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    before : float
        Seconds since 1970 UTC.
    project : str, optional
        Default: of all projects.
    limit : int, default 1000
        At most so many versions, and so many runs.
    """
    if _WAITS.first(connection, before=before) is None:
        return []
    where = [deletions.c.deleted_at < before, deletions.c.purged_at.is_(None)]
    if project is not None:
        where.append(deletions.c.project == project)
    return _select(connection, *where, limit=limit)


def list_restorable(connection: Connection, project: str, kind: str | None, limit: int) -> list[Deletion]:
    """Return what of a kind can be restored, the last deleted first; of runs those with none above them."""
    here = (deletions.c.project == project, deletions.c.purged_at.is_(None))
    above = deletions.alias("above")
    uppermost = ~exists().where(above.c.id == runs.c.parent_id, above.c.deleted_at == deletions.c.deleted_at)
    found = []
    for each in ("dataset", "model") if kind is None else {kind} - {"run"}:
        found += _select(connection, *here, versions.c.kind == each, kinds=("version",), limit=limit, newest=True)
    if kind in {None, "model"}:
        found += _select(connection, *here, kinds=("name",), limit=limit, newest=True)
    if kind in {None, "run"}:
        found += _select(connection, *here, uppermost, kinds=("run",), limit=limit, newest=True)
    return found


def _hide(connection: Connection, ids: Sequence[str], project: str, principal: str, time: float) -> None:
    rows = [{"id": each, "project": project, "deleted_by": principal, "deleted_at": time} for each in ids]
    connection.execute(insert(deletions), rows)


def _select(
    connection: Connection,
    *where: ColumnElement[bool],
    kinds: Sequence[str] = ("version", "name", "run"),
    limit: int = 1,
    newest: bool = False,
) -> list[Deletion]:
    when = (deletions.c.deleted_by, deletions.c.deleted_at, deletions.c.purged_at)
    of_versions = select(
        versions.c.id, versions.c.project, versions.c.kind, versions.c.name, versions.c.number, versions.c.digest, *when
    ).join(deletions, deletions.c.id == versions.c.id)
    of_runs = select(runs.c.id, runs.c.project, literal("run"), runs.c.name, literal(0), literal(""), *when).join(
        deletions, deletions.c.id == runs.c.id
    )
    names = registered_models.c
    of_names = select(names.id, names.project, literal("model"), names.name, literal(0), literal(""), *when).join(
        deletions, deletions.c.id == names.id
    )
    found = []
    queries = (("version", of_versions, versions), ("name", of_names, registered_models), ("run", of_runs, runs))
    for kind, query, table in queries:
        if kind in kinds:
            at = deletions.c.deleted_at.desc() if newest else deletions.c.deleted_at
            ordered = query.where(*where).order_by(at, table.c.seq.desc()).limit(limit)
            found += [Deletion(*row) for row in connection.execute(ordered)]
    return found
