"""Holdings: the blobs and files of tables that a project's runs and versions name, and how many bytes that is.

Files of tables stand among them by ``table/file``, which no digest looks like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mainspring.store.statements import Statement, add_once, pack_ids, unpack_ids
from mainspring.store.tables import holdings, projects, uploads, usage, uses, versions
from mainspring.store.words import Connection, Upsert, bindparam, delete, exists, func, insert, select, update

_IN_PROJECT = holdings.c.project == bindparam("project_")
_LISTED = holdings.c.digest.in_(unpack_ids("digests"))
_KNOWN = Statement(select(holdings.c.digest).where(_IN_PROJECT, _LISTED))
_SIZES = Statement(select(holdings.c.digest, holdings.c.size_bytes).where(_IN_PROJECT, _LISTED))
_ADD = Statement(add_once(holdings), ("project", "digest", "size_bytes"))
_upsert = Upsert(usage)
_GROW = Statement(
    _upsert.on_conflict_do_update(
        index_elements=["project"], set_={"size_bytes": usage.c.size_bytes + _upsert.excluded["size_bytes"]}
    ),
    ("project", "size_bytes"),
)
_READ = Statement(
    select(usage.c.size_bytes, projects.c.quota_bytes)
    .join_from(usage, projects, projects.c.name == usage.c.project, isouter=True)
    .where(usage.c.project == bindparam("project_"))
)
_UNUSED = (
    select(holdings.c.digest, holdings.c.size_bytes)
    .where(_IN_PROJECT, _LISTED)
    .where(~exists().where(uses.c.project == holdings.c.project, uses.c.digest == holdings.c.digest))
)


def list_new(connection: Connection, project: str, digests: Iterable[str]) -> list[str]:
    """Return those blobs that a project does not hold yet."""
    wanted = list(dict.fromkeys(digests))
    known = {str(digest) for (digest,) in _KNOWN.all(connection, project_=project, digests=pack_ids(wanted))}
    return [digest for digest in wanted if digest not in known]


def read_sizes(connection: Connection, project: str, digests: Iterable[str]) -> dict[str, int]:
    """Return digest -> length of those blobs that a project holds."""
    rows = _SIZES.all(connection, project_=project, digests=pack_ids(list(dict.fromkeys(digests))))
    return {str(digest): int(size_bytes) for digest, size_bytes in rows}


def add_holdings(connection: Connection, project: str, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Count blobs that a project did not hold; return what it holds now and may hold, 0: no limit."""
    for digest, size_bytes in sizes.items():
        _ADD.run_later(connection, {"project": project, "digest": digest, "size_bytes": size_bytes})
    _GROW.run_later(connection, {"project": project, "size_bytes": sum(sizes.values())})
    return read_usage(connection, project)


def read_usage(connection: Connection, project: str) -> tuple[int, int]:
    """Return how many bytes a project holds, and how many it may, 0: no limit."""
    row = _READ.first(connection, project_=project)
    if row is None:
        quota = select(projects.c.quota_bytes).where(projects.c.name == project)
        return 0, int(connection.execute(quota).scalar() or 0)
    return int(row[0]), int(row[1] or 0)


def read_pending(connection: Connection, project: str, but: str) -> int:
    """Return the bytes that were uploaded to a project and that nothing names yet, without one blob."""
    sizes = (
        select(func.max(uploads.c.size_bytes).label("size_bytes"))
        .where(uploads.c.project == project, uploads.c.digest != but)
        .where(~exists().where(holdings.c.project == uploads.c.project, holdings.c.digest == uploads.c.digest))
        .group_by(uploads.c.digest)
        .subquery()
    )
    return int(connection.execute(select(func.sum(sizes.c.size_bytes))).scalar() or 0)


def drop_uses(connection: Connection, project: str, source: str) -> None:
    """Forget what a run or version named; what nothing else of its project names is held no more."""
    query = select(uses.c.digest).where(uses.c.source == source)
    digests = [str(digest) for (digest,) in connection.execute(query)]
    drop_named(connection, project, source, digests)


def drop_named(connection: Connection, project: str, source: str, digests: Sequence[str]) -> None:
    """Forget some of what a run or version named, as `drop_uses` does with all."""
    if not digests:
        return
    named = {"project_": project, "digests": pack_ids(digests)}
    connection.execute(delete(uses).where(uses.c.source == source, uses.c.digest.in_(unpack_ids("digests"))), named)
    gone = connection.execute(_UNUSED, named).all()
    if gone:
        unused = {"project_": project, "digests": pack_ids([str(digest) for digest, _ in gone])}
        connection.execute(delete(holdings).where(_IN_PROJECT, _LISTED), unused)
        _GROW.run_later(connection, {"project": project, "size_bytes": -sum(size for _, size in gone)})


def list_holdings(connection: Connection) -> dict[str, int]:
    """Return digest -> length of all that is held, as the record has it."""
    return {
        str(digest): int(size) for digest, size in connection.execute(select(holdings.c.digest, holdings.c.size_bytes))
    }


def recount(connection: Connection, sizes: Mapping[str, int]) -> None:
    """Correct lengths of blobs, count all that is used once, and sum anew; files of tables by what versions name.

    Notes
    -----
    Guarantees: afterwards each project holds what its runs and versions name, and the sum of that.
    """
    for digest, size_bytes in sizes.items():
        connection.execute(update(holdings).where(holdings.c.digest == digest).values(size_bytes=size_bytes))
    is_used = exists().where(uses.c.project == holdings.c.project, uses.c.digest == holdings.c.digest)
    connection.execute(delete(holdings).where(~is_used))
    for project, files in _list_files(connection).items():
        for name, size_bytes in files.items():
            _ADD.run_later(connection, {"project": project, "digest": name, "size_bytes": size_bytes})
    connection.execute(delete(usage))
    summed = select(holdings.c.project, func.sum(holdings.c.size_bytes)).group_by(holdings.c.project)
    connection.execute(insert(usage).from_select(["project", "size_bytes"], summed))


def _list_files(connection: Connection) -> dict[str, dict[str, int]]:
    """Return, by project, the files that versions of datasets name, with their lengths."""
    found: dict[str, dict[str, int]] = {}
    query = select(versions.c.project, versions.c.manifest).where(versions.c.kind == "dataset")
    for project, manifest in connection.execute(query):
        found.setdefault(str(project), {}).update(list_files(manifest))
    return found


def list_files(manifest: Any) -> dict[str, int]:
    """Return ``table/file`` -> length of the files of a dataset's version, as far as its manifest tells lengths.

    Examples
    --------
    >>> list_files({"table": "sales", "files": ["a.parquet"], "sizes": {"a.parquet": 812}})
    {'sales/a.parquet': 812}
    """
    sizes = manifest.get("sizes") if isinstance(manifest, dict) else None
    if not isinstance(sizes, dict):
        return {}
    return {
        f"{manifest.get('table')}/{name}": size_bytes
        for name in manifest.get("files") or ()
        if isinstance(size_bytes := sizes.get(name), int) and size_bytes > 0
    }
