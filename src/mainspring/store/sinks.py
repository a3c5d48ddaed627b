"""Sinks in the record: where they send, how far that is, and the events that are still to be sent."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, SetAside, Sink
from mainspring.store.rows import add, change, find
from mainspring.store.tables import events, set_asides, sinks
from mainspring.store.words import ColumnElement, Connection, delete, func, insert, or_, select, update

MOST_COUNTED = 1000
MOST_SHOWN = 20


def add_sink(connection: Connection, sink: Sink) -> None:
    """Make a sink."""
    add(connection, sinks, sink, tested_at=None, test=None)


def change_sink(connection: Connection, sink: Sink, **values: Any) -> bool:
    """Change a sink that stands where it stood; False: another has moved it, or it is gone."""
    return change(connection, sinks, {"id": sink.id, "position": sink.position}, **values)


def find_sink(connection: Connection, project: str, name: str) -> Sink | None:
    """Return a sink by name, None when there is none."""
    found = find(connection, sinks, Sink, limit=1, project=project, name=name)
    return found[0] if found else None


def get_sink(connection: Connection, sink_id: str) -> Sink | None:
    """Return a sink by id, None when it was removed."""
    found = find(connection, sinks, Sink, limit=1, id=sink_id)
    return found[0] if found else None


def list_sinks(connection: Connection, project: str | None = None) -> list[Sink]:
    """Return the sinks of a project, or of all of them, by name."""
    where: dict[str, Any] = {} if project is None else {"project": project}
    return sorted(find(connection, sinks, Sink, **where), key=lambda each: (each.name, each.project))


def remove_sink(connection: Connection, sink: Sink) -> None:
    """Forget a sink and what it has set aside."""
    connection.execute(delete(set_asides).where(set_asides.c.sink_id == sink.id))
    connection.execute(delete(sinks).where(sinks.c.id == sink.id))


def read_test(connection: Connection, sink: Sink) -> tuple[float | None, Answered | None]:
    """Return when a test of a sink was asked for, and what the receiver answered."""
    row = connection.execute(select(sinks.c.tested_at, sinks.c.test).where(sinks.c.id == sink.id)).one()
    return row.tested_at, row.test


def list_tests(connection: Connection, since: float) -> dict[str, float]:
    """Return the sinks whose tests were asked for since a time and not answered yet, and when they were."""
    query = select(sinks.c.id, sinks.c.tested_at).where(sinks.c.tested_at > since, sinks.c.test.is_(None))
    return {row.id: row.tested_at for row in connection.execute(query)}


def write_test(connection: Connection, sink: Sink, tested_at: float | None, test: Answered | None = None) -> None:
    """Ask for a test of a sink, note its answer, or forget both."""
    change(connection, sinks, {"id": sink.id}, tested_at=tested_at, test=test)


def list_pending(connection: Connection, sink: Sink, limit: int) -> list[Event]:
    """Return the next events that a sink is to send, oldest first."""
    query = select(*(events.c[name] for name in Event.__struct_fields__)).where(*_waits(sink))
    return [Event(*row) for row in connection.execute(query.order_by(events.c.seq).limit(limit))]


def has_pending(connection: Connection, sink: Sink) -> bool:
    """Tell whether a sink is to send something."""
    if is_again(connection, sink):
        return True
    return connection.execute(select(events.c.seq).where(*_waits(sink)).limit(1)).first() is not None


def count_pending(connection: Connection, sink: Sink) -> tuple[int, float | None]:
    """Return how many events wait, told up to `MOST_COUNTED`, and the time of the oldest."""
    some = select(events.c.time).where(*_waits(sink)).order_by(events.c.seq).limit(MOST_COUNTED).subquery()
    count, oldest = connection.execute(select(func.count(), func.min(some.c.time)).select_from(some)).one()
    return int(count), oldest


def last_event(connection: Connection) -> int:
    """Return the number of the newest event of the record; 0: there is none."""
    return int(connection.execute(select(func.max(events.c.seq))).scalar() or 0)


def set_aside(connection: Connection, sink: Sink, event: int, tries: int, error: str, time: float) -> None:
    """Note that a receiver refused an event for good."""
    values = {"sink_id": sink.id, "event": event, "tries": tries, "error": error, "time": time}
    connection.execute(insert(set_asides), values)


def ask_again(connection: Connection, sink: Sink, numbers: Collection[int], time: float) -> int:
    """Ask for events that were set aside, all or some by number, to be sent once more; return how many there are."""
    which = [set_asides.c.sink_id == sink.id, *([set_asides.c.event.in_(numbers)] if numbers else [])]
    return connection.execute(update(set_asides).where(*which).values(again_at=time)).rowcount


def list_again(connection: Connection, sink: Sink, limit: int) -> list[Event]:
    """Return events that are to be sent once more, oldest first."""
    both = set_asides.join(events, events.c.seq == set_asides.c.event)
    query = select(*(events.c[name] for name in Event.__struct_fields__)).select_from(both).where(*_is_again(sink))
    return [Event(*row) for row in connection.execute(query.order_by(events.c.seq).limit(limit))]


def is_again(connection: Connection, sink: Sink, event: int | None = None) -> bool:
    """Tell whether an event, or any, is to be sent once more."""
    which = [*_is_again(sink), *([set_asides.c.event == event] if event is not None else [])]
    return connection.execute(select(set_asides.c.event).where(*which).limit(1)).first() is not None


def accept_again(connection: Connection, sink: Sink, event: int) -> None:
    """Forget that an event was set aside: its receiver has taken it."""
    connection.execute(delete(set_asides).where(set_asides.c.sink_id == sink.id, set_asides.c.event == event))


def refuse_again(connection: Connection, sink: Sink, event: int, error: str, time: float) -> None:
    """Note that a receiver refused once more what was set aside."""
    row = update(set_asides).where(set_asides.c.sink_id == sink.id, set_asides.c.event == event)
    connection.execute(row.values(tries=set_asides.c.tries + 1, error=error, time=time, again_at=None))


def list_set_aside(connection: Connection, sink: Sink) -> list[SetAside]:
    """Return the newest events that were set aside, newest first."""
    both = set_asides.join(events, events.c.seq == set_asides.c.event)
    query = (
        select(
            set_asides.c.event,
            events.c.kind,
            events.c.subject,
            set_asides.c.tries,
            set_asides.c.error,
            set_asides.c.time,
            set_asides.c.again_at,
        )
        .select_from(both)
        .where(set_asides.c.sink_id == sink.id)
        .order_by(set_asides.c.event.desc())
        .limit(MOST_SHOWN)
    )
    return [SetAside(*row) for row in connection.execute(query)]


def _is_again(sink: Sink) -> list[ColumnElement[bool]]:
    return [set_asides.c.sink_id == sink.id, set_asides.c.again_at.is_not(None)]


def _waits(sink: Sink) -> list[ColumnElement[bool]]:
    """Return the conditions of the events that a sink is still to send."""
    return [events.c.seq > sink.position, events.c.project == sink.project, or_(*map(_matches, sink.events))]


def _matches(pattern: str) -> ColumnElement[bool]:
    """Return the condition of a pattern: a kind, a kind with all below it, or all."""
    if pattern == "*":
        return events.c.seq.is_not(None)
    if not pattern.endswith(".*"):
        return events.c.kind == pattern
    above = pattern.removesuffix(".*")
    return or_(events.c.kind == above, events.c.kind.startswith(f"{above}.", autoescape=True))
