"""Dataset versions that arrived and that no loop has looked at yet."""

from __future__ import annotations

from mainspring.control.turn import Turn
from mainspring.domain.records import Event
from mainspring.store import rows, tables
from mainspring.store.columns import Whole
from mainspring.store.statements import Statement
from mainspring.store.words import bindparam, cast, func, literal_column, select

CURSOR = "renewals.events"

_cursor = select(tables.cursors.c.value).where(tables.cursors.c.name == bindparam("name_")).scalar_subquery()
# Asked after every event of a home, so it is compiled once.
_ARRIVALS = Statement(
    select(*(tables.events.c[name] for name in Event.__struct_fields__))
    .where(
        tables.events.c.kind == literal_column("'data'"),
        tables.events.c.seq > func.coalesce(cast(_cursor, Whole), literal_column("0")),
    )
    .order_by(tables.events.c.seq)
    .limit(literal_column("100"))
)


def list_arrivals(turn: Turn) -> list[Event]:
    """Return the arrivals behind the cursor, oldest first, at most 100."""
    return [Event(*row) for row in _ARRIVALS.all(turn.connection, name_=CURSOR)]


def pass_arrival(turn: Turn, event: Event) -> None:
    """Move the cursor behind an arrival."""
    if not rows.change(turn.connection, tables.cursors, {"name": CURSOR}, value=event.seq):
        turn.connection.execute(tables.cursors.insert(), {"name": CURSOR, "value": event.seq})
