"""Data keys in the record: envelopes by id, and by name."""

from __future__ import annotations

from typing import NamedTuple

from mainspring.store.tables import data_keys
from mainspring.store.words import Connection, insert, select, update


class KeptKey(NamedTuple):
    """A data key as the record keeps it."""

    id: str
    project: str
    envelope: bytes


_columns = (data_keys.c.id, data_keys.c.project, data_keys.c.envelope)


def add_key(connection: Connection, kept: KeptKey, name: str | None, created_by: str, now: float) -> None:
    """Keep a data key."""
    values = {"name": name, "created_by": created_by, "created_at": now}
    connection.execute(insert(data_keys), {**kept._asdict(), **values})


def find_key(connection: Connection, project: str, *, id: str = "", name: str = "") -> KeptKey | None:  # noqa: A002
    """Return the key of an id or name within a project, None when there is none."""
    wanted = data_keys.c.id == id if id else data_keys.c.name == name
    row = connection.execute(select(*_columns).where(data_keys.c.project == project, wanted)).first()
    return None if row is None else KeptKey(row.id, row.project, bytes(row.envelope))


def list_keys(connection: Connection) -> list[KeptKey]:
    """Return the keys of every project."""
    return [KeptKey(row.id, row.project, bytes(row.envelope)) for row in connection.execute(select(*_columns))]


def set_envelope(connection: Connection, id: str, envelope: bytes) -> None:  # noqa: A002
    """Replace the envelope of a key by another of the same key."""
    connection.execute(update(data_keys).where(data_keys.c.id == id).values(envelope=envelope))
