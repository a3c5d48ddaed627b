"""Runs in the record, with what the owner keeps about those that live."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, case, func, insert, select, text, update

from mainspring.domain.errors import NotFound
from mainspring.domain.messages import ListRuns
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.store.rows import change
from mainspring.store.series import read_latest
from mainspring.store.tables import cache, runs

LIVE = ("queued", "starting", "running")

_HEX = re.compile(r"[0-9a-f]{1,32}\Z")
_FIELDS = tuple(name for name in Run.__struct_fields__ if name in runs.c)
_COLUMNS = [runs.c[name] for name in _FIELDS]


class Hold(msgspec.Struct, frozen=True):
    """What the owner keeps about a run beside its record.

    Attributes
    ----------
    seq : int
        Its number inside the file; newer runs have greater ones.
    lease_until : float or None
        Monotonic seconds after which its worker counts as lost; None: nobody must send heartbeats.
    process_start : str or None
        Tells the process of an inline run from a later one with the same id.
    losses, failures : int
        Attempts that ended by a lost worker and by an error.
    journal_offset : int
        How far the journal of the present attempt was read.
    order : str
        What its worker is told next: ``keep``, ``cancel`` or ``prune``.
    """

    seq: int
    lease_until: float | None
    process_start: str | None
    losses: int
    failures: int
    journal_offset: int
    order: str


_HOLD = [runs.c[name] for name in Hold.__struct_fields__]
_GET = select(*_COLUMNS).where(runs.c.id == bindparam("id"))
_GET_HELD = select(*_HOLD, *_COLUMNS).where(runs.c.id == bindparam("id"))
_INSERT = insert(runs)
_FIND = select(runs.c.id).where(runs.c.id.like(bindparam("prefix")) | runs.c.id.like(bindparam("suffix"))).limit(2)
_MANY = select(*_COLUMNS).where(runs.c.id.in_(bindparam("ids", expanding=True)))
_OPEN = select(runs.c.id).where(runs.c.id.in_(bindparam("ids", expanding=True)), runs.c.state.in_(LIVE)).limit(1)
_CHILDREN = select(*_COLUMNS).where(runs.c.parent_id == bindparam("parent_id"), runs.c.state.in_(LIVE))
_COUNT = select(runs.c.state, func.count()).group_by(runs.c.state)
_ANY_LIVE = select(runs.c.id).where(runs.c.state.in_(LIVE)).limit(1)
_EXPIRED = select(*_COLUMNS).where(runs.c.state.in_(LIVE), runs.c.lease_until < bindparam("now"))
_WATCHED = select(*_HOLD, *_COLUMNS).where(runs.c.state.in_(LIVE), runs.c.process_start.is_not(None))
_EXTEND = (
    update(runs)
    .where(
        runs.c.id == bindparam("id_"),
        runs.c.attempt == bindparam("attempt_"),
        runs.c.fence == bindparam("fence_"),
        runs.c.state.in_(LIVE),
    )
    # A process that the owner watches itself needs no lease, and must not be lost for one.
    .values(lease_until=case((runs.c.process_start.is_(None), bindparam("until")), else_=runs.c.lease_until))
)
_ORDER = select(runs.c.order).where(runs.c.id == bindparam("id_"))
_GIVE_ORDER = (
    update(runs).where(runs.c.id == bindparam("id_"), runs.c.state.in_(LIVE)).values(order=bindparam("order_"))
)
_EXTEND_ALL = (
    update(runs).where(runs.c.state.in_(LIVE), runs.c.lease_until.is_not(None)).values(lease_until=bindparam("until"))
)
_HIT = select(*_COLUMNS).join(cache, cache.c.run_id == runs.c.id).where(cache.c.key == bindparam("key_"))
_EARLIER_OF_KEY = select(*_COLUMNS).where(runs.c.key == bindparam("key_")).order_by(runs.c.seq.desc()).limit(1)
_EARLIER_OF_NAME = (
    select(*_COLUMNS)
    .where(runs.c.kind == bindparam("kind_"), runs.c.name == bindparam("name_"), runs.c.key.is_not(None))
    .order_by(runs.c.seq.desc())
    .limit(1)
)
_KEEP_RESULT = text(
    "INSERT OR REPLACE INTO cache (key, name, run_id, created_at) VALUES (:key, :name, :run_id, :created_at)"
)
_DROP_RESULT = text("DELETE FROM cache WHERE key = :key AND run_id = :run_id")


def add_run(connection: Connection, run: Run, **held: Any) -> None:
    """Insert a run; `held` are values of `Hold`."""
    connection.execute(_INSERT, {**{name: getattr(run, name) for name in _FIELDS}, **held})


def get_run(connection: Connection, run_id: str) -> Run:
    """Return the run of a whole id, without its metrics.

    Raises
    ------
    NotFound
        RUN-001.
    """
    row = connection.execute(_GET, {"id": run_id}).first()
    if row is None:
        raise NotFound("RUN-001", f"no run has the id {run_id}", id=run_id)
    return Run(*row)


def get_held(connection: Connection, run_id: str) -> tuple[Run, Hold]:
    """Return a run with what the owner keeps about it.

    Raises
    ------
    NotFound
        RUN-001.
    """
    found = find_held(connection, run_id)
    if found is None:
        raise NotFound("RUN-001", f"no run has the id {run_id}", id=run_id)
    return found


def find_held(connection: Connection, run_id: str) -> tuple[Run, Hold] | None:
    """Return what `get_held` does; None when there is no such run."""
    row = connection.execute(_GET_HELD, {"id": run_id}).first()
    return None if row is None else _split(row)


def find_run(connection: Connection, part: str) -> Run:
    """Return the run whose id is, starts or ends with a text, with its metrics.

    Raises
    ------
    NotFound
        RUN-001 when none or several match.
    """
    found: Sequence[Any] = []
    if _HEX.match(part):
        found = connection.execute(_FIND, {"prefix": f"{part}%", "suffix": f"%{part}"}).all()
    if len(found) != 1:
        what = f"{part!r} matches several runs" if found else f"no run matches {part!r}"
        raise NotFound("RUN-001", what, id=part)
    return with_metrics(connection, [get_run(connection, found[0][0])])[0]


def get_runs(connection: Connection, ids: Sequence[str]) -> list[Run]:
    """Return runs in the order of their ids, with their metrics.

    Raises
    ------
    NotFound
        RUN-001 when one is missing.
    """
    found = {run.id: run for part in _parts(ids) for run in _read(connection, _MANY, ids=part)}
    for run_id in ids:
        if run_id not in found:
            raise NotFound("RUN-001", f"no run has the id {run_id}", id=run_id)
    return with_metrics(connection, [found[run_id] for run_id in ids])


def list_runs(connection: Connection, wanted: ListRuns) -> list[Run]:
    """Return a page of runs, newest first, with their metrics.

    Raises
    ------
    NotFound
        RUN-001 when `before` names no run.
    """
    query = select(*_COLUMNS).order_by(runs.c.seq.desc()).limit(wanted.limit)
    for name in ("kind", "name", "state", "parent_id", "key"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(runs.c[name] == value)
    if wanted.before is not None:
        query = query.where(runs.c.seq < get_held(connection, wanted.before)[1].seq)
    return with_metrics(connection, _read(connection, query))


def with_metrics(connection: Connection, found: list[Run]) -> list[Run]:
    """Fill the latest metrics of runs in."""
    for part in _parts([run.id for run in found]):
        values = read_latest(connection, part)
        for run in found:
            if run.id in values:
                run.metrics = values[run.id]
    return found


def find_open(connection: Connection, ids: Sequence[str]) -> str | None:
    """Return the id of one of the runs that has not ended; None when all have."""
    for part in _parts(ids):
        found = connection.execute(_OPEN, {"ids": part}).scalar()
        if found is not None:
            return str(found)
    return None


def live_children(connection: Connection, parent_id: str) -> list[Run]:
    """Return the children of a run that have not ended."""
    return _read(connection, _CHILDREN, parent_id=parent_id)


def count_states(connection: Connection) -> dict[str, int]:
    """Return how many runs are in each state."""
    return {str(state): int(count) for state, count in connection.execute(_COUNT)}


def any_live(connection: Connection) -> bool:
    """Tell whether a run has not ended."""
    return connection.execute(_ANY_LIVE).first() is not None


def expired(connection: Connection, now: float) -> list[Run]:
    """Return the runs whose lease ended before `now`, in monotonic seconds."""
    return _read(connection, _EXPIRED, now=now)


def watched(connection: Connection) -> list[tuple[Run, Hold]]:
    """Return the live runs whose process the owner watches itself."""
    return [_split(row) for row in connection.execute(_WATCHED)]


def extend_lease(connection: Connection, run_id: str, attempt: int, fence: int, until: float) -> bool:
    """Prolong a lease; False when the fence is old or the run has ended."""
    values = {"id_": run_id, "attempt_": attempt, "fence_": fence, "until": until}
    return connection.execute(_EXTEND, values).rowcount > 0


def extend_leases(connection: Connection, until: float) -> None:
    """Prolong every lease, as after a time without an owner."""
    connection.execute(_EXTEND_ALL, {"until": until})


def give_order(connection: Connection, run_id: str, order: str) -> None:
    """Tell the worker of a live run, with its next heartbeat or report, to ``prune`` or ``cancel``."""
    connection.execute(_GIVE_ORDER, {"id_": run_id, "order_": order})


def read_order(connection: Connection, run_id: str) -> str:
    """Return what the worker of a run is to be told."""
    return str(connection.execute(_ORDER, {"id_": run_id}).scalar())


def change_run(connection: Connection, run: Run, **values: Any) -> bool:
    """Update a run that still has the state, attempt and fence of `run`; tell whether it had."""
    where = {"id": run.id, "state": run.state, "attempt": run.attempt, "fence": run.fence}
    return change(connection, runs, where, **values)


def find_result(connection: Connection, key: str) -> Run | None:
    """Return the run whose result is kept under a cache key."""
    row = connection.execute(_HIT, {"key_": key}).first()
    return None if row is None else Run(*row)


def find_earlier(connection: Connection, kind: str, name: str, key: str) -> Run | None:
    """Return the newest run of a cache key, else the newest of that kind and name that had a key."""
    row = (
        connection.execute(_EARLIER_OF_KEY, {"key_": key}).first()
        or connection.execute(_EARLIER_OF_NAME, {"kind_": kind, "name_": name}).first()
    )
    return None if row is None else Run(*row)


def keep_result(connection: Connection, run: Run, time: float) -> None:
    """Keep a run as the result of its cache key."""
    values = {"key": run.key, "name": run.name, "run_id": run.id, "created_at": time}
    connection.execute(_KEEP_RESULT, values)


def drop_result(connection: Connection, run: Run) -> None:
    """Forget a kept result, as when its bytes are gone."""
    connection.execute(_DROP_RESULT, {"key": run.key, "run_id": run.id})


def is_ended(run: Run) -> bool:
    """Tell whether a run is in a state that it never leaves."""
    return run.state in TERMINAL


def _split(row: Any) -> tuple[Run, Hold]:
    return Run(*row[len(_HOLD) :]), Hold(*row[: len(_HOLD)])


def _read(connection: Connection, query: Any, **values: Any) -> list[Run]:
    return [Run(*row) for row in connection.execute(query, values)]


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    # SQLite takes a bounded number of values in one statement.
    for start in range(0, len(ids), 500):
        yield ids[start : start + 500]
