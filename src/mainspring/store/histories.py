"""Series as charts and pages read them: a page at a time, or thinned out by the store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from mainspring.domain.searches import History, ReadHistory
from mainspring.store.pages import Place, read_page, write_page
from mainspring.store.series import read_value
from mainspring.store.statements import Statement, pack_ids, unpack_numbers
from mainspring.store.tables import points, runs, series_keys
from mainspring.store.words import Connection, Select, bindparam, func, literal_column, select, tuple_

Point = tuple[int, float, float]
"""(step, time in seconds since 1970, value)"""

_FAR = 2**63 - 1
_BY_STEP = (points.c.step, points.c.time, points.c.value, points.c.nan)
_BY_TIME = (points.c.time, points.c.step, points.c.value, points.c.nan)
_PLACE = ("step_", "time_", "value_", "nan_")

_POINT = (points.c.step, points.c.time, read_value(points))
_OF_SERIES = (points.c.run == bindparam("run_"), points.c.key == bindparam("key_"))
_series = select(*_POINT).where(*_OF_SERIES)
_FIND = Statement(
    select(runs.c.seq, series_keys.c.id)
    .select_from(runs)
    .outerjoin(series_keys, series_keys.c.key == bindparam("name"))
    .where(runs.c.id == bindparam("id_"), runs.c.project == bindparam("project_"))
)


def _following(order: Sequence[Any]) -> Select[Any]:
    names = {"step": "step_", "time": "time_", "value": "value_", "nan": "nan_"}
    place = tuple_(*(bindparam(names[column.name], type_=column.type) for column in order))
    return _series.where(tuple_(*order) > place).order_by(*order).limit(bindparam("limit_"))


_PAGES = {by_step: Statement(_following(order)) for by_step, order in ((True, _BY_STEP), (False, _BY_TIME))}
_within = (points.c.step >= bindparam("first"), points.c.step <= bindparam("last"))
_COUNT = Statement(select(func.count()).where(*_OF_SERIES, *_within))
_ALL = Statement(_series.where(*_within).order_by(*_BY_STEP))
_LAST = Statement(_series.where(*_within).order_by(*(column.desc() for column in _BY_STEP)).limit(literal_column("1")))
_FIRST = Statement(_series.where(*_within).order_by(*_BY_STEP).limit(literal_column("1")))
_EXTREMES = [
    Statement(_series.where(*_within, ~points.c.nan).order_by(order, points.c.step).limit(literal_column("1")))
    for order in (points.c.value, points.c.value.desc())
]
_AT = Statement(_series.where(points.c.step.in_(unpack_numbers("steps"))).order_by(*_BY_STEP))
_NEXT = Statement(_following(_BY_STEP).where(points.c.step >= bindparam("step_")).offset(bindparam("skipped")))


def find_series(connection: Connection, project: str, run_id: str, key: str) -> tuple[int, int] | None:
    """Return by which numbers the points of a series are kept, of a deleted run too.

    Returns
    -------
    tuple or None
        Of the run and of the key, -1 for a key that nobody has logged; None when the project has no such run.
    """
    row = _FIND.first(connection, id_=run_id, project_=project, name=key)
    return None if row is None else (int(row[0]), -1 if row[1] is None else int(row[1]))


def read_history(connection: Connection, project: str, wanted: ReadHistory, series: tuple[int, int]) -> History:
    """Return a page of a series; where it ends is told by the point, so that points may come meanwhile.

    Raises
    ------
    Invalid
        RUN-013 for a page that is none or belongs to another series.
    """
    search = (project, wanted.run_id, wanted.key, wanted.by_step)
    place: Place = [-_FAR, -math.inf, -math.inf, False]
    if wanted.page:
        place = read_page(wanted.page, search, (int, float, float, bool))
    values = dict(zip(_PLACE, place, strict=True))
    run, key = series
    rows = _PAGES[wanted.by_step].all(connection, run_=run, key_=key, limit_=wanted.limit + 1, **values)
    shown = _read(rows[: wanted.limit])
    following = write_page(search, [*_place(shown[-1]).values()]) if len(rows) > wanted.limit else None
    return History(shown, following)


def sample(
    connection: Connection, series: tuple[int, int], most: int, first: int | None, last: int | None
) -> list[Point]:
    """Return points of a series that lie evenly within it, the first and the last one among them.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    series : (int, int)
        From `find_series`.
    most : int
        Points, >= 1; of a shorter series all are returned, for 1 the last one.
    first, last : int or None
        Steps within which to look.

    Notes
    -----
    Where each step has one point, as far as is seen, steps are chosen, and the series is not read however long it is.
    Otherwise points are, as MLflow chooses them: of as many parts of equal length, the earlier ones longer by one,
    the first each, and the last point of all in place of the last of these. Cost then: the index is walked twice, and a
    statement for each point.
    """
    run, key = series
    given: dict[str, Any] = {"run_": run, "key_": key}
    within = {**given, "first": -_FAR if first is None else first, "last": _FAR if last is None else last}
    ends = _read([*_FIRST.all(connection, **within), *_LAST.all(connection, **within)])
    if not ends:
        return []
    begin, end = ends[0], ends[-1]
    steps = end[0] - begin[0] + 1
    if steps > most:
        wanted = [begin[0] + start for start in _find_starts(steps, most)]
        found = _read(_AT.all(connection, **given, steps=pack_ids([*wanted[:-1], end[0]])))
        if [point[0] for point in found] == [*wanted[:-1], end[0]]:
            return found
    counted = _COUNT.first(connection, **within)
    total = counted[0] if counted else 0
    if total <= most:
        return _read(_ALL.all(connection, **within))
    starts, found = _find_starts(total, most), [begin]
    for before, start in pairwise(starts):
        row = _NEXT.all(connection, **given, limit_=1, skipped=start - before - 1, **_place(found[-1]))
        found += _read(row)
    return [*found[:-1], end]


def thin_out(connection: Connection, series: tuple[int, int], most: int) -> list[Point]:
    """Return the least and the greatest value of each of many equal ranges of steps, with the first and the last point.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    series : (int, int)
        From `find_series`.
    most : int
        Points, >= 4; a series that has no more is returned whole.

    Notes
    -----
    Guarantees: no peak is lost, however narrow. What is not a number is left out of a series that is thinned.
    Cost: the series is read three times by the database, two points of each range by us.
    """
    run, key = series
    given: dict[str, Any] = {"run_": run, "key_": key}
    whole = {**given, "first": -_FAR, "last": _FAR}
    counted = _COUNT.first(connection, **whole)
    if counted is None or counted[0] <= most:
        return _read(_ALL.all(connection, **whole))
    begin, end = _read([*_FIRST.all(connection, **whole), *_LAST.all(connection, **whole)])
    ranges = max(1, min(most // 2 - 1, end[0] - begin[0] + 1))
    bounds = [begin[0] + start for start in _find_starts(end[0] - begin[0] + 1, ranges)]
    found = {begin, end}
    for first, following in pairwise([*bounds, end[0] + 1]):
        within = {**given, "first": first, "last": following - 1}
        for extreme in _EXTREMES:
            found.update(_read(extreme.all(connection, **within)))
    return sorted(found, key=lambda point: point[:2])


def _find_starts(total: int, parts: int) -> list[int]:
    """Return where each of so many parts of equal length begins, the earlier ones longer by one."""
    length, longer = divmod(total, parts)
    return [part * length + min(part, longer) for part in range(parts)]


def _place(point: Point) -> dict[str, Any]:
    step, time, value = point
    is_nan = math.isnan(value)
    return {"step_": step, "time_": time, "value_": 0.0 if is_nan else value, "nan_": is_nan}


def _read(rows: Sequence[Sequence[Any]]) -> list[Point]:
    return [(step, time, math.nan if value is None else value) for step, time, value in rows]
