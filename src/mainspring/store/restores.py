"""Restores: a backup becomes the record of a home that has none."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mainspring.domain.errors import Conflict, Invalid
from mainspring.domain.home import Home
from mainspring.store.backups import (
    Manifest,
    check_files,
    copy_file,
    find_size,
    list_keys,
    list_table_files,
    measure,
    open_old,
    read_manifest,
)
from mainspring.store.blobs import FolderBlobs, open_blobs
from mainspring.store.engine import dialect_of, open_engine
from mainspring.store.files import LocalFileSystem, write_faults
from mainspring.store.homes import make_folders
from mainspring.store.locations import find_tables
from mainspring.store.marks import count_rows
from mainspring.store.places import read_place, sync
from mainspring.store.schema import MARK, open_record
from mainspring.store.tables import HEAD, uses
from mainspring.store.words import select, text


class Restored(msgspec.Struct):
    """What a restore came to.

    Attributes
    ----------
    record_id, schema : str
        Of the record; the first use of an older schema migrates it.
    rows : int
        Rows of all tables, each counted.
    blobs, tables : int
        Files that the record names and that are there now with their length.
    missing_blobs, missing_tables : list of str
        What the record names and neither the backup nor the home holds.
    """

    record_id: str
    schema: str
    rows: int
    blobs: int
    tables: int
    missing_blobs: list[str]
    missing_tables: list[str]


def restore_backup(home: Home, folder: Path) -> Restored:
    """Make a backup the record of a home.

    Parameters
    ----------
    home : Home
        Without a record. Blobs and tables may be there; they are used, never overwritten.
    folder : Path
        As `mainspring.store.backups.write_backup` made it.

    Raises
    ------
    Conflict
        SERVER-003 when the home has a record, other keys, or an owner; SERVER-004 for the other
        kind of database; HOME-003 when a newer release took the backup.
    Invalid
        SERVER-002 when the backup is damaged.

    Notes
    -----
    Guarantees: nothing is changed before the backup was held against its manifest; the record
    comes last, whole, with as many rows in each table as were backed up. A restore that was
    killed is done by the next one.
    """
    manifest = read_manifest(folder)
    _check(home, folder, manifest)
    check_files(folder, manifest)
    with write_faults(home.root), hold_home(home):
        for name in list_keys(folder):
            copy_file(folder / name, home.root / name)
        _copy_whole(home, folder, manifest)
        if manifest.database == "sqlite":
            _restore_file(home, folder / "record.db", manifest)
        else:
            _restore_database(home, folder / "record.zip", manifest)
        open_record(home).dispose()
    return _compare(home, manifest)


def _check(home: Home, folder: Path, manifest: Manifest) -> None:
    if manifest.schema > HEAD:
        raise Conflict("HOME-003", f"{folder} has schema {manifest.schema}, this release knows up to {HEAD}")
    kind = "postgresql" if home.record else "sqlite"
    if kind != manifest.database:
        raise Conflict("SERVER-004", f"{folder} is of {manifest.database}, and the record of {home.root} is of {kind}")
    kept = read_place(home.root)
    if kept is not None:
        raise Conflict("SERVER-003", f"{home.root} belongs to record {kept.record_id[:8]}", home=str(home.root))
    if home.metadata.exists():
        raise Conflict("SERVER-003", f"{home.root} has a record", home=str(home.root))
    for name in list_keys(folder):
        own = home.root / name
        if own.exists() and own.read_bytes() != (folder / name).read_bytes():
            raise Conflict("SERVER-003", f"{own} is another key than the backup's", home=str(home.root))


@contextmanager
def hold_home(home: Home) -> Iterator[None]:
    """Keep owners away; its folders are made.

    Raises
    ------
    Conflict
        SERVER-003 when an owner works there.
    """
    make_folders(home)
    with home.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict("SERVER-003", f"an owner works in {home.root}", fix="mainspring stop") from None
        yield


def _copy_whole(home: Home, folder: Path, manifest: Manifest) -> None:
    copies, store = FolderBlobs(folder / "blobs", LocalFileSystem()), open_blobs(home)
    for digest in manifest.blobs:
        source = copies.path(digest)
        if source.exists() and not store.exists(digest):
            if measure(source)[1] != digest:
                raise Invalid("SERVER-002", f"{source} is not the blob of its name", file=str(source))
            with source.open("rb") as file:
                store.put(file)
    for name in list_table_files(folder / "tables"):
        if not (home.tables / name).exists():
            copy_file(folder / "tables" / name, home.tables / name)


def _restore_file(home: Home, copy: Path, manifest: Manifest) -> None:
    aside = Path(tempfile.mkdtemp(dir=home.state, prefix=".restore-"))
    try:
        copy_file(copy, aside / home.metadata.name)
        with open_old(Home(aside, aside, aside)) as connection:
            sound = connection.execute(text("PRAGMA integrity_check")).scalar_one()
            if sound != "ok":
                raise Invalid("SERVER-002", f"{copy}: {sound}", file=copy.name)
            _check_rows(copy, count_rows(connection), manifest)
        (aside / home.metadata.name).replace(home.metadata)
        sync(home.state)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _restore_database(home: Home, copy: Path, manifest: Manifest) -> None:
    from mainspring.store.dialects.exports import read_export
    from mainspring.store.dialects.postgresql import driver
    from mainspring.store.migrations.shapes import make_tables

    engine = open_engine(home)
    try:
        with engine.connect() as connection, connection.begin():
            if dialect_of(connection).list_tables(connection):
                raise Conflict("SERVER-003", f"{home.place} holds tables already", record=home.place)
            make_tables(connection, manifest.schema)
            connection.exec_driver_sql(MARK)
            read_export(driver(connection), copy)
            _check_rows(copy, count_rows(connection), manifest)
    finally:
        engine.dispose()


def _check_rows(copy: Path, rows: dict[str, int], manifest: Manifest) -> None:
    wrong = [name for name in sorted({*rows, *manifest.rows}) if rows.get(name) != manifest.rows.get(name)]
    if wrong:
        what = f"{copy} holds {rows.get(wrong[0])} rows of {wrong[0]}, {manifest.rows.get(wrong[0])} were backed up"
        raise Invalid("SERVER-002", what, tables=wrong)


def _compare(home: Home, manifest: Manifest) -> Restored:
    there = {each.digest: each.size_bytes for each in open_blobs(home).list()}
    lost = [digest for digest, length in manifest.blobs.items() if there.get(digest) != length]
    with open_old(home) as connection:  # what was gone already when the backup was taken is in no manifest
        named = set(connection.execute(select(uses.c.digest)).scalars())
    lost += sorted(named - there.keys() - manifest.blobs.keys())
    sizes = manifest.tables.items() if find_tables(home) is None else ()
    gone = [name for name, length in sizes if not length or find_size(home.tables / name) != length]
    return Restored(
        manifest.record_id,
        manifest.schema,
        sum(manifest.rows.values()),
        len(named | manifest.blobs.keys()) - len(lost),
        len(manifest.tables) - len(gone),
        lost,
        gone,
    )
