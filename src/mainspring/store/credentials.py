"""The table of passwords, of which the record holds digests alone."""

from __future__ import annotations

from mainspring.store.columns import id_column as _id
from mainspring.store.columns import metadata
from mainspring.store.columns import text_column as _text
from mainspring.store.columns import time_column as _time
from mainspring.store.words import Table

passwords = Table(
    "passwords",
    metadata,
    _id("principal_id", primary_key=True),
    _text("digest"),
    _time("changed_at", nullable=False),
    sqlite_with_rowid=False,
)
