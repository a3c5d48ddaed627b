"""Files of runs and logged models: rows of path and digest, by the id of whose they are."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring.domain.files import File
from mainspring.store.statements import Statement, pack_ids, unpack_ids
from mainspring.store.tables import artifacts, files, runs
from mainspring.store.words import Connection, bindparam, delete, exists, insert, select

_COLUMNS = ("owner", "path", "digest", "size_bytes", "time")
_OF_OWNER = files.c.owner == bindparam("owner_")
_SELECT = select(files.c.path, files.c.digest, files.c.size_bytes, files.c.time).where(_OF_OWNER)
# What is below a folder lies between its name with a slash and its name with what follows a slash.
_IS_BELOW = (files.c.path > bindparam("first_")) & (files.c.path < bindparam("last_"))
_LIST = Statement(_SELECT.order_by(files.c.path))
_LIST_BELOW = Statement(_SELECT.where(_IS_BELOW).order_by(files.c.path))
_FIND = Statement(_SELECT.where(files.c.path == bindparam("path_")))
_DROP = Statement(delete(files).where(_OF_OWNER, files.c.path == bindparam("path_")))
_DROP_ALL = Statement(delete(files).where(_OF_OWNER))
_ADD = Statement(insert(files), _COLUMNS)
_NAMED = Statement(select(files.c.digest).where(_OF_OWNER, files.c.digest.in_(unpack_ids("digests"))))
_HAS_VALUES = Statement(
    select(runs.c.id)
    .where(runs.c.id == bindparam("owner_"))
    .where(runs.c.outputs.is_not(None) | exists().where(artifacts.c.run == runs.c.seq))
)


def list_files(connection: Connection, owner: str, below: str = "") -> list[File]:
    """Return the files of a run or logged model by path; with `below` those inside one folder."""
    if not below:
        return [File(*row) for row in _LIST.all(connection, owner_=owner)]
    return [File(*row) for row in _LIST_BELOW.all(connection, owner_=owner, first_=f"{below}/", last_=f"{below}0")]


def find_file(connection: Connection, owner: str, path: str) -> File | None:
    """Return one file; None when there is none of this path."""
    row = _FIND.first(connection, owner_=owner, path_=path)
    return None if row is None else File(*row)


def put_files(connection: Connection, owner: str, new: Sequence[File], time: float) -> list[str]:
    """Give a run or logged model files; one of the same path is replaced. Return the digests that were."""
    replaced = []
    for each in new:
        before = find_file(connection, owner, each.path)
        if before is not None:
            replaced.append(before.digest)
            _DROP.run_later(connection, {"owner_": owner, "path_": each.path})
        values = {"owner": owner, "path": each.path, "digest": each.digest, "size_bytes": each.size_bytes, "time": time}
        _ADD.run_later(connection, values)
    return replaced


def drop_files(connection: Connection, owner: str, gone: Sequence[File]) -> None:
    """Take files from a run or logged model."""
    for each in gone:
        _DROP.run_later(connection, {"owner_": owner, "path_": each.path})


def drop_all_files(connection: Connection, owner: str) -> None:
    """Take all files from a run or logged model."""
    _DROP_ALL.run(connection, {"owner_": owner})


def list_unnamed(connection: Connection, owner: str, digests: Sequence[str]) -> list[str]:
    """Return those digests that nothing of an owner names any more.

    Notes
    -----
    A run that has a result or native artifacts keeps all: what their parts are, their blobs alone tell.
    """
    if not digests or _HAS_VALUES.first(connection, owner_=owner) is not None:
        return []
    named = {str(digest) for (digest,) in _NAMED.all(connection, owner_=owner, digests=pack_ids(digests))}
    return [digest for digest in dict.fromkeys(digests) if digest not in named]
