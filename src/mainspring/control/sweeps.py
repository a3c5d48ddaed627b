"""Sweeps: what nothing names is removed, after a second look in the order of all writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.command import Nothing
from mainspring.domain.errors import Conflict, Invalid
from mainspring.domain.upkeep import SettleSweep, SweepFiles, Swept
from mainspring.security.paths import safe_join
from mainspring.store.blobs import check_digest
from mainspring.store.condemned import condemn, find_condemned, forget_condemned, note_removed, spare
from mainspring.store.locations import find_tables
from mainspring.store.marks import Moment, mark_files, mark_since
from mainspring.store.tablefiles import FolderFiles, TableFile, name_key

SETTLED_S = 3600.0
"""A collector removes nothing that was condemned longer ago; what a killed one condemned is settled then."""

KEPT_S = 86_400.0
"""So long is remembered what was removed."""


@handles(SweepFiles, action="home.sweep")
def sweep_files(turn: Turn, command: SweepFiles) -> Swept:
    """Remove what the record does not name, not even by what was written since it was marked.

    Raises
    ------
    Invalid
        HOME-014 when a text is no digest, HOME-011 when a path leaves its table.
    """
    moment = Moment(command.marked_at, command.numbers)
    named = mark_since(turn.connection, moment, set(command.blobs))
    files = mark_files(turn.connection, moment.numbers.get("versions", 0))
    stray = [_check_file(turn.home.tables, name) for name in command.files if name not in files]
    swept = Swept()
    unnamed = [check_digest(digest) for digest in command.blobs if digest not in named]
    if turn.home.blob_store:
        condemn(turn.connection, unnamed, turn.now())
        swept.condemned, unnamed = unnamed, []
    if find_tables(turn.home) is not None:
        condemn(turn.connection, [name_key(name) for name in stray], turn.now())
        swept.condemned_files, stray = stray, []
    for digest in unnamed:
        size_bytes = turn.blobs.remove_old(digest, command.before)
        if size_bytes is not None:
            swept.blobs += 1
            swept.blob_bytes += size_bytes
    tables = FolderFiles(turn.home.tables)
    for name in stray:
        size_bytes = tables.remove_old(name, command.before)
        if size_bytes is not None:
            swept.files += 1
            swept.file_bytes += size_bytes
    if swept.blobs or swept.files:
        turn.emit("swept", "files", {"blobs": swept.blobs, "files": swept.files})
    return swept


@handles(SettleSweep, action="home.sweep")
def settle_sweep(turn: Turn, command: SettleSweep) -> Nothing:
    """Keep in mind what was removed of an object store, for as long as a writer may believe that it is there."""
    note_removed(turn.connection, [*command.removed, *map(name_key, command.removed_files)], turn.now())
    spare(turn.connection, [*command.spared, *map(name_key, command.spared_files)])
    forget_condemned(turn.connection, turn.now() - KEPT_S)
    if command.removed or command.removed_files:
        turn.emit("swept", "files", {"blobs": len(command.removed), "files": len(command.removed_files)})
    return Nothing()


def check_condemned(turn: Turn, digests: Sequence[str]) -> None:
    """Refuse to name an object that a collection is removing, or has removed since it was put.

    Raises
    ------
    Conflict
        BLOB-010 for the first of them.
    """
    for digest, condemned_at, removed_at in find_condemned(turn.connection, digests):
        settled = removed_at is not None or turn.now() - condemned_at > SETTLED_S
        if not settled or not turn.blobs.exists(digest):
            raise Conflict("BLOB-010", f"blob {digest[:12]} was collected while it was put again", digest=digest)
        spare(turn.connection, [digest])


def check_kept(turn: Turn, names: Sequence[str]) -> None:
    """Refuse to name files of tables in an object store that a collection is removing, or has removed.

    Raises
    ------
    Conflict
        BLOB-010 for the first of them.
    """
    keys = {name_key(name): name for name in names}
    for key, _, _ in find_condemned(turn.connection, list(keys)):
        raise Conflict("BLOB-010", f"{keys[key]} was collected, for nothing named it", digest=key)


def _check_file(tables: Path, name: str) -> str:
    safe_join(tables, name)
    if not TableFile(name, 0, 0.0).holds_rows:
        raise Invalid("HOME-011", f"{name} is no file of rows")
    return name
