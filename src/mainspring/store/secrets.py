"""Secrets in the record: envelopes by name."""

from __future__ import annotations

from mainspring.domain.access import SecretEntry
from mainspring.store.rows import find
from mainspring.store.tables import secrets
from mainspring.store.words import Connection, delete, insert, select, update


def put_secret(connection: Connection, entry: SecretEntry, envelope: bytes) -> None:
    """Keep a secret, or replace the envelope of the one that is there."""
    mine = (secrets.c.project == entry.project) & (secrets.c.name == entry.name)
    changed = connection.execute(update(secrets).where(mine).values(envelope=envelope, changed_at=entry.changed_at))
    if changed.rowcount == 0:
        values = {name: getattr(entry, name) for name in SecretEntry.__struct_fields__}
        connection.execute(insert(secrets), {**values, "envelope": envelope})


def find_secret(connection: Connection, project: str, name: str) -> SecretEntry | None:
    """Return what is known of a secret, None when there is none."""
    found = find(connection, secrets, SecretEntry, limit=1, project=project, name=name)
    return found[0] if found else None


def list_secrets(connection: Connection, project: str) -> list[SecretEntry]:
    """Return what is known of the secrets of a project, by name."""
    return sorted(find(connection, secrets, SecretEntry, project=project), key=lambda each: each.name)


def read_envelope(connection: Connection, project: str, name: str) -> bytes | None:
    """Return the envelope of a secret."""
    mine = (secrets.c.project == project) & (secrets.c.name == name)
    found = connection.execute(select(secrets.c.envelope).where(mine)).scalar()
    return None if found is None else bytes(found)


def remove_secret(connection: Connection, project: str, name: str) -> None:
    """Forget a secret."""
    connection.execute(delete(secrets).where(secrets.c.project == project, secrets.c.name == name))


def list_envelopes(connection: Connection) -> list[tuple[int, str, str, bytes]]:
    """Return (row, project, name, envelope) of every secret of every project."""
    query = select(secrets.c.seq, secrets.c.project, secrets.c.name, secrets.c.envelope)
    return [(seq, project, name, bytes(envelope)) for seq, project, name, envelope in connection.execute(query)]


def set_envelope(connection: Connection, seq: int, envelope: bytes) -> None:
    """Replace an envelope by the same content under another key."""
    connection.execute(update(secrets).where(secrets.c.seq == seq).values(envelope=envelope))
