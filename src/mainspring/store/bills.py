"""What rented machines cost: a row for each attempt that was placed on one."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from mainspring.domain.records import Attempt
from mainspring.store.machines import bills
from mainspring.store.statements import Statement, add_once
from mainspring.store.tables import runs
from mainspring.store.words import Connection, and_, bindparam, case, func, literal_column, select, update


class Bill(msgspec.Struct, frozen=True):
    """What an attempt on rented machines costs.

    Attributes
    ----------
    tenant, pool : str
        Who pays, and where.
    node : str
        Whose owner keeps it.
    rate : float
        Of an hour.
    since, until : float, float or None
        From its place to its end; None: it goes on.
    """

    run_id: str
    attempt: int
    tenant: str
    pool: str
    node: str
    rate: float
    since: float
    until: float | None = None

    def cost(self, now: float) -> float:
        """Return what it has cost until now.

        Examples
        --------
        >>> Bill("1f", 1, "air/anna", "cloud", "local", 2.5, 0.0).cost(7200.0)
        5.0
        """
        return self.rate * max(0.0, (now if self.until is None else self.until) - self.since) / 3600


class Course(NamedTuple):
    """An open bill, and what has become of its run; the state is None when the run is not in the record any more."""

    bill: Bill
    state: str | None
    attempt: int
    ended_at: float | None
    attempts: list[Attempt]


class Sum(NamedTuple):
    """What one tenant has paid in one pool since a moment, and what an hour costs now."""

    tenant: str
    pool: str
    cost: float
    rate: float


_FIELDS = Bill.__struct_fields__
_ADD = Statement(add_once(bills), _FIELDS)
_OPEN = Statement(
    select(*(bills.c[name] for name in _FIELDS), runs.c.state, runs.c.attempt, runs.c.ended_at, runs.c.attempts)
    .outerjoin(runs, runs.c.id == bills.c.run_id)
    .where(bills.c.until.is_(None), bills.c.node == bindparam("node_"))
)
_CLOSE = Statement(
    update(bills)
    .where(bills.c.run_id == bindparam("id_"), bills.c.attempt == bindparam("attempt_"))
    .values(until=bindparam("new_until", type_=bills.c.until.type))
)
_OF_RUN = Statement(
    select(*(bills.c[name] for name in _FIELDS)).where(bills.c.run_id == bindparam("id_")).order_by(bills.c.attempt)
)
_now, _start = (bindparam(name, type_=bills.c.since.type) for name in ("now_", "start_"))
_end = case((bills.c.until.is_(None), _now), else_=bills.c.until)
_begin = case((bills.c.since > _start, bills.c.since), else_=_start)
_SUM = Statement(
    select(
        bills.c.tenant,
        bills.c.pool,
        func.sum(case((_end > _begin, bills.c.rate * (_end - _begin)), else_=literal_column("0.0"))),
        func.sum(case((bills.c.until.is_(None), bills.c.rate), else_=literal_column("0.0"))),
    )
    .where(and_(bills.c.since < _now, _end > _start))
    .group_by(bills.c.tenant, bills.c.pool)
)


def open_bill(connection: Connection, bill: Bill) -> None:
    """Count what an attempt costs from now on; counted already, nothing changes."""
    _ADD.run_later(connection, {name: getattr(bill, name) for name in _FIELDS})


def list_open(connection: Connection, node: str) -> list[Course]:
    """Return the bills of a node that go on."""
    count = len(_FIELDS)
    return [Course(Bill(*row[:count]), *row[count:]) for row in _OPEN.all(connection, node_=node)]


def close_bill(connection: Connection, bill: Bill, until: float) -> None:
    """Count no more."""
    values: dict[str, Any] = {"id_": bill.run_id, "attempt_": bill.attempt, "new_until": until}
    _CLOSE.run(connection, values)


def list_bills(connection: Connection, run_id: str) -> list[Bill]:
    """Return the bills of a run, by attempt."""
    return [Bill(*row) for row in _OF_RUN.all(connection, id_=run_id)]


def sum_up(connection: Connection, start: float, now: float) -> list[Sum]:
    """Return what was paid between two moments, by tenant and pool; cost: each bill of that time is read."""
    found = _SUM.all(connection, start_=start, now_=now)
    return [Sum(tenant, pool, cost / 3600, rate) for tenant, pool, cost, rate in found]
