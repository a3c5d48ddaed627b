"""Indexes of runs: params and tags as rows to search by, written along with the JSON that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainspring.domain.tracking import spell
from mainspring.store.statements import Statement, pack_ids, unpack_entries, unpack_ids
from mainspring.store.tables import param_values, runs, series_keys, tag_values
from mainspring.store.words import Connection, Table, Upsert, bindparam, column, delete, exists, insert, select

Entry = tuple[str, str, float | None]
"""(name, text, number)"""

_entries = unpack_entries("entries")
_ADD_NAMES = Statement(
    insert(series_keys).from_select(
        ["key"],
        select(column("label")).select_from(_entries).where(~exists().where(series_keys.c.key == column("label"))),
    )
)
_named = _entries.join(series_keys, series_keys.c.key == column("label"))
_TABLES = {"params": param_values, "tags": tag_values}


def _put(table: Table) -> Statement:
    values = [name for name in ("text", "number") if name in table.c]
    rows = (
        select(runs.c.seq, series_keys.c.id, *(column(name) for name in values))
        .select_from(_named)
        .where(runs.c.id == bindparam("run_id"))
    )
    upsert = Upsert(table).from_select(["run", "key", *values], rows)
    return Statement(
        upsert.on_conflict_do_update(
            index_elements=["run", "key"], set_={name: upsert.excluded[name] for name in values}
        )
    )


def _drop(table: Table) -> Statement:
    kept = select(series_keys.c.id).where(series_keys.c.key.in_(unpack_ids("names")))
    run = select(runs.c.seq).where(runs.c.id == bindparam("run_id")).scalar_subquery()
    return Statement(delete(table).where(table.c.run == run, table.c.key.not_in(kept)))


_PUT = {kind: _put(table) for kind, table in _TABLES.items()}
_DROP = {kind: _drop(table) for kind, table in _TABLES.items()}


def add_values(connection: Connection, run_id: str, kind: str, values: Mapping[str, Any]) -> None:
    """Make a run that has none of them yet be found by its params or tags.

    Parameters
    ----------
    connection : Connection
        In the transaction that writes them.
    run_id : str
        The run; it is in the record.
    kind : str
        ``params`` or ``tags``.
    values : mapping
        Name -> JSON value; null counts as nothing.

    Notes
    -----
    Cost: two statements whatever their number; on PostgreSQL no trip of their own.
    """
    entries = [read_entry(name, value) for name, value in values.items() if value is not None]
    if entries:
        named = {"entries": pack_ids(entries)}
        _ADD_NAMES.run_later(connection, named)
        _PUT[kind].run_later(connection, {**named, "run_id": run_id})


def change_values(
    connection: Connection, run_id: str, kind: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    """Make a run be found by its new params or tags and by no others.

    Cost: what is new, where nothing is taken away; the other parameters are those of `add_values`.
    """
    kept = {name: each for name, each in new.items() if each is not None}
    if not all(name in kept for name, each in old.items() if each is not None):
        names = pack_ids([_clean(name) for name in kept])
        _DROP[kind].run_later(connection, {"run_id": run_id, "names": names})
    add_values(
        connection, run_id, kind, {name: each for name, each in kept.items() if not _is_same(each, old.get(name))}
    )


def drop_values(connection: Connection, run: int) -> None:
    """Make a run, by its number inside the file, be found by no param or tag any more."""
    for table in _TABLES.values():
        connection.execute(delete(table).where(table.c.run == run))


def read_entry(name: str, value: Any) -> Entry:
    """Return a param or tag as it is searched by; numbers and truth values have a number.

    Examples
    --------
    >>> read_entry("rate", 0.1), read_entry("deep", True), read_entry("model", "trees")
    (('rate', '0.1', 0.1), ('deep', 'true', 1.0), ('model', 'trees', None))
    """
    try:
        number = float(value) if isinstance(value, int | float) else None
    except OverflowError:  # an integer beyond what a float holds; its digits are compared as a text
        number = None
    return _clean(name), _clean(spell(value)), number


def _is_same(new: Any, old: Any) -> bool:
    return type(new) is type(old) and bool(new == old)  # True equals 1, and reads otherwise


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd")  # which no text of PostgreSQL holds
