"""Triggers of applied pipelines in the record, their pauses, and the events that they wait for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from mainspring.domain.records import Event
from mainspring.domain.triggers import Standing
from mainspring.store import rows
from mainspring.store.statements import Statement
from mainspring.store.tables import cursors, declarations, events, pauses, triggers
from mainspring.store.words import Connection, bindparam, delete, func, insert, select

_CURSOR = "triggers.events"
_FIELDS = [events.c[name] for name in Event.__struct_fields__]
_LAST = Statement(select(func.max(events.c.seq)))
_PAUSED = Statement(select(pauses.c.project, pauses.c.pipeline))
_PAUSE = Statement(
    select(pauses.c.principal, pauses.c.paused_at).where(
        pauses.c.project == bindparam("project_"), pauses.c.pipeline == bindparam("pipeline_")
    )
)


class Pause(msgspec.Struct, frozen=True):
    """Who let nothing start a pipeline, and since when."""

    principal: str
    paused_at: float


def list_triggers(connection: Connection, **where: Any) -> list[Standing]:
    """Return the triggers whose columns equal the given values, the oldest first."""
    return rows.find(connection, triggers, Standing, **where)[::-1]


def add_trigger(connection: Connection, standing: Standing) -> None:
    """Insert a trigger."""
    rows.add(connection, triggers, standing)


def save_trigger(connection: Connection, before: Standing, after: Standing) -> None:
    """Write down in what a trigger has changed."""
    changed = {
        name: getattr(after, name)
        for name in Standing.__struct_fields__
        if getattr(after, name) != getattr(before, name)
    }
    if changed:
        rows.change(connection, triggers, {"id": before.id}, **changed)


def remove_trigger(connection: Connection, standing: Standing) -> None:
    """Forget a trigger."""
    connection.execute(delete(triggers).where(triggers.c.id == standing.id))


def last_event(connection: Connection) -> int:
    """Return the number of the newest event, 0 when there is none."""
    row = _LAST.first(connection)
    return int(row[0] or 0) if row else 0


def list_happened(connection: Connection, after: int, kinds: Iterable[str], most: int) -> list[Event]:
    """Return the events of some kinds after a number, of every project, oldest first."""
    query = select(*_FIELDS).where(events.c.seq > after, events.c.kind.in_(list(kinds)))
    return [Event(*row) for row in connection.execute(query.order_by(events.c.seq).limit(most))]


def read_cursor(connection: Connection) -> int:
    """Return the number of the last event that was looked at for triggers."""
    query = select(cursors.c.value).where(cursors.c.name == _CURSOR)
    return int(connection.execute(query).scalar() or 0)


def move_cursor(connection: Connection, number: int) -> None:
    """Look only at what comes behind an event from now on."""
    if not rows.change(connection, cursors, {"name": _CURSOR}, value=number):
        connection.execute(insert(cursors), {"name": _CURSOR, "value": number})


def find_pause(connection: Connection, project: str, pipeline: str) -> Pause | None:
    """Return the pause of a pipeline, None when there is none."""
    row = _PAUSE.first(connection, project_=project, pipeline_=pipeline)
    return None if row is None else Pause(*row)


def list_paused(connection: Connection) -> set[tuple[str, str]]:
    """Return project and name of each pipeline that is paused."""
    return {(str(project), str(name)) for project, name in _PAUSED.all(connection)}


def add_pause(connection: Connection, project: str, pipeline: str, principal: str, time: float) -> None:
    """Pause a pipeline that is not paused."""
    values = {"project": project, "pipeline": pipeline, "principal": principal, "paused_at": time}
    connection.execute(insert(pauses), values)


def drop_pause(connection: Connection, project: str, pipeline: str) -> None:
    """End the pause of a pipeline, if there is one."""
    connection.execute(delete(pauses).where(pauses.c.project == project, pauses.c.pipeline == pipeline))


def remove_pipeline(connection: Connection, project: str, name: str) -> None:
    """Forget what was applied as a pipeline of a name, its triggers and its pause."""
    drop_pause(connection, project, name)
    connection.execute(delete(triggers).where(triggers.c.project == project, triggers.c.pipeline == name))
    mine = (declarations.c.project == project) & (declarations.c.kind == "pipeline") & (declarations.c.name == name)
    connection.execute(delete(declarations).where(mine))
