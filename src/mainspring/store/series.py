"""Metric points: clustered by run, key and step, the latest of each series apart.

A point is what it says: one of the same step and time and another value stands beside it, one that
says the same is the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mainspring.domain.errors import Invalid
from mainspring.domain.tracking import OWN
from mainspring.store.statements import Statement, add_once, add_or_replace, pack_ids, unpack_ids
from mainspring.store.tables import latest, points, runs, series_keys
from mainspring.store.words import (
    ColumnElement,
    Connection,
    Table,
    Upsert,
    bindparam,
    case,
    delete,
    null,
    or_,
    select,
    tuple_,
)

Point = tuple[str, int, float, float]
"""(key, step, time in seconds since 1970, value)"""

_KEYS = Statement(select(series_keys.c.key, series_keys.c.id).where(series_keys.c.key.in_(unpack_ids("names"))))
_POINT = ("run", "key", "step", "time", "value", "nan", "attempt")
_ADD_KEY = Statement(add_once(series_keys), ("key",))
_ADD_POINT = Statement(add_or_replace(points, "attempt"), _POINT)
_upsert = Upsert(latest)
_PLACE = ("step", "time", "value")
_SET_LATEST = Statement(
    _upsert.on_conflict_do_update(
        index_elements=["run", "key"],
        set_={name: _upsert.excluded[name] for name in _POINT[2:]},
        where=tuple_(*(_upsert.excluded[name] for name in _PLACE)) > tuple_(*(latest.c[name] for name in _PLACE)),
    ),
    _POINT,
)


def read_value(table: Table) -> ColumnElement[float | None]:
    """Return the value of points or latest points as SQL; NULL stands for what is not a number."""
    return case((table.c.nan, null()), else_=table.c.value)


_OVERTAKEN = [
    Statement(
        delete(table).where(
            table.c.run == bindparam("run_"),
            table.c.key == bindparam("key_"),
            table.c.step >= bindparam("first"),
            table.c.attempt < bindparam("attempt_"),
        )
    )
    for table in (points, latest)
]
_LATEST = Statement(
    select(runs.c.id, series_keys.c.key, read_value(latest))
    .join_from(runs, latest, latest.c.run == runs.c.seq)
    .join(series_keys, series_keys.c.id == latest.c.key)
    .where(runs.c.id.in_(unpack_ids("ids")))
    # What the platform logs itself is read as a series; in each answer it would be in the way.
    .where(or_(series_keys.c.key < OWN, series_keys.c.key >= f"{OWN[:-1]}0"))
    .order_by(series_keys.c.key)
)
_LAST_STEPS = Statement(
    select(series_keys.c.key, latest.c.step)
    .join_from(latest, series_keys, series_keys.c.id == latest.c.key)
    .where(latest.c.run == bindparam("run_"))
)
_SERIES = Statement(
    select(points.c.step, points.c.time, read_value(points))
    .join_from(points, series_keys, series_keys.c.id == points.c.key)
    .join(runs, runs.c.seq == points.c.run)
    .where(runs.c.id == bindparam("run_id"), series_keys.c.key == bindparam("name"))
    .order_by(points.c.step, points.c.time, points.c.value, points.c.nan)
)


def add_points(
    connection: Connection, run: int, attempt: int, new: Sequence[Point], known: Mapping[str, int] | None = None
) -> None:
    """Add points to the series of a run.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    run : int
        The run's number inside the file (`Hold.seq`).
    attempt : int
        Which attempt has logged them.
    new : sequence of (key, step, time, value)
        In the order they were logged.
    known : mapping of str to int, optional
        Numbers of keys that this transaction has read; None: they are read.

    Notes
    -----
    Guarantees: a second delivery changes nothing. Infinities are kept as they are.
    """
    if not new:
        return
    keys = _find_keys(connection, {key for key, *_ in new}, known)
    rows: list[dict[str, Any]] = [
        {
            "run": run,
            "key": keys[key],
            "step": step,
            "time": time,
            "value": 0.0 if math.isnan(value) else value,
            "nan": math.isnan(value),
            "attempt": attempt,
        }
        for key, step, time, value in new
    ]
    _ADD_POINT.run_many(connection, rows)
    last: dict[int, dict[str, Any]] = {}
    for row in rows:
        before = last.setdefault(row["key"], row)
        # Of equal ones the first stays, as in MLflow: there, what is not a number counts as 0.
        if (row["step"], row["time"], row["value"]) > (before["step"], before["time"], before["value"]):
            last[row["key"]] = row
    _SET_LATEST.run_many(connection, [*last.values()])


def drop_overtaken(connection: Connection, run: int, attempt: int, new: Sequence[Point]) -> None:
    """Drop what earlier attempts had logged from where a later one has begun to log again.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    run : int
        The run's number inside the file.
    attempt : int
        The later one. Times would not tell them apart: clocks jump, and differ between machines.
    new : sequence of (key, step, time, value)
        Points of the later attempt, to be added next.
    """
    keys = _find_keys(connection, {key for key, *_ in new})
    first: dict[int, int] = {}
    for key, step, *_ in new:
        first[keys[key]] = min(step, first.get(keys[key], step))
    rows = [{"run_": run, "key_": key, "first": step, "attempt_": attempt} for key, step in first.items()]
    for statement in _OVERTAKEN:
        statement.run_many(connection, rows)


def read_series(connection: Connection, run_id: str, key: str) -> list[tuple[int, float, float]]:
    """Return (step, time, value) of one metric of a run, in order of step."""
    rows = _SERIES.all(connection, run_id=run_id, name=key)
    return [(step, time, _number(value)) for step, time, value in rows]


def read_positions(connection: Connection, run: int) -> dict[str, int]:
    """Return key -> the step after the last one of each series of a run, by its number inside the file."""
    return {str(key): int(step) + 1 for key, step in _LAST_STEPS.all(connection, run_=run)}


def read_latest(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return run id -> key -> latest value, for the runs that have any."""
    found: dict[str, dict[str, float]] = {}
    for run_id, key, value in _LATEST.all(connection, ids=pack_ids(ids)):
        found.setdefault(run_id, {})[key] = _number(value)
    return found


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def read_keys(connection: Connection, names: set[str]) -> dict[str, int]:
    """Return the numbers of those of these names that metrics, params or tags have."""
    return {str(key): int(number) for key, number in _KEYS.all(connection, names=pack_ids(sorted(names)))}


def _find_keys(connection: Connection, names: set[str], known: Mapping[str, int] | None = None) -> Mapping[str, int]:
    # SQLite ends the texts of a list there, PostgreSQL refuses them.
    hollow = next((name for name in names if "\0" in name), None)
    if hollow is not None:
        raise Invalid("HOME-020", f"the key {hollow!r} holds the character NUL")
    found = read_keys(connection, names) if known is None else known
    if found.keys() != names:
        _ADD_KEY.run_many(connection, [{"key": name} for name in sorted(names - found.keys())])
        found = read_keys(connection, names)
    return found
