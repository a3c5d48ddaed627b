"""Series as charts and pages read them: a page at a time, or thinned out by the store."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, literal_column, select, tuple_

from mainspring.domain.searches import History, ReadHistory
from mainspring.store.pages import Place, read_page, write_page
from mainspring.store.statements import Statement
from mainspring.store.tables import points, runs, series_keys

Point = tuple[int, float, float]
"""(step, time in seconds since 1970, value)"""

_FAR = 2**63 - 1
_BY_STEP = (points.c.step, points.c.time, points.c.value, points.c.nan)
_BY_TIME = (points.c.time, points.c.step, points.c.value, points.c.nan)
_PLACE = ("step_", "time_", "value_", "nan_")

_series = select(points.c.step, points.c.time, points.c.value, points.c.nan).where(
    points.c.run == bindparam("run_"), points.c.key == bindparam("key_")
)
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
_COUNT = Statement(
    select(func.count()).where(points.c.run == bindparam("run_"), points.c.key == bindparam("key_"), *_within)
)
_LAST = Statement(_series.where(*_within).order_by(*(column.desc() for column in _BY_STEP)).limit(literal_column("1")))
_FIRST = Statement(_series.where(*_within).order_by(*_BY_STEP).limit(literal_column("1")))
_NEXT = Statement(
    _following(_BY_STEP)
    .with_only_columns(points.c.step, points.c.time, points.c.value, points.c.nan)
    .where(points.c.step >= bindparam("step_"))
    .offset(bindparam("skipped"))
)
_ALL = Statement(_series.where(*_within).order_by(*_BY_STEP))


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
    shown = rows[: wanted.limit]
    following = write_page(search, list(shown[-1])) if len(rows) > wanted.limit else None
    return History([_read(row) for row in shown], following)


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
    MLflow's choice: of as many parts of equal length, the earlier ones longer by one, the first point each, and the
    last point of all in place of the last of these. Cost: the index is walked once, and one statement for each point.
    """
    run, key = series
    given: dict[str, Any] = {"run_": run, "key_": key}
    given["first"], given["last"] = -_FAR if first is None else first, _FAR if last is None else last
    counted = _COUNT.first(connection, **given)
    total = counted[0] if counted else 0
    if total <= most:
        return [_read(row) for row in _ALL.all(connection, **given)]
    rows = list(_hop(connection, given, total, most))
    rows[-1] = _LAST.all(connection, **given)[0]
    return [_read(row) for row in rows]


def _hop(connection: Connection, given: dict[str, Any], total: int, parts: int) -> Iterator[list[Any]]:
    """Yield the first point of each of so many parts."""
    length, longer = divmod(total, parts)
    row = _FIRST.all(connection, **given)[0]
    yield row
    for part in range(parts - 1):
        skipped = length - 1 + (part < longer)
        place = dict(zip(_PLACE, row, strict=True))
        row = _NEXT.all(connection, run_=given["run_"], key_=given["key_"], limit_=1, skipped=skipped, **place)[0]
        yield row


def _read(row: Sequence[Any]) -> Point:
    step, time, value, is_nan = row
    return step, time, math.nan if is_nan else value
