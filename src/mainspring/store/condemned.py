"""Objects that a collection is about to remove, or has removed a while ago."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring.store.statements import Statement, add_or_replace, pack_ids, unpack_ids
from mainspring.store.tables import condemned
from mainspring.store.words import Connection, bindparam, delete, select, update

_LISTED = condemned.c.digest.in_(unpack_ids("digests"))
_ADD = Statement(add_or_replace(condemned, "condemned_at", "removed_at"), ("digest", "condemned_at", "removed_at"))
_FIND = Statement(select(condemned.c.digest, condemned.c.condemned_at, condemned.c.removed_at).where(_LISTED))
_FORGET = Statement(delete(condemned).where(condemned.c.condemned_at < bindparam("before")))


def condemn(connection: Connection, digests: Sequence[str], now: float) -> None:
    """Write down that objects are about to be removed."""
    rows = [{"digest": each, "condemned_at": now, "removed_at": None} for each in digests]
    if rows:
        _ADD.run_many(connection, rows)


def find_condemned(connection: Connection, digests: Sequence[str]) -> list[tuple[str, float, float | None]]:
    """Return (digest, when it was condemned, when removed) of those that are."""
    return [(str(digest), at, gone) for digest, at, gone in _FIND.all(connection, digests=pack_ids(digests))]


def spare(connection: Connection, digests: Sequence[str]) -> None:
    """Forget that objects were condemned: they stay, or are there again."""
    connection.execute(delete(condemned).where(_LISTED), {"digests": pack_ids(digests)})


def note_removed(connection: Connection, digests: Sequence[str], now: float) -> None:
    """Write down that objects were removed, and that nobody will remove them again."""
    gone = update(condemned).where(_LISTED).values(removed_at=now)
    connection.execute(gone, {"digests": pack_ids(digests)})


def forget_condemned(connection: Connection, before: float) -> None:
    """Forget what was condemned before a time."""
    _FORGET.run_later(connection, {"before": before})
