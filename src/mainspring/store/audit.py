"""The audit in the record, and the head of its chain, kept in the record and beside it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mainspring.domain.access import AuditEntry, Head
from mainspring.security.audit import GENESIS
from mainspring.store.files import LocalFileSystem
from mainspring.store.rows import add, change
from mainspring.store.statements import Statement
from mainspring.store.tables import audit, cursors
from mainspring.store.words import Connection, bindparam, insert, select

_HEAD = "audit.head"
_FIELDS = [audit.c[name] for name in AuditEntry.__struct_fields__]
_LAST = Statement(select(audit.c.seq, audit.c.digest).order_by(audit.c.seq.desc()).limit(1))
_ENTRIES = Statement(
    select(*_FIELDS).where(audit.c.seq > bindparam("after")).order_by(audit.c.seq).limit(bindparam("limit_"))
)
_NOTED = Statement(select(cursors.c.value).where(cursors.c.name == bindparam("name_")))
_NOTE = Statement(insert(cursors), ("name", "value"))


def read_last(connection: Connection) -> Head:
    """Return the last entry's place in the chain, ``Head(0, GENESIS)`` before the first."""
    row = _LAST.first(connection)
    return Head(0, GENESIS) if row is None else Head(*row)


def add_entry(connection: Connection, entry: AuditEntry) -> None:
    """Append an entry and note it as the head."""
    add(connection, audit, entry)
    head = {"seq": entry.seq, "digest": entry.digest}
    if not change(connection, cursors, {"name": _HEAD}, value=head):
        _NOTE.run(connection, {"name": _HEAD, "value": head})


def list_entries(connection: Connection, after: int, limit: int) -> list[AuditEntry]:
    """Return entries after a number, oldest first."""
    return [AuditEntry(*row) for row in _ENTRIES.all(connection, after=after, limit_=limit)]


def read_head(connection: Connection) -> Head | None:
    """Return the head that the record notes beside the entries."""
    row = _NOTED.first(connection, name_=_HEAD)
    return None if row is None or row[0] is None else msgspec.convert(row[0], Head)


def read_home_head(path: Path) -> Head | None:
    """Return the head that the home's file notes; None when there is none, or nothing readable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Head)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_home_head(path: Path, head: Head) -> None:
    """Note the head in the home's file, whole or not at all."""
    files = LocalFileSystem()
    files.make_folder(path.parent)
    files.write_atomic(path, iter([msgspec.json.encode(head)]))
