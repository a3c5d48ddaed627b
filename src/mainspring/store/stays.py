"""Runs that had a place, as they came: what is known of the queue's past."""

from __future__ import annotations

from mainspring.domain.ids import first_id
from mainspring.domain.lists import refuse_page
from mainspring.domain.planning import Stay
from mainspring.store.statements import Statement
from mainspring.store.tables import runs
from mainspring.store.words import Connection, bindparam, literal_column, select

_stays = select(*(runs.c[name] for name in Stay.__struct_fields__)).where(
    runs.c.place != literal_column("''"), runs.c.id > bindparam("after")
)
_IS_PAGE = Statement(
    select(runs.c.id).where(
        runs.c.id == bindparam("id_"), runs.c.id > bindparam("after"), runs.c.place != literal_column("''")
    )
)
_AFTER = Statement(_stays.order_by(runs.c.id).limit(bindparam("limit_")))
_LATEST = Statement(_stays.order_by(runs.c.id.desc()).limit(bindparam("limit_")))


def list_stays(connection: Connection, since: float, page: str, limit: int) -> list[Stay]:
    """Return runs that had a place, in the order in which they came.

    Parameters
    ----------
    connection : Connection
        A connection.
    since : float
        They came after it.
    page : str
        And after the run with this id, which is one of them; empty: from `since` on.
    limit : int
        So many at most.

    Raises
    ------
    Invalid
        RUN-013 when `page` is none of them.

    Notes
    -----
    Ids are in the order of time, so a page costs what is on it, and what ran elsewhere meanwhile.
    """
    first = first_id(since)
    if page and _IS_PAGE.first(connection, id_=page, after=first) is None:
        raise refuse_page(page)
    return [Stay(*row) for row in _AFTER.all(connection, after=page or first, limit_=limit)]


def list_latest(connection: Connection, since: float, limit: int) -> list[Stay]:
    """Return the runs that had a place and came last, the newest first."""
    return [Stay(*row) for row in _LATEST.all(connection, after=first_id(since), limit_=limit)]
