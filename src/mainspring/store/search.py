"""Searches of runs: filters and orders as SQL, in pages that go on where the last one ended."""

from __future__ import annotations

import base64
import binascii
import hashlib
import operator
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.filters import Clause, Every, FieldType, Node, Not, Operand, Order, parse_filter, parse_order
from mainspring.domain.lists import refuse_page
from mainspring.domain.messages import ListRuns, RunPage, SearchRuns
from mainspring.domain.records import Run
from mainspring.store.deletions import is_here
from mainspring.store.rows import find_place
from mainspring.store.runs import COLUMNS, get_runs, with_metrics
from mainspring.store.series import read_value
from mainspring.store.statements import Statement
from mainspring.store.tables import latest, param_values, runs, series_keys, tag_values
from mainspring.store.words import (
    ColumnElement,
    Connection,
    Float,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    collate,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

FIELDS: dict[str, FieldType] = {
    "id": "text",
    "kind": "text",
    "name": "text",
    "state": "text",
    "reason": "text",
    "experiment": "text",
    "parent_id": "text",
    "principal": "text",
    "host": "text",
    "place": "text",
    "attempt": "number",
    "cpu_s": "number",
    "memory_bytes": "number",
    "created_at": "time",
    "started_at": "time",
    "ended_at": "time",
    "metrics": "numbers",
    "params": "values",
    "tags": "texts",
}
"""What runs can be searched by."""

_COMPARE: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_MISSING = 2
_BEYOND = 2**63 - 1
_IS_SHOWN = and_(runs.c.project == bindparam("project_"), is_here(runs.c.id))
_NEWEST = Statement(
    select(runs.c.id, runs.c.seq)
    .where(_IS_SHOWN, runs.c.seq < bindparam("below"))
    .order_by(runs.c.seq.desc())
    .limit(bindparam("limit_"))
)
_COUNT = Statement(select(func.count()).select_from(runs).where(_IS_SHOWN))
_OLDEST = Statement(
    select(*COLUMNS).where(_IS_SHOWN, runs.c.state == bindparam("state_")).order_by(runs.c.seq).limit(1)
)


class _Value(NamedTuple):
    """A field of a run as SQL: each part is null where there is no value of its kind."""

    number: ColumnElement[Any]
    text: ColumnElement[Any]


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended."""

    query: bytes
    rank: int
    number: float
    text: str
    seq: int


def list_runs(connection: Connection, project: str, wanted: ListRuns) -> list[Run]:
    """Return the newest runs of a project with these values, newest first, with their metrics."""
    given = {name: getattr(wanted, name) for name in ("kind", "name", "state", "parent_id", "key")}
    where = {"project": project, **{name: value for name, value in given.items() if value is not None}}
    below = find_place(connection, runs, wanted.page, **where)
    values = {f"{name}_": value for name, value in where.items()}
    rows = _list(tuple(where)).all(connection, below=below, limit_=wanted.limit, **values)
    return with_metrics(connection, [Run(*row) for row in rows])


@cache
def _list(names: tuple[str, ...]) -> Statement:
    query = select(*COLUMNS).where(is_here(runs.c.id), *(runs.c[name] == bindparam(f"{name}_") for name in names))
    query = query.where(runs.c.seq < bindparam("below"))
    return Statement(query.order_by(runs.c.seq.desc()).limit(bindparam("limit_")))


def find_oldest(connection: Connection, project: str, state: str) -> Run | None:
    """Return the run of a project that has been in a state since before all others; None when there is none."""
    row = _OLDEST.first(connection, project_=project, state_=state)
    return None if row is None else Run(*row)


def search_runs(connection: Connection, project: str, wanted: SearchRuns) -> RunPage:
    """Find the runs of a project.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    project : str
        Its name.
    wanted : SearchRuns
        Filter, order, page.

    Returns
    -------
    RunPage
        Runs, newest first where the order leaves it open, those without a value of the ordered
        field last; where the next page begins; the count when it was asked for.

    Raises
    ------
    Invalid
        RUN-011 for a filter or order that cannot be read, RUN-013 for a page that is none or
        belongs to another search.

    Notes
    -----
    Guarantees: a run that is there from the first page to the last is on exactly one of them,
    whatever is added meanwhile, unless the value that it is ordered by changes.
    """
    if not (wanted.filter or wanted.order_by):
        return _list_newest(connection, project, wanted)
    sql = _Sql(connection.dialect.name)
    condition = and_(runs.c.project == project, is_here(runs.c.id), sql.compile(parse_filter(wanted.filter, FIELDS)))
    order = parse_order(wanted.order_by, FIELDS)
    digest = _mark(project, wanted)
    keys = sql.order(order)
    query = select(runs.c.id, *keys, runs.c.seq).where(condition)
    if wanted.page:
        query = query.where(_after(keys, order, _read_page(wanted.page, digest)))
    down = order is not None and order.descending
    ranked = [keys[0], *(key.desc() if down else key for key in keys[1:]), runs.c.seq.desc()]
    rows: Sequence[Sequence[Any]] = connection.execute(query.order_by(*ranked).limit(wanted.limit + 1)).all()
    shown = rows[: wanted.limit]
    following = _write_page(digest, *shown[-1][1:]) if len(rows) > wanted.limit else None
    count = None
    if wanted.count:
        count = int(connection.execute(select(func.count()).select_from(runs).where(condition)).scalar_one())
    return RunPage(get_runs(connection, [str(row[0]) for row in shown]), following, count)


def _list_newest(connection: Connection, project: str, wanted: SearchRuns) -> RunPage:
    """Return a page of all runs as they came, by a statement that is always the same."""
    digest = _mark(project, wanted)
    below = _read_page(wanted.page, digest).seq if wanted.page else _BEYOND
    rows = _NEWEST.all(connection, project_=project, below=below, limit_=wanted.limit + 1)
    shown = rows[: wanted.limit]
    following = _write_page(digest, 0, 0.0, "", shown[-1][1]) if len(rows) > wanted.limit else None
    count = int(_COUNT.all(connection, project_=project)[0][0]) if wanted.count else None
    return RunPage(get_runs(connection, [str(row[0]) for row in shown]), following, count)


def _mark(project: str, wanted: SearchRuns) -> bytes:
    """Return what tells the pages of one search from those of another."""
    return hashlib.sha256(msgspec.json.encode((project, wanted.filter, wanted.order_by))).digest()[:8]


class _Sql:
    """Filters and orders in the words of a dialect."""

    def __init__(self, dialect: str) -> None:
        self._postgresql = dialect == "postgresql"

    def compile(self, node: Node) -> ColumnElement[bool]:
        """Return a condition that is never null."""
        if isinstance(node, Clause):
            return self._compile_clause(node)
        if isinstance(node, Not):
            return not_(self.compile(node.inner))
        parts = [self.compile(part) for part in node.parts]
        return and_(true(), *parts) if isinstance(node, Every) else or_(false(), *parts)

    def order(self, order: Order | None) -> list[ColumnElement[Any]]:
        """Return rank, number and text of the field, none of them null; all the same without an order."""
        if order is None:
            return [literal(0), literal(0.0), literal("")]
        value = self._read(order.field, order.key)
        first, second = (1, 0) if order.descending else (0, 1)
        rank = case((value.number.is_not(None), first), (value.text.is_not(None), second), else_=_MISSING)
        return [rank, func.coalesce(value.number, 0.0), func.coalesce(value.text, "")]

    def _compile_clause(self, clause: Clause) -> ColumnElement[bool]:
        value = self._read(clause.field, clause.key)
        if clause.sign == "null":
            return and_(value.number.is_(None), value.text.is_(None))
        sign = self._holds if clause.sign == "~" else _COMPARE["=" if clause.sign == "in" else clause.sign]
        return or_(*(self._compare(value, sign, operand) for operand in clause.operands))

    def _holds(self, column: Any, text: str) -> ColumnElement[bool]:
        find = func.strpos if self._postgresql else func.instr
        return find(func.lower(column), func.lower(text)) > 0

    def _compare(
        self, value: _Value, sign: Callable[[Any, Any], ColumnElement[bool]], operand: Operand
    ) -> ColumnElement[bool]:
        as_text = func.coalesce(sign(value.text, operand.text), false())
        if operand.number is None:
            return as_text
        return case(
            (value.number.is_not(None), func.coalesce(sign(value.number, operand.number), false())), else_=as_text
        )

    def _read(self, field: str, key: str | None) -> _Value:
        nothing = _Value(cast(literal(None), Float), cast(literal(None), Text))
        if field == "metrics":
            return nothing._replace(number=self._pick(latest, read_value(latest), key))
        if field == "tags":
            return nothing._replace(text=self._collate(self._pick(tag_values, tag_values.c.text, key)))
        if field == "params":
            number = self._pick(param_values, param_values.c.number, key)
            text = case((param_values.c.number.is_(None), param_values.c.text))
            return _Value(number, self._collate(self._pick(param_values, text, key)))
        if FIELDS[field] == "text":
            return nothing._replace(text=self._collate(runs.c[field]))
        return nothing._replace(number=cast(runs.c[field], Float))

    @staticmethod
    def _pick(table: Table, value: ColumnElement[Any], key: str | None) -> ColumnElement[Any]:
        """Return what a table of values by run and key holds of one key."""
        number = select(series_keys.c.id).where(series_keys.c.key == key).scalar_subquery()
        return select(value).where(table.c.run == runs.c.seq, table.c.key == number).correlate(runs).scalar_subquery()

    def _collate(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Compare texts by their code points, as SQLite does by itself."""
        return collate(column, "C") if self._postgresql else column


def _after(keys: list[ColumnElement[Any]], order: Order | None, cursor: _Cursor) -> ColumnElement[bool]:
    rank, number, text = keys
    beyond = operator.lt if order is not None and order.descending else operator.gt
    within = or_(beyond(text, cursor.text), and_(text == cursor.text, runs.c.seq < cursor.seq))
    within = or_(beyond(number, cursor.number), and_(number == cursor.number, within))
    return or_(rank > cursor.rank, and_(rank == cursor.rank, within))


def _write_page(query: bytes, rank: int, number: float, text: str, seq: int) -> str:
    cursor = _Cursor(query, rank, number, text, seq)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(cursor)).decode().rstrip("=")


def _read_page(page: str, query: bytes) -> _Cursor:
    try:
        content = base64.urlsafe_b64decode(page + "=" * (-len(page) % 4))
        cursor = msgspec.msgpack.decode(content, type=_Cursor)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise refuse_page(page) from None
    if cursor.query != query:
        raise Invalid("RUN-013", "the page belongs to a search with another filter, order or project")
    return cursor
