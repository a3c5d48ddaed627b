"""Events: an append-only sequence of facts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select

from mainspring.domain.messages import ListEvents
from mainspring.domain.records import Event
from mainspring.store.statements import Statement
from mainspring.store.tables import events

_FIELDS = [events.c[name] for name in Event.__struct_fields__]
_INSERT = Statement(insert(events), ("project", "time", "kind", "subject", "principal", "body", "event_time"))


def add_event(
    connection: Connection,
    project: str,
    time: float,
    kind: str,
    subject: str,
    principal: str,
    body: Any,
    event_time: float | None,
) -> None:
    """Append a fact."""
    values = {"project": project, "time": time, "kind": kind, "subject": subject, "principal": principal, "body": body}
    _INSERT.run_later(connection, {**values, "event_time": event_time})


def list_events(connection: Connection, project: str, wanted: ListEvents) -> list[Event]:
    """Return the events of a project after a number, oldest first."""
    query = select(*_FIELDS).where(events.c.seq > wanted.after, events.c.project == project)
    query = query.order_by(events.c.seq).limit(wanted.limit)
    if wanted.kind is not None:
        query = query.where(events.c.kind == wanted.kind)
    if wanted.subject is not None:
        query = query.where(events.c.subject == wanted.subject)
    return [Event(*row) for row in connection.execute(query)]
