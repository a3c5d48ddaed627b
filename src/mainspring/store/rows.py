"""Rows of any table as the structs of the record: insert, find, change.

A struct's field goes to the column of its name; fields without a column stay out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec

from mainspring.domain.lists import refuse_page
from mainspring.store.statements import Statement
from mainspring.store.words import ColumnElement, Connection, Table, bindparam, insert, select, update

T = TypeVar("T")
_NEWEST = 2**63 - 1


def add(connection: Connection, table: Table, record: msgspec.Struct, **columns: Any) -> None:
    """Insert a record.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    table : Table
        Of `mainspring.store.tables`.
    record : Struct
        Its fields that are columns of the table are written.
    **columns
        Columns that the record does not have.
    """
    values = {name: getattr(record, name) for name in _shared(table, type(record))} | columns
    _insert(table, tuple(values)).run_later(connection, values)


def find(
    connection: Connection,
    table: Table,
    struct: Callable[..., T],
    /,
    *,
    limit: int = 1_000_000,
    page: str = "",
    **where: Any,
) -> list[T]:
    """Return the records whose columns equal the given values, newest first.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    table : Table
        A table with a column `seq`.
    struct : type
        The struct of the record.
    limit : int, default 1,000,000
        At most so many.
    page : str, default ""
        Id of the last record of the page before; empty: the first page.
    **where
        Column name -> value; None matches NULL.

    Raises
    ------
    Invalid
        RUN-013 when no record with these values has the id that `page` names.
    """
    fields = _shared(table, struct)
    statement = _select(table, fields, _shape(where), bool(page))
    place = {"below": find_place(connection, table, page, **where)} if page else {}
    rows = statement.all(connection, limit_=limit, **place, **_named("was_", where))
    return [struct(**dict(zip(fields, row, strict=True))) for row in rows]


class _Place(msgspec.Struct):
    seq: int


def find_place(connection: Connection, table: Table, page: str, **where: Any) -> int:
    """Return the `seq` below which a page of records begins, newest first; parameters and errors are those of `find`.

    Notes
    -----
    Guarantees: a record that is there from the first page to the last is on exactly one of them,
    whatever is added meanwhile.
    """
    if not page:
        return _NEWEST
    found = find(connection, table, _Place, limit=1, **{**where, "id": page})
    if not found:
        raise refuse_page(page)
    return found[0].seq


def change(connection: Connection, table: Table, where: Mapping[str, Any], **values: Any) -> bool:
    """Update the rows whose columns still have the expected values: compare and set.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    table : Table
        Any.
    where : mapping
        Column name -> expected value; None matches NULL.
    **values
        Column name -> new value.

    Returns
    -------
    bool
        Whether a row was changed; False means that somebody was first.
    """
    done = _update(table, _shape(where), tuple(values)).run(
        connection, _named("was_", where) | {f"new_{name}": value for name, value in values.items()}
    )
    return done.rowcount > 0


def overwrite(connection: Connection, table: Table, where: Mapping[str, Any], **values: Any) -> None:
    """Update rows that are there, whatever they hold; parameters are those of `change`.

    Notes
    -----
    Cost: on PostgreSQL no trip of its own, since nobody waits to hear whether a row was changed.
    """
    named = _named("was_", where) | {f"new_{name}": value for name, value in values.items()}
    _update(table, _shape(where), tuple(values)).run_later(connection, named)


@cache
def _shared(table: Table, struct: Any) -> tuple[str, ...]:
    return tuple(name for name in struct.__struct_fields__ if name in table.c)


def _shape(where: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
    return tuple((name, value is None) for name, value in where.items())


def _named(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {prefix + name: value for name, value in values.items() if value is not None}


@cache
def _insert(table: Table, names: tuple[str, ...]) -> Statement:
    return Statement(insert(table), names)


@cache
def _select(table: Table, fields: tuple[str, ...], where: tuple[tuple[str, bool], ...], paged: bool) -> Statement:
    query = select(*(table.c[name] for name in fields)).where(*_matches(table, where))
    if paged:
        query = query.where(table.c.seq < bindparam("below"))
    return Statement(query.order_by(table.c.seq.desc()).limit(bindparam("limit_")))


@cache
def _update(table: Table, where: tuple[tuple[str, bool], ...], names: tuple[str, ...]) -> Statement:
    values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    return Statement(update(table).where(*_matches(table, where)).values(values))


def _matches(table: Table, where: tuple[tuple[str, bool], ...]) -> list[ColumnElement[bool]]:
    return [
        table.c[name].is_(None) if null else table.c[name] == bindparam(f"was_{name}", type_=table.c[name].type)
        for name, null in where
    ]
