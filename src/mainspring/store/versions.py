"""Versions of datasets and models, their aliases and the edges between them and runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mainspring.domain.messages import ListVersions
from mainspring.domain.records import Version
from mainspring.domain.references import Reference
from mainspring.store.deletions import is_here
from mainspring.store.rows import add, find_place
from mainspring.store.statements import Statement, add_once, add_or_replace, pack_ids, unpack_ids
from mainspring.store.tables import aliases, edges, versions
from mainspring.store.words import Connection, bindparam, func, select, text

_DAY_S = 86_400
_FIELDS = tuple(name for name in Version.__struct_fields__ if name in versions.c)
_COLUMNS = [versions.c[name] for name in _FIELDS]
_IS_HERE = is_here(versions.c.id)
_OF_NAME = select(*_COLUMNS).where(
    versions.c.kind == bindparam("kind_"),
    versions.c.project == bindparam("project_"),
    versions.c.name == bindparam("name_"),
)
_NAMED = _OF_NAME.where(_IS_HERE)
_IS_BELOW = versions.c.seq < bindparam("below")
_PAGE_OF_ALL = Statement(_OF_NAME.where(_IS_BELOW).order_by(versions.c.number.desc()).limit(bindparam("limit_")))
_PAGE = Statement(_NAMED.where(_IS_BELOW).order_by(versions.c.number.desc()).limit(bindparam("limit_")))
_NEWEST = Statement(_NAMED.order_by(versions.c.number.desc()).limit(1))
_BY_NUMBER = Statement(_NAMED.where(versions.c.number == bindparam("number_")))
_OF_NUMBER = Statement(_OF_NAME.where(versions.c.number == bindparam("number_")))
_LAST = Statement(_OF_NAME.order_by(versions.c.number.desc()).limit(1))
_BY_DIGEST = Statement(
    _OF_NAME.where(versions.c.digest == bindparam("digest_")).order_by(_IS_HERE.desc(), versions.c.number).limit(1)
)
_BY_DAY = Statement(
    _NAMED.where(versions.c.created_at < bindparam("until")).order_by(versions.c.number.desc()).limit(1)
)
_BY_ALIAS = Statement(
    select(*_COLUMNS)
    .join_from(aliases, versions, versions.c.id == aliases.c.version_id)
    .where(
        aliases.c.kind == bindparam("kind_"),
        aliases.c.project == bindparam("project_"),
        aliases.c.name == bindparam("name_"),
        aliases.c.alias == bindparam("alias_"),
        _IS_HERE,
    )
)
_BY_ID = Statement(select(*_COLUMNS).where(versions.c.id == bindparam("id_")))
_MANY = Statement(select(*_COLUMNS).where(versions.c.id.in_(unpack_ids("ids"))).order_by(versions.c.seq))
_LATEST_OF_EACH = (
    select(func.max(versions.c.seq))
    .where(versions.c.kind == bindparam("kind_"), versions.c.project == bindparam("project_"), _IS_HERE)
    .group_by(versions.c.name)
)
_PAGE_OF_LATEST = Statement(
    select(*_COLUMNS)
    .where(versions.c.seq.in_(_LATEST_OF_EACH), _IS_BELOW)
    .order_by(versions.c.seq.desc())
    .limit(bindparam("limit_"))
)
_ALIASES = Statement(
    select(aliases.c.version_id, aliases.c.alias)
    .where(aliases.c.version_id.in_(unpack_ids("ids")))
    .order_by(aliases.c.alias)
)
_EDGES_INTO = Statement(
    select(edges.c.source, edges.c.target)
    .where(edges.c.target.in_(unpack_ids("ids")), edges.c.kind == bindparam("kind_"))
    .order_by(edges.c.created_at, edges.c.source)
)
_ADD_EDGE = Statement(add_once(edges), ("source", "target", "kind", "created_at"))
_SET_ALIAS = Statement(
    add_or_replace(aliases, "version_id", "moved_at"), ("kind", "project", "name", "alias", "version_id", "moved_at")
)
_READS = """
    WITH RECURSIVE
    above(id, parent_id) AS (
        SELECT CAST(id AS TEXT), CAST(parent_id AS TEXT) FROM runs WHERE id = :run_id
        UNION SELECT CAST(runs.id AS TEXT), CAST(runs.parent_id AS TEXT)
            FROM runs JOIN above ON runs.id = above.parent_id
    ),
    tree(id) AS (
        SELECT id FROM above WHERE {start}
        UNION SELECT CAST(CASE WHEN runs.id = tree.id THEN runs.cached_from ELSE runs.id END AS TEXT)
            FROM tree JOIN runs
            ON (runs.parent_id = tree.id AND runs.kind NOT IN ('gate', 'check', 'collect'))
            OR (runs.id = tree.id AND runs.cached_from IS NOT NULL)
    )
    SELECT versions.id FROM edges
        JOIN tree ON edges.target = tree.id AND edges.kind = 'read'
        JOIN versions ON versions.id = edges.source AND versions.kind = 'dataset'
        GROUP BY versions.id, versions.seq
        ORDER BY versions.seq
    """
_READ_IN_TREE = text(_READS.format(start="parent_id IS NULL"))
_READ_BELOW = text(_READS.format(start="id = :run_id"))


def add_version(connection: Connection, version: Version, event_time: float | None) -> None:
    """Insert a version with the edges from its inputs and from the run that wrote it."""
    add(connection, versions, version, event_time=event_time)
    for source in version.inputs:
        add_edge(connection, source, version.id, "input", version.created_at)
    if version.run_id is not None:
        add_edge(connection, version.run_id, version.id, "wrote", version.created_at)


def next_number(connection: Connection, kind: str, project: str, name: str) -> int:
    """Return the number of the next version of a name, from 1; those of deleted ones are not given again."""
    last = _one(connection, _LAST, kind_=kind, project_=project, name_=name)
    return last.number + 1 if last else 1


def find_digest(connection: Connection, kind: str, project: str, name: str, digest: str) -> Version | None:
    """Return the first version of a name that has this content, a deleted one only where there is no other."""
    return _one(connection, _BY_DIGEST, kind_=kind, project_=project, name_=name, digest_=digest)


def find_version(connection: Connection, kind: str, project: str, reference: Reference) -> Version | None:
    """Return the version that a reference names; None when there is none."""
    named = {"kind_": kind, "project_": project, "name_": reference.name}
    if reference.number is not None:
        return _one(connection, _BY_NUMBER, **named, number_=reference.number)
    if reference.alias is not None:
        return _one(connection, _BY_ALIAS, **named, alias_=reference.alias)
    if reference.day is not None:
        start = datetime.fromisoformat(reference.day).replace(tzinfo=UTC)
        return _one(connection, _BY_DAY, **named, until=start.timestamp() + _DAY_S)
    return _one(connection, _NEWEST, **named)


def find_any(connection: Connection, kind: str, project: str, name: str, number: int) -> Version | None:
    """Return the version of a number, deleted or not."""
    return _one(connection, _OF_NUMBER, kind_=kind, project_=project, name_=name, number_=number)


def get_version(connection: Connection, version_id: str) -> Version | None:
    """Return the version of an id."""
    return _one(connection, _BY_ID, id_=version_id)


def get_versions(connection: Connection, ids: Sequence[str]) -> list[Version]:
    """Return the versions of some ids, oldest first."""
    return _read(connection, _MANY, ids=pack_ids(ids))


def list_versions(connection: Connection, project: str, wanted: ListVersions) -> list[Version]:
    """Return the versions of a name, deleted ones too if wanted, or the latest of each name, newest first."""
    where = {"kind": wanted.kind, "project": project} | ({} if wanted.name is None else {"name": wanted.name})
    below = find_place(connection, versions, wanted.page, **where)
    named = {f"{name}_": value for name, value in where.items()}
    of_name = _PAGE_OF_ALL if wanted.deleted else _PAGE
    statement = _PAGE_OF_LATEST if wanted.name is None else of_name
    return _read(connection, statement, **named, limit_=wanted.limit, below=below)


def set_alias(connection: Connection, version: Version, alias: str, time: float) -> None:
    """Point an alias at a version."""
    values = {"kind": version.kind, "project": version.project, "name": version.name, "alias": alias}
    _SET_ALIAS.run_later(connection, {**values, "version_id": version.id, "moved_at": time})


def add_edge(connection: Connection, source: str, target: str, kind: str, time: float) -> None:
    """Record lineage from one id to another; an edge that is there stays as it was."""
    _ADD_EDGE.run_later(connection, {"source": source, "target": target, "kind": kind, "created_at": time})


def list_reads(connection: Connection, run_id: str, *, below: bool = False) -> list[Version]:
    """Return the dataset versions that the tree of a run has read, oldest first.

    Notes
    -----
    The tree is all runs below the topmost one above `run_id`, or `below` it alone, without gates,
    checks and collections. A hit stands for the run whose result it took.
    """
    query = _READ_BELOW if below else _READ_IN_TREE
    ids = [str(version_id) for (version_id,) in connection.execute(query, {"run_id": run_id})]
    return get_versions(connection, ids)


def _one(connection: Connection, statement: Statement, **values: Any) -> Version | None:
    found = _read(connection, statement, **values)
    return found[0] if found else None


def _read(connection: Connection, statement: Statement, **values: Any) -> list[Version]:
    found = [Version(**dict(zip(_FIELDS, row, strict=True))) for row in statement.all(connection, **values)]
    if found:
        _complete(connection, found)
    return found


def _complete(connection: Connection, found: list[Version]) -> None:
    ids = pack_ids([version.id for version in found])
    names: dict[str, list[str]] = {}
    for version_id, alias in _ALIASES.all(connection, ids=ids):
        names.setdefault(version_id, []).append(alias)
    inputs: dict[str, list[str]] = {}
    for source, target in _EDGES_INTO.all(connection, ids=ids, kind_="input"):
        inputs.setdefault(target, []).append(source)
    for version in found:
        version.aliases = tuple(names.get(version.id, ()))
        version.inputs = tuple(inputs.get(version.id, ()))
