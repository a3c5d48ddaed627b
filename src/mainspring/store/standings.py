"""Tables of what starts applied pipelines; `mainspring.store.tables` tells them on."""

from __future__ import annotations

from mainspring.domain.triggers import Happening
from mainspring.store.columns import Whole, id_column, metadata, packed_column, text_column, time_column
from mainspring.store.words import Column, Float, Index, Table

triggers = Table(
    "triggers",
    metadata,
    Column("seq", Whole, primary_key=True),
    id_column(unique=True),
    text_column("project"),
    text_column("pipeline"),
    text_column("event"),
    packed_column("match", dict[str, str]),
    Column("cooldown_s", Float, nullable=True),
    text_column("principal"),
    id_column("principal_id", nullable=True),
    text_column("node"),  # where it was applied
    Column("position", Whole, nullable=False),  # only later events count
    time_column("due_at"),
    packed_column("pending", Happening),
    Column("waiting", Whole, nullable=False),
    id_column("run_id", nullable=True),
    time_column("started_at"),
    time_column("event_time"),
    Column("starts", Whole, nullable=False),
    Column("coalesced", Whole, nullable=False),
    Column("passed", Whole, nullable=False),
    text_column("outcome"),
    time_column("outcome_at"),
    Column("streak", Whole, nullable=False),
    packed_column("seen"),
    time_column("created_at", nullable=False),
    Index(None, "project", "pipeline"),
)

pauses = Table(
    "pauses",
    metadata,
    text_column("project", primary_key=True),
    text_column("pipeline", primary_key=True),
    text_column("principal"),
    time_column("paused_at", nullable=False),
    sqlite_with_rowid=False,
)
"""Pipelines that no trigger starts for the time being."""
