"""Dataset versions that arrived and that no loop has looked at yet."""

from __future__ import annotations

from sqlalchemy import select

from mainspring.control.turn import Turn
from mainspring.domain.records import Event
from mainspring.store import rows, tables

CURSOR = "renewals.events"


def list_arrivals(turn: Turn) -> list[Event]:
    """Return the arrivals behind the cursor, oldest first, at most 100."""
    query = (
        select(*(tables.events.c[name] for name in Event.__struct_fields__))
        .where(tables.events.c.kind == "data", tables.events.c.seq > _read_cursor(turn))
        .order_by(tables.events.c.seq)
        .limit(100)
    )
    return [Event(**row) for row in turn.connection.execute(query).mappings()]


def pass_arrival(turn: Turn, event: Event) -> None:
    """Move the cursor behind an arrival."""
    if not rows.change(turn.connection, tables.cursors, {"name": CURSOR}, value=event.seq):
        turn.connection.execute(tables.cursors.insert(), {"name": CURSOR, "value": event.seq})


def _read_cursor(turn: Turn) -> int:
    query = select(tables.cursors.c.value).where(tables.cursors.c.name == CURSOR)
    return int(turn.connection.execute(query).scalar() or 0)
