"""Runs in the record, with what the owner keeps about those that live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from mainspring.domain.errors import NotFound
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.store.deletions import is_here
from mainspring.store.ids import pick_id
from mainspring.store.indexes import add_values, change_values
from mainspring.store.rows import add, change, overwrite
from mainspring.store.series import read_latest
from mainspring.store.statements import Statement, add_or_replace, pack_ids, unpack_ids
from mainspring.store.tables import cache, deletions, runs
from mainspring.store.words import (
    Connection,
    Float,
    Select,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)

LIVE = ("queued", "starting", "running")

_FIELDS = tuple(name for name in Run.__struct_fields__ if name in runs.c)
COLUMNS = [runs.c[name] for name in _FIELDS]


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
    saved_at : float or None
        When it made its last checkpoint; None: never.
    gives_way : str
        To which run the present attempt is to give way, or by whose word; empty: it keeps its place.
    """

    seq: int
    lease_until: float | None
    process_start: str | None
    losses: int
    failures: int
    journal_offset: int
    order: str
    saved_at: float | None
    gives_way: str


class Above(NamedTuple):
    """A run as those below it see it."""

    id: str
    name: str
    parent_id: str | None
    tags: dict[str, str]


class End(NamedTuple):
    """When a run of a project ended, and whether only lineage names it any more."""

    project: str
    ended_at: float | None
    purged: bool


_HOLD = [runs.c[name] for name in Hold.__struct_fields__]
HELD = [*_HOLD, *COLUMNS]
"""What `split_held` makes a run of, with what is kept about it."""

NOWHERE = ""
"""The node of runs that no owner tends: what executes them, only their programs know."""

_IS_LIVE = runs.c.state.in_([literal_column(f"'{state}'") for state in LIVE])
_IS_LISTED = runs.c.id.in_(unpack_ids("ids"))
_IS_ID = runs.c.id == bindparam("id_")
_GET = Statement(select(*COLUMNS).where(_IS_ID))
_IS_SHOWN = is_here(runs.c.id)
_GET_SHOWN = Statement(select(*COLUMNS).where(_IS_ID, runs.c.project == bindparam("project_"), _IS_SHOWN))
_GET_HELD = Statement(select(*HELD).where(_IS_ID))
_ENDS = Statement(
    select(runs.c.id, runs.c.project, runs.c.ended_at, deletions.c.purged_at)
    .outerjoin(deletions, deletions.c.id == runs.c.id)
    .where(_IS_LISTED)
)
_ABOVE = Statement(select(*(runs.c[name] for name in Above._fields)).where(_IS_ID))
_below = select(runs.c.id, runs.c.name).where(runs.c.parent_id == bindparam("parent")).cte("below", recursive=True)
_below = _below.union_all(select(runs.c.id, runs.c.name).join(_below, runs.c.parent_id == _below.c.id))
_NAMES_BELOW = Statement(select(_below.c.name).distinct().order_by(_below.c.name))
_MANY = Statement(select(*COLUMNS).where(_IS_LISTED))
_NAMES = Statement(select(runs.c.id, runs.c.name).where(_IS_LISTED))
_OPEN = Statement(select(runs.c.id).where(_IS_LISTED, _IS_LIVE).limit(bindparam("limit_")))
_LISTED_SHOWN = Statement(select(runs.c.id).where(_IS_LISTED, runs.c.project == bindparam("project_"), _IS_SHOWN))
_CHILDREN = Statement(
    select(*COLUMNS)
    .where(runs.c.parent_id == bindparam("parent"), _IS_LIVE)
    .order_by(runs.c.seq)
    .limit(bindparam("limit_"))
)
_above = runs.alias("above")
_ORPHANS = Statement(
    select(*COLUMNS, _above.c.state)
    .join(_above, _above.c.id == runs.c.parent_id)
    .where(_IS_LIVE, _above.c.state.not_in([literal_column(f"'{state}'") for state in LIVE]))
    .order_by(runs.c.seq)
    .limit(bindparam("limit_"))
)
_STATE = Statement(select(runs.c.state).where(_IS_ID))
_COUNT = Statement(
    select(runs.c.state, func.count()).where(runs.c.project == bindparam("project_"), _IS_SHOWN).group_by(runs.c.state)
)
_FOREIGN = Statement(select(runs.c.id).where(_IS_LISTED, runs.c.project != bindparam("project_")).limit(1))
_IS_HERE = runs.c.node == bindparam("node_")
_LIVE_OF = Statement(
    select(*COLUMNS).where(runs.c.principal == bindparam("principal_"), _IS_LIVE).order_by(runs.c.seq.desc())
)
_LIVE_HERE = Statement(select(*COLUMNS).where(_IS_HERE, _IS_LIVE).order_by(runs.c.seq.desc()))
# What nobody watches lives until it is said to have ended, which may be never; it keeps no owner.
_IS_WATCHED = or_(
    runs.c.kind != literal_column("'script'"),
    runs.c.lease_until.is_not(None),
    runs.c.process_start.is_not(None),
)
_ANY_LIVE = Statement(select(runs.c.id).where(_IS_HERE, _IS_LIVE, _IS_WATCHED).limit(1))
# An expression of its own: by the index of nodes and states SQLite would read every run that a node has ever had.
_IS_NEAR = runs.c.node.op("||")(literal_column("''")) == bindparam("node_")
_EXPIRED = Statement(select(*COLUMNS).where(runs.c.lease_until < bindparam("now"), _IS_NEAR))
_WATCHED = Statement(
    select(runs.c.pid, runs.c.process_start).where(runs.c.process_start.is_not(None), _IS_NEAR).distinct()
)
_OF_PROCESS = Statement(
    select(*COLUMNS).where(runs.c.process_start == bindparam("start"), runs.c.pid == bindparam("pid_"), _IS_NEAR)
)
_EXTEND = Statement(
    update(runs)
    .where(_IS_ID, runs.c.attempt == bindparam("attempt_"), runs.c.fence == bindparam("fence_"), _IS_LIVE)
    # A process that the owner watches itself needs no lease, and must not be lost for one.
    .values(lease_until=case((runs.c.process_start.is_(None), bindparam("until")), else_=runs.c.lease_until))
)
_EXTEND_ALL = Statement(
    update(runs)
    .where(runs.c.lease_until.is_not(None), _IS_HERE)
    .values(
        lease_until=case(
            (runs.c.kind == literal_column("'script'"), cast(bindparam("late"), Float)),
            else_=cast(bindparam("until"), Float),
        )
    )
)
_MOVE = Statement(update(runs).where(_IS_ID).values(node=bindparam("to_node")))
_ORDER = Statement(select(runs.c.order).where(_IS_ID))
_IN_PROJECT = runs.c.project == bindparam("project_")
_HIT = Statement(
    select(*COLUMNS)
    .join(cache, cache.c.run_id == runs.c.id)
    .where(cache.c.project == bindparam("project_"), cache.c.key == bindparam("key_"))
)
_EARLIER_OF_KEY = Statement(
    select(*COLUMNS).where(runs.c.key == bindparam("key_"), _IN_PROJECT, _IS_SHOWN).order_by(runs.c.seq.desc()).limit(1)
)
_EARLIER_OF_NAME = Statement(
    select(*COLUMNS)
    .where(_IN_PROJECT, runs.c.kind == bindparam("kind_"), runs.c.name == bindparam("name_"))
    .where(runs.c.key.is_not(None), _IS_SHOWN)
    .order_by(runs.c.seq.desc())
    .limit(1)
)
_KEEP_RESULT = Statement(
    add_or_replace(cache, "name", "run_id", "created_at"), ("project", "key", "name", "run_id", "created_at")
)
_DROP_RESULT = Statement(
    delete(cache).where(
        cache.c.project == bindparam("project_"),
        cache.c.key == bindparam("key_"),
        cache.c.run_id == bindparam("run_id_"),
    )
)


def add_run(connection: Connection, run: Run, **held: Any) -> None:
    """Insert a run; `held` are values of `Hold`."""
    add(connection, runs, run, **held)
    add_values(connection, run.id, "params", run.params)
    add_values(connection, run.id, "tags", run.tags)


def no_run(run_id: str) -> NotFound:
    """Return the refusal of an id that no run has; the words for one of another project too."""
    return NotFound("RUN-001", f"no run has the id {run_id}", id=run_id)


def get_run(connection: Connection, run_id: str) -> Run:
    """Return the run of a whole id, without its metrics.

    Raises
    ------
    NotFound
        RUN-001.
    """
    row = _GET.first(connection, id_=run_id)
    if row is None:
        raise no_run(run_id)
    return Run(*row)


def read_above(connection: Connection, run_id: str) -> Above:
    """Return what those below a run must know of it.

    Raises
    ------
    NotFound
        RUN-001.
    """
    row = _ABOVE.first(connection, id_=run_id)
    if row is None:
        raise no_run(run_id)
    return Above(*row)


def list_names_below(connection: Connection, run_id: str) -> list[str]:
    """Return the names of all runs below a run, in order."""
    return [str(name) for (name,) in _NAMES_BELOW.all(connection, parent=run_id)]


def get_held(connection: Connection, run_id: str) -> tuple[Run, Hold]:
    """Return a run with what the owner keeps about it.

    Raises
    ------
    NotFound
        RUN-001.
    """
    found = find_held(connection, run_id)
    if found is None:
        raise no_run(run_id)
    return found


def find_held(connection: Connection, run_id: str) -> tuple[Run, Hold] | None:
    """Return what `get_held` does; None when there is no such run."""
    row = _GET_HELD.first(connection, id_=run_id)
    return None if row is None else split_held(row)


def find_run(connection: Connection, project: str, part: str) -> Run:
    """Return the run of a project whose id is, starts or ends with a text, with its metrics.

    Raises
    ------
    NotFound
        RUN-001 when none or several match; it names the nearest, or those.
    """
    if len(part) == 32:
        row = _GET_SHOWN.first(connection, id_=part, project_=project)
        if row is None:
            raise no_run(part)
        return with_metrics(connection, [Run(*row)])[0]
    found = pick_id(connection, name_runs(project), part, code="RUN-001", noun="run")
    return with_metrics(connection, [get_run(connection, found)])[0]


def name_runs(project: str) -> Select[str, str]:
    """Return a query of the ids and names of a project's runs."""
    return select(runs.c.id, runs.c.name).where(runs.c.project == project, _IS_SHOWN)


def read_names(connection: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Return id -> name of those of some runs that there are."""
    return {row[0]: row[1] for row in _NAMES.all(connection, ids=pack_ids([*ids]))}


def get_runs(connection: Connection, ids: Sequence[str]) -> list[Run]:
    """Return runs in the order of their ids, with their metrics.

    Raises
    ------
    NotFound
        RUN-001 when one is missing.
    """
    found = {run.id: run for run in _read(_MANY, connection, ids=pack_ids(ids))}
    for run_id in ids:
        if run_id not in found:
            raise no_run(run_id)
    return with_metrics(connection, [found[run_id] for run_id in ids])


def find_ends(connection: Connection, ids: Sequence[str]) -> dict[str, End]:
    """Return when runs ended, deleted or not; without those that there are none of."""
    rows = _ENDS.all(connection, ids=pack_ids(ids))
    return {str(run_id): End(project, ended_at, purged_at is not None) for run_id, project, ended_at, purged_at in rows}


def find_foreign(connection: Connection, project: str, ids: Sequence[str]) -> str | None:
    """Return one of these runs that belongs to another project; None when there is none."""
    row = _FOREIGN.first(connection, project_=project, ids=pack_ids(ids))
    return None if row is None else str(row[0])


def with_metrics(connection: Connection, found: list[Run]) -> list[Run]:
    """Fill the latest metrics of runs in."""
    values = read_latest(connection, [run.id for run in found])
    for run in found:
        run.metrics = values.get(run.id, {})
    return found


def find_open(connection: Connection, ids: Sequence[str], limit: int = 1) -> list[str]:
    """Return some of the runs that have not ended, by id; none when all have."""
    return [str(run_id) for (run_id,) in _OPEN.all(connection, ids=pack_ids(ids), limit_=limit)]


def find_ids_of(connection: Connection, project: str, parts: Sequence[str]) -> list[str]:
    """Return the whole ids of runs of a project, each of which `find_run` would find.

    Raises
    ------
    NotFound
        RUN-001 when one does not match or several match a part.
    """
    ids = [part if len(part) == 32 else find_run(connection, project, part).id for part in parts]
    shown = {str(run_id) for (run_id,) in _LISTED_SHOWN.all(connection, ids=pack_ids(ids), project_=project)}
    for run_id in ids:
        if run_id not in shown:
            raise no_run(run_id)
    return ids


def live_children(connection: Connection, parent_id: str, limit: int) -> list[Run]:
    """Return the first children of a run that have not ended."""
    return _read(_CHILDREN, connection, parent=parent_id, limit_=limit)


def find_orphans(connection: Connection, limit: int) -> list[tuple[Run, str]]:
    """Return the first runs that have not ended below one that has, with its state."""
    return [(Run(*row[:-1]), str(row[-1])) for row in _ORPHANS.all(connection, limit_=limit)]


def read_state(connection: Connection, run_id: str) -> str | None:
    """Return the state of a run; None when there is no such run."""
    row = _STATE.first(connection, id_=run_id)
    return None if row is None else str(row[0])


def count_states(connection: Connection, project: str) -> dict[str, int]:
    """Return how many runs of a project are in each state."""
    return {str(state): int(count) for state, count in _COUNT.all(connection, project_=project)}


def any_live(connection: Connection, node: str) -> bool:
    """Tell whether a run of a node has not ended."""
    return _ANY_LIVE.first(connection, node_=node) is not None


def live_of_node(connection: Connection, node: str) -> list[Run]:
    """Return the runs of a node that have not ended, newest first."""
    return _read(_LIVE_HERE, connection, node_=node)


def live_of_principal(connection: Connection, principal: str) -> list[Run]:
    """Return the runs of a principal that have not ended, newest first."""
    return _read(_LIVE_OF, connection, principal_=principal)


def expired(connection: Connection, node: str, now: float) -> list[Run]:
    """Return the runs of a node whose lease ended before `now`, in monotonic seconds of its machine."""
    return _read(_EXPIRED, connection, node_=node, now=now)


def watched(connection: Connection, node: str) -> list[tuple[int, str]]:
    """Return (process id, start) of the processes that a node's owner watches because of their runs."""
    return [(pid, start) for pid, start in _WATCHED.all(connection, node_=node)]


def of_process(connection: Connection, node: str, pid: int, start: str) -> list[Run]:
    """Return the live runs of a watched process."""
    return _read(_OF_PROCESS, connection, node_=node, pid_=pid, start=start)


def extend_lease(connection: Connection, run_id: str, attempt: int, fence: int, until: float) -> bool:
    """Prolong a lease; False when the fence is old or the run has ended."""
    values = {"id_": run_id, "attempt_": attempt, "fence_": fence, "until": until}
    return _EXTEND.run(connection, values).rowcount > 0


def extend_leases(connection: Connection, node: str, until: float, late: float) -> None:
    """Prolong every lease of a node, as after a time without an owner; those of scripts until `late`."""
    _EXTEND_ALL.run_later(connection, {"node_": node, "until": until, "late": late})


def move_run(connection: Connection, run_id: str, node: str) -> None:
    """Give a run to another node to tend."""
    _MOVE.run_later(connection, {"id_": run_id, "to_node": node})


def read_order(connection: Connection, run_id: str) -> str:
    """Return what the worker of a run is to be told."""
    row = _ORDER.first(connection, id_=run_id)
    return "lost" if row is None else str(row[0])


def change_run(connection: Connection, run: Run, **values: Any) -> bool:
    """Update a run that still has the state, attempt and fence of `run`; tell whether it had.

    `run` is as the record has it: of its params and tags those are indexed that `values` has otherwise.
    """
    where = {"id": run.id, "state": run.state, "attempt": run.attempt, "fence": run.fence}
    changed = change(connection, runs, where, **values)
    for kind, old in (("params", run.params), ("tags", run.tags)):
        if changed and kind in values:
            change_values(connection, run.id, kind, old, values[kind])
    return changed


def set_texts(connection: Connection, run: Run, params: dict[str, Any], tags: dict[str, str]) -> None:
    """Give a run other parameters and tags, in whatever state it is; cheap where few of many change."""
    old_and_new = {"params": (run.params, params), "tags": (run.tags, tags)}
    changed = {kind: each for kind, each in old_and_new.items() if each[0] != each[1]}
    if changed:
        overwrite(connection, runs, {"id": run.id}, **{kind: new for kind, (_, new) in changed.items()})
    for kind, (old, new) in changed.items():
        change_values(connection, run.id, kind, old, new)


def find_result(connection: Connection, project: str, key: str) -> Run | None:
    """Return the run whose result is kept under a cache key of a project."""
    row = _HIT.first(connection, project_=project, key_=key)
    return None if row is None else Run(*row)


def find_earlier(connection: Connection, project: str, kind: str, name: str, key: str) -> Run | None:
    """Return the newest run of a cache key, else the newest of that kind and name that had a key."""
    row = _EARLIER_OF_KEY.first(connection, project_=project, key_=key) or _EARLIER_OF_NAME.first(
        connection, project_=project, kind_=kind, name_=name
    )
    return None if row is None else Run(*row)


def keep_result(connection: Connection, run: Run, time: float) -> None:
    """Keep a run as the result of its cache key."""
    values = {"project": run.project, "key": run.key, "name": run.name, "run_id": run.id, "created_at": time}
    _KEEP_RESULT.run_later(connection, values)


def drop_result(connection: Connection, run: Run) -> None:
    """Forget a kept result, as when its bytes are gone."""
    _DROP_RESULT.run_later(connection, {"project_": run.project, "key_": run.key, "run_id_": run.id})


def is_ended(run: Run) -> bool:
    """Tell whether a run is in a state that it never leaves."""
    return run.state in TERMINAL


def is_unwatched(run: Run, hold: Hold) -> bool:
    """Tell whether a run has no process, worker or lease, so that it is in the state that it is said to be in."""
    return run.kind == "script" and not run.pid and hold.lease_until is None and hold.process_start is None


def split_held(row: Any) -> tuple[Run, Hold]:
    """Return a run and what the owner keeps about it, of a row of `HELD`."""
    return Run(*row[len(_HOLD) :]), Hold(*row[: len(_HOLD)])


def _read(statement: Statement, connection: Connection, **values: Any) -> list[Run]:
    return [Run(*row) for row in statement.all(connection, **values)]
