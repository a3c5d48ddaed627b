"""Versions of datasets and models, their aliases and the edges between them and runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, text

from mainspring.domain.records import Version
from mainspring.domain.references import Reference
from mainspring.store.tables import aliases, edges, versions

_FIELDS = tuple(name for name in Version.__struct_fields__ if name in versions.c)
_COLUMNS = [versions.c[name] for name in _FIELDS]
_INSERT = insert(versions)
_NAMED = select(*_COLUMNS).where(
    versions.c.kind == bindparam("kind_"),
    versions.c.project == bindparam("project_"),
    versions.c.name == bindparam("name_"),
)
_NEWEST = _NAMED.order_by(versions.c.number.desc())
_BY_NUMBER = _NAMED.where(versions.c.number == bindparam("number_"))
_BY_DIGEST = _NAMED.where(versions.c.digest == bindparam("digest_"))
_BY_DAY = _NEWEST.where(versions.c.created_at < bindparam("until"))
_BY_ALIAS = (
    select(*_COLUMNS)
    .join_from(aliases, versions, versions.c.id == aliases.c.version_id)
    .where(
        aliases.c.kind == bindparam("kind_"),
        aliases.c.project == bindparam("project_"),
        aliases.c.name == bindparam("name_"),
        aliases.c.alias == bindparam("alias_"),
    )
)
_BY_ID = select(*_COLUMNS).where(versions.c.id == bindparam("id_"))
_LAST_NUMBER = select(func.max(versions.c.number)).where(
    versions.c.kind == bindparam("kind_"),
    versions.c.project == bindparam("project_"),
    versions.c.name == bindparam("name_"),
)
_ALIASES = (
    select(aliases.c.version_id, aliases.c.alias)
    .where(aliases.c.version_id.in_(bindparam("ids", expanding=True)))
    .order_by(aliases.c.alias)
)
_LATEST_OF_EACH = (
    select(func.max(versions.c.seq))
    .where(versions.c.kind == bindparam("kind_"))
    .group_by(versions.c.project, versions.c.name)
)
_LIST_LATEST = select(*_COLUMNS).where(versions.c.seq.in_(_LATEST_OF_EACH)).order_by(versions.c.seq.desc())
_ADD_EDGE = text(
    "INSERT OR IGNORE INTO edges (source, target, kind, created_at) VALUES (:source, :target, :kind, :created_at)"
)
_SET_ALIAS = text(
    "INSERT OR REPLACE INTO aliases (kind, project, name, alias, version_id, moved_at)"
    " VALUES (:kind, :project, :name, :alias, :version_id, :moved_at)"
)

# Runs that judge or watch read data that nothing learns from.
_READS = text(
    """
    WITH RECURSIVE
    above(id, parent_id) AS (
        SELECT id, parent_id FROM runs WHERE id = :run_id
        UNION SELECT runs.id, runs.parent_id FROM runs JOIN above ON runs.id = above.parent_id
    ),
    tree(id) AS (
        SELECT id FROM above WHERE parent_id IS NULL
        UNION SELECT runs.id FROM runs JOIN tree ON runs.parent_id = tree.id
            WHERE runs.kind NOT IN ('gate', 'check', 'collect')
        UNION SELECT runs.cached_from FROM runs JOIN tree ON runs.id = tree.id WHERE runs.cached_from IS NOT NULL
    )
    SELECT DISTINCT versions.id FROM edges
        JOIN tree ON edges.target = tree.id AND edges.kind = 'read'
        JOIN versions ON versions.id = edges.source AND versions.kind = 'dataset'
        ORDER BY versions.seq
    """
)


def add_version(connection: Connection, version: Version, event_time: float | None) -> None:
    """Insert a version with the edges from its inputs and from the run that wrote it."""
    connection.execute(_INSERT, {**{name: getattr(version, name) for name in _FIELDS}, "event_time": event_time})
    for source in version.inputs:
        add_edge(connection, source, version.id, "input", version.created_at)
    if version.run_id is not None:
        add_edge(connection, version.run_id, version.id, "wrote", version.created_at)


def next_number(connection: Connection, kind: str, project: str, name: str) -> int:
    """Return the number of the next version of a name, from 1."""
    values = {"kind_": kind, "project_": project, "name_": name}
    return int(connection.execute(_LAST_NUMBER, values).scalar() or 0) + 1


def find_digest(connection: Connection, kind: str, project: str, name: str, digest: str) -> Version | None:
    """Return the version of a name that has this content."""
    values = {"kind_": kind, "project_": project, "name_": name, "digest_": digest}
    return _one(connection, _BY_DIGEST, values)


def find_version(connection: Connection, kind: str, project: str, reference: Reference) -> Version | None:
    """Return the version that a reference names; None when there is none."""
    values: dict[str, Any] = {"kind_": kind, "project_": project, "name_": reference.name}
    if reference.number is not None:
        return _one(connection, _BY_NUMBER, {**values, "number_": reference.number})
    if reference.alias is not None:
        return _one(connection, _BY_ALIAS, {**values, "alias_": reference.alias})
    if reference.day is not None:
        end = datetime.fromisoformat(reference.day).replace(tzinfo=UTC) + timedelta(days=1)
        return _one(connection, _BY_DAY, {**values, "until": end.timestamp()})
    return _one(connection, _NEWEST, values)


def get_version(connection: Connection, version_id: str) -> Version | None:
    """Return the version of an id."""
    return _one(connection, _BY_ID, {"id_": version_id})


def list_versions(connection: Connection, kind: str, project: str, name: str | None, limit: int) -> list[Version]:
    """Return the versions of a name, or the latest version of each name, newest first."""
    query, values = (
        (_LIST_LATEST, {"kind_": kind})
        if name is None
        else (
            _NEWEST,
            {"kind_": kind, "project_": project, "name_": name},
        )
    )
    return _complete(connection, [Version(**_named(row)) for row in connection.execute(query.limit(limit), values)])


def set_alias(connection: Connection, version: Version, alias: str, time: float) -> None:
    """Point an alias at a version."""
    values = {"kind": version.kind, "project": version.project, "name": version.name, "alias": alias}
    connection.execute(_SET_ALIAS, {**values, "version_id": version.id, "moved_at": time})


def add_edge(connection: Connection, source: str, target: str, kind: str, time: float) -> None:
    """Record lineage from one id to another; an edge that is there stays as it was."""
    connection.execute(_ADD_EDGE, {"source": source, "target": target, "kind": kind, "created_at": time})


def edges_into(connection: Connection, target: str, kind: str) -> list[str]:
    """Return the sources of the edges of a kind that end at an id, oldest first."""
    query = select(edges.c.source).where(edges.c.target == target, edges.c.kind == kind)
    return [str(source) for (source,) in connection.execute(query.order_by(edges.c.created_at, edges.c.source))]


def list_reads(connection: Connection, run_id: str) -> list[Version]:
    """Return the dataset versions that the tree of a run has read, oldest first.

    Notes
    -----
    The tree is all runs below the topmost one above `run_id`, without gates, checks and
    collections. A hit stands for the run whose result it took.
    """
    found = [
        get_version(connection, str(version_id)) for (version_id,) in connection.execute(_READS, {"run_id": run_id})
    ]
    return [version for version in found if version is not None]


def edges_from(connection: Connection, source: str, kind: str) -> list[str]:
    """Return the targets of the edges of a kind that begin at an id, oldest first."""
    query = select(edges.c.target).where(edges.c.source == source, edges.c.kind == kind)
    return [str(target) for (target,) in connection.execute(query.order_by(edges.c.created_at, edges.c.target))]


def _one(connection: Connection, query: Any, values: dict[str, Any]) -> Version | None:
    row = connection.execute(query.limit(1), values).first()
    return None if row is None else _complete(connection, [Version(**_named(row))])[0]


def _named(row: Any) -> dict[str, Any]:
    return dict(zip(_FIELDS, row, strict=True))


def _complete(connection: Connection, found: list[Version]) -> list[Version]:
    by_id: dict[str, list[str]] = {version.id: [] for version in found}
    for start in range(0, len(found), 500):
        ids = [version.id for version in found[start : start + 500]]
        for version_id, alias in connection.execute(_ALIASES, {"ids": ids}):
            by_id[version_id].append(alias)
    for version in found:
        version.aliases = tuple(by_id[version.id])
        version.inputs = tuple(edges_into(connection, version.id, "input"))
    return found
