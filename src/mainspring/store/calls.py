"""What queued runs execute, and which worker they were placed on."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mainspring.domain.messages import RunSpec, Study
from mainspring.domain.records import Attempt, Call, Resources
from mainspring.store.rows import change
from mainspring.store.statements import Statement, add_once, pack_ids, unpack_ids
from mainspring.store.tables import calls, runs
from mainspring.store.words import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
)


class Waiting(msgspec.Struct, frozen=True):
    """A queued run, as far as its place in line goes.

    Attributes
    ----------
    seq : int
        Its number inside the record; newer runs have greater ones.
    due_at : float or None
        It is not placed before.
    saved_at : float or None
        When it made its last checkpoint.
    """

    id: str
    seq: int
    project: str
    principal: str
    kind: str
    resources: Resources
    created_at: float
    parent_id: str | None
    attempts: list[Attempt]
    due_at: float | None
    saved_at: float | None


class Held(msgspec.Struct, frozen=True):
    """A run that an engine holds.

    Attributes
    ----------
    saved_at : float or None
        When it made its last checkpoint.
    gives_way : str
        To which run it is to give way, or by whose word; empty: it keeps its place.
    waits : bool
        It has children that have not ended.
    """

    id: str
    project: str
    principal: str
    kind: str
    resources: Resources
    created_at: float
    started_at: float | None
    attempts: list[Attempt]
    attempt: int
    fence: int
    state: str
    timeout_s: float | None
    place: str
    saved_at: float | None
    gives_way: str
    call: Call
    waits: bool


class Placed(msgspec.Struct, frozen=True):
    """What a run executes, why it must, and the digest of the token of the worker that may."""

    call: Call
    study: Study | None
    reason: str | None
    token: str | None
    worker_id: str | None


def _is(column: ColumnElement[str], *values: str) -> ColumnElement[bool]:
    # A list in SQL would keep the statement from being compiled once.
    return or_(*(column == value for value in values))


_child = runs.alias("child")
_HAS = Statement(select(calls.c.run_id).where(calls.c.run_id == bindparam("id_")))
_GET = Statement(
    select(*(calls.c[name] for name in Placed.__struct_fields__)).where(calls.c.run_id == bindparam("id_"))
)
_RESOURCES = Statement(select(runs.c.resources).where(runs.c.id == bindparam("id_")))
_DEDUPE = Statement(select(calls.c.run_id).where(calls.c.dedupe == bindparam("dedupe_")))
_WAS_PLACED = Statement(
    select(calls.c.run_id).where(calls.c.run_id == bindparam("id_"), calls.c.placed_at.is_not(None))
)
_ADD = Statement(insert(calls), ("run_id", "call", "study", "dedupe", "reason"))
_KEEP = Statement(add_once(calls), ("run_id", "call", "study", "dedupe", "reason"))
_IS_WAITING = and_(
    # A script that is said to be queued has no call: it waits for a program of somewhere else.
    runs.c.state == "queued",
    runs.c.node == bindparam("node_"),
    runs.c.kind != literal_column("'script'"),
)
_waiting = select(*(runs.c[name] for name in Waiting.__struct_fields__)).where(_IS_WAITING)
_WAITING = Statement(_waiting.where(runs.c.seq > bindparam("after")).order_by(runs.c.seq))
_WAITING_AGAIN = Statement(_waiting.where(runs.c.id.in_(unpack_ids("ids"))).order_by(runs.c.seq))
_COUNT_WAITING = Statement(select(func.count()).select_from(runs).where(_IS_WAITING))
_HELD = Statement(
    select(
        *(runs.c[name] for name in Held.__struct_fields__ if name in runs.c),
        calls.c.call,
        exists().where(_child.c.parent_id == runs.c.id, _is(_child.c.state, "queued", "starting", "running")),
    )
    .join(calls, calls.c.run_id == runs.c.id)
    # What runs in its caller's own process may have a call, too, and no engine holds it.
    .where(_is(runs.c.state, "starting", "running"), runs.c.node == bindparam("node_"), calls.c.placed_at.is_not(None))
)
_WORKERS = Statement(
    select(func.count(calls.c.worker_id.distinct()))
    .join(runs, runs.c.id == calls.c.run_id)
    .where(runs.c.state == "running")
)


def add_call(connection: Connection, run_id: str, spec: RunSpec, dedupe: str | None, reason: str) -> None:
    """Keep what a run executes, and why no kept result answered it."""
    values = {"run_id": run_id, "call": spec.call, "study": spec.study, "dedupe": dedupe, "reason": reason}
    _ADD.run_later(connection, values)


def keep_call(connection: Connection, run_id: str, call: Call) -> None:
    """Keep what ran in its caller's own process; a run that was queued keeps its first call."""
    values = {"run_id": run_id, "call": call, "study": None, "dedupe": None, "reason": None}
    _KEEP.run_later(connection, values)


def has_call(connection: Connection, run_id: str) -> bool:
    """Tell whether it is known what a run executes."""
    return _HAS.first(connection, id_=run_id) is not None


def was_placed(connection: Connection, run_id: str) -> bool:
    """Tell whether a worker was told to execute a run, so that another one can."""
    return _WAS_PLACED.first(connection, id_=run_id) is not None


def find_placed(connection: Connection, run_id: str) -> Placed | None:
    """Return what a run executes and where, None for one that was never queued."""
    row = _GET.first(connection, id_=run_id)
    return None if row is None else Placed(*row)


def read_resources(connection: Connection, run_id: str) -> Resources | None:
    """Return what a run asks; None when there is no such run."""
    row = _RESOURCES.first(connection, id_=run_id)
    return None if row is None else row[0]


def find_duplicate(connection: Connection, dedupe: str) -> str | None:
    """Return the id of the run that was submitted under a text before."""
    row = _DEDUPE.first(connection, dedupe_=dedupe)
    return None if row is None else str(row[0])


def list_waiting(connection: Connection, node: str, after: int = -1) -> list[Waiting]:
    """Return the queued runs of a node whose number is greater, in order."""
    return [Waiting(*row) for row in _WAITING.all(connection, node_=node, after=after)]


def list_waiting_again(connection: Connection, node: str, ids: Iterable[str]) -> list[Waiting]:
    """Return those of some runs that are queued at a node."""
    return [Waiting(*row) for row in _WAITING_AGAIN.all(connection, node_=node, ids=pack_ids([*ids]))]


def count_waiting(connection: Connection, node: str) -> int:
    """Return how many runs are queued at a node."""
    return int(_COUNT_WAITING.all(connection, node_=node)[0][0])


def list_held(connection: Connection, node: str) -> list[Held]:
    """Return the runs of a node that were placed and have not ended."""
    return [Held(*row) for row in _HELD.all(connection, node_=node)]


def count_workers(connection: Connection) -> int:
    """Return how many workers hold runs."""
    return int(_WORKERS.all(connection)[0][0])


def place(connection: Connection, run_id: str, token: str, now: float) -> None:
    """Note the digest of the token with which a worker will ask for a run."""
    change(connection, calls, {"run_id": run_id}, token=token, placed_at=now, worker_id=None)


def take(connection: Connection, run_id: str, worker_id: str) -> None:
    """Note which worker has asked for a run."""
    change(connection, calls, {"run_id": run_id}, worker_id=worker_id)


def unplace(connection: Connection, run_id: str) -> None:
    """Take a run from the worker that it was placed on."""
    change(connection, calls, {"run_id": run_id}, worker_id=None, token=None, placed_at=None)
