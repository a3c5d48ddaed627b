"""The table of registered models; `mainspring.store.tables` tells it on."""

from __future__ import annotations

from mainspring.store.columns import Packed, Whole, id_column, metadata, text_column, time_column
from mainspring.store.words import Column, Table, UniqueConstraint

registered_models = Table(
    "registered_models",
    metadata,
    Column("seq", Whole, primary_key=True),
    id_column(unique=True),
    text_column("project"),
    text_column("name"),
    text_column("description"),
    Column("tags", Packed(dict[str, str]), nullable=False),
    time_column("created_at", nullable=False),
    time_column("changed_at", nullable=False),
    UniqueConstraint("project", "name"),
)
"""A row for each name of a model, with versions or without."""
