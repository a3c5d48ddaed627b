"""Events: an append-only sequence of facts."""

from __future__ import annotations

from typing import Any

from mainspring.domain.messages import ListEvents
from mainspring.domain.records import Event, Version
from mainspring.store.statements import Statement
from mainspring.store.tables import events
from mainspring.store.words import Connection, insert, select

_FIELDS = [events.c[name] for name in Event.__struct_fields__]
_MOVES = 100_000
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


def has_held(connection: Connection, version: Version, alias: str) -> bool:
    """Tell whether an alias has pointed at a version before, by the events of its moves."""
    moves = list_events(
        connection, version.project, ListEvents(kind="alias", subject=f"{version.name}@{alias}", limit=_MOVES)
    )
    return any(each.body["kind"] == "model" and each.body["number"] == version.number for each in moves)
