"""Sweeps: what nothing names is removed, after a second look in the order of all writes."""

from __future__ import annotations

from pathlib import Path

from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import Invalid
from mainspring.domain.upkeep import SweepFiles, Swept
from mainspring.security.paths import safe_join
from mainspring.store.blobs import sweep_blob
from mainspring.store.marks import Moment, mark_files, mark_since


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
    paths = [_table_file(turn.home.tables, name) for name in command.files if name not in files]
    swept = Swept()
    for digest in command.blobs:
        size_bytes = None if digest in named else sweep_blob(turn.home.blobs, digest, command.before)
        if size_bytes is not None:
            swept.blobs += 1
            swept.blob_bytes += size_bytes
    for path in paths:
        size_bytes = _remove(path, command.before)
        if size_bytes is not None:
            swept.files += 1
            swept.file_bytes += size_bytes
    if swept.blobs or swept.files:
        turn.emit("swept", "files", {"blobs": swept.blobs, "files": swept.files})
    return swept


def _table_file(tables: Path, name: str) -> Path:
    path = safe_join(tables, name)
    if path.suffix != ".parquet" or "_delta_log" in path.parts:
        raise Invalid("HOME-011", f"{name} is no file of rows")
    return path


def _remove(path: Path, before: float) -> int | None:
    try:
        facts = path.stat()
        if facts.st_mtime >= before:
            return None
        path.unlink()
    except FileNotFoundError:
        return None
    return facts.st_size
