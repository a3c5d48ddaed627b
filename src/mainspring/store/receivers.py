"""Tables of who is told of events; `mainspring.store.tables` tells them on."""

from __future__ import annotations

from mainspring.domain.sinks import Answered
from mainspring.store.columns import Whole, id_column, metadata, packed_column, text_column, time_column
from mainspring.store.words import Column, Table, UniqueConstraint

sinks = Table(
    "sinks",
    metadata,
    Column("seq", Whole, primary_key=True),
    id_column(unique=True),
    text_column("project"),
    text_column("name"),
    text_column("kind"),
    text_column("url"),
    text_column("secret", nullable=True),  # its name
    packed_column("events", tuple[str, ...]),
    packed_column("options", dict[str, str]),
    Column("position", Whole, nullable=False),  # the last event that is done with
    Column("tries", Whole, nullable=False),
    Column("refusals", Whole, nullable=False),
    time_column("due_at", nullable=False),
    Column("delivered", Whole, nullable=False),
    Column("set_aside", Whole, nullable=False),
    text_column("error"),
    time_column("failed_at"),
    time_column("delivered_at"),
    time_column("tested_at"),  # a test was asked for, then
    packed_column("test", Answered),
    text_column("created_by"),
    time_column("created_at", nullable=False),
    time_column("changed_at", nullable=False),
    UniqueConstraint("project", "name"),
)

set_asides = Table(
    "set_asides",
    metadata,
    id_column("sink_id", primary_key=True),
    Column("event", Whole, primary_key=True, autoincrement=False),
    Column("tries", Whole, nullable=False),
    text_column("error"),
    time_column("time", nullable=False),
    time_column("again_at"),  # to be sent once more was asked for, then
    sqlite_with_rowid=False,
)
"""Events that a receiver refused for good."""
