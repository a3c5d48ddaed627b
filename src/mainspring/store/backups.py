"""Backups: the record as of one moment, with the keys, and what belongs to it by digest."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.home import Home
from mainspring.store.blobs import FolderBlobs, open_blobs
from mainspring.store.engine import dialect_of, explained, open_engine
from mainspring.store.files import LocalFileSystem, write_faults
from mainspring.store.homes import make_private
from mainspring.store.locations import find_tables
from mainspring.store.marks import count_rows, mark_blobs, mark_files
from mainspring.store.places import sync
from mainspring.store.schema import read_record_id, read_revision
from mainspring.store.words import Connection

MANIFEST = "manifest.json"
_PART_BYTES = 1 << 20
_OWN = frozenset({"audit.head", "record.json", "token"})
"""Keys that belong to a home and not to its record."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds, and what belongs to it.

    Attributes
    ----------
    record_id : str
        Of the record.
    schema : str
        Revision of its tables.
    database : str
        ``sqlite`` or ``postgresql``.
    created_at : float
        Seconds since 1970 UTC.
    rows : dict of str to int
        Table -> rows.
    files : dict of str to tuple of int and str
        Each file of the backup beside tables and blobs -> length and SHA-256.
    blobs : dict of str to int
        Digest of each blob that the record names and that was there -> length.
    tables : dict of str to int
        ``table/file`` that versions of datasets name -> length; 0: it was gone, or lies in an
        object store. The names are unique and their content never changes.
    whole : bool
        Blobs and tables are in the backup.
    format : int
        Of this file.
    """

    record_id: str
    schema: str
    database: str
    created_at: float
    rows: dict[str, int]
    files: dict[str, tuple[int, str]]
    blobs: dict[str, int]
    tables: dict[str, int]
    whole: bool
    format: int = 1


def write_backup(home: Home, folder: Path, *, whole: bool) -> Manifest:
    """Copy the record of a home, while it is used or not.

    Parameters
    ----------
    home : Home
        Whose record.
    folder : Path
        Made; mode 0700, because it holds keys.
    whole : bool
        Copy blobs and tables too, not only their names.

    Returns
    -------
    Manifest
        What was written.

    Raises
    ------
    Conflict
        SERVER-001 when the folder is there.
    NotFound
        SERVER-007 when the home has no record.
    Unavailable
        HOME-006 or HOME-007 when it cannot be written, HOME-030 when the database is away.

    Notes
    -----
    Guarantees: the copy is the record as of one moment, and the folder gets its name when all
    of it is on the disk. The owner goes on writing meanwhile. Cost: one pass over the record.
    """
    if folder.exists():
        raise Conflict("SERVER-001", f"{folder} is there already", folder=str(folder))
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    with write_faults(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_private(draft)
        try:
            manifest = _write(home, draft, whole=whole)
            draft.rename(folder)
            sync(folder.parent)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Return what a backup says of itself.

    Raises
    ------
    Invalid
        SERVER-002 when the folder is no backup of a form that this version knows.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as fault:
        raise Invalid("SERVER-002", f"{folder} is no backup: {fault}", folder=str(folder)) from None
    if manifest.format != 1:
        raise Invalid("SERVER-002", f"{folder} has the form {manifest.format}, this version reads 1")
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Hold the files of a backup against its manifest.

    Raises
    ------
    Invalid
        SERVER-002, naming the first file that is gone, cut or changed.
    """
    for name, (size_bytes, digest) in manifest.files.items():
        path = folder / name
        if not path.is_file() or measure(path) != (size_bytes, digest):
            raise Invalid("SERVER-002", f"{path} is not the file of {size_bytes:,} bytes that was backed up", file=name)


@contextmanager
def open_old(home: Home) -> Iterator[Connection]:
    """Read the record of a home as it is now, of whatever schema; nothing is made or migrated.

    Raises
    ------
    NotFound
        SERVER-007 when there is none.
    """
    if not home.record and not home.metadata.exists():
        raise NotFound("SERVER-007", f"{home.root} has no record", home=str(home.root))
    engine = open_engine(home)
    try:
        with explained(engine, home), engine.connect() as connection:
            transaction = dialect_of(connection).begin(connection, writes=False, durable=False)
            try:
                dialect_of(connection).take_time(connection)
                if read_revision(connection) is None:
                    raise NotFound("SERVER-007", f"{home.place} holds no record", home=str(home.root))
                yield connection
            finally:
                transaction.rollback()
    finally:
        engine.dispose()


def measure(path: Path) -> tuple[int, str]:
    """Return length and SHA-256 of a file."""
    seen, size_bytes = hashlib.sha256(), 0
    for part in read_parts(path):
        seen.update(part)
        size_bytes += len(part)
    return size_bytes, seen.hexdigest()


def read_parts(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file in parts of bounded size; nothing when it is gone."""
    try:
        with path.open("rb") as file:
            while part := file.read(_PART_BYTES):
                yield part
    except FileNotFoundError:
        return


def copy_file(source: Path, target: Path) -> None:
    """Copy a file whole and onto the disk; mode 0600."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    shutil.copyfile(source, draft)
    draft.chmod(0o600)
    sync(draft)
    draft.replace(target)


def list_keys(root: Path) -> list[str]:
    """Return the files of keys that belong to the record of a home, or to a backup: ``keys/project.key`` ..."""
    found = sorted(path for path in (root / "keys").rglob("*") if path.is_file())
    return [path.relative_to(root).as_posix() for path in found if path.name not in _OWN]


def list_table_files(folder: Path) -> list[str]:
    """Return all files of tables, each log before the files that it names."""
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted((name for name in found if _is_kept(name)), key=lambda name: ("_delta_log/" not in name, name))


def _is_kept(name: str) -> bool:
    return not name.endswith("_writer.lock") and not Path(name).name.startswith(".")


def _write(home: Home, draft: Path, *, whole: bool) -> Manifest:
    with open_old(home) as connection:
        database = connection.dialect.name
        copy = dialect_of(connection).back_up(connection, home, draft / "record")
        if database == "postgresql":
            manifest = _describe(connection, home, database, whole=whole)
    if database == "sqlite":  # what was copied is asked, which the owner does not change
        aside = Home(draft, draft, draft)
        with open_old(aside) as connection:
            manifest = _describe(connection, home, database, whole=whole)
        for left in draft.glob("record.db-*"):
            left.unlink()
    keys = list_keys(home.root)
    for name in keys:
        copy_file(home.root / name, draft / name)
    files = {name: measure(draft / name) for name in [copy.name, *keys]}
    if whole:
        _copy_whole(home, draft, manifest)
    manifest = msgspec.structs.replace(manifest, files=files)
    (draft / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    for path in (draft / MANIFEST, draft):
        sync(path)
    return manifest


def _describe(connection: Connection, home: Home, database: str, *, whole: bool) -> Manifest:
    revision = read_revision(connection) or ""
    store = open_blobs(home)
    blobs = {each.digest: each.size_bytes for each in store.list()}
    named = mark_blobs(connection, blobs, store.stream)
    local = find_tables(home) is None
    return Manifest(
        record_id=read_record_id(connection) if revision >= "0002" else "",
        schema=revision,
        database=database,
        created_at=time.time(),
        rows=count_rows(connection),
        files={},
        blobs={digest: blobs[digest] for digest in sorted(named)},
        tables={name: find_size(home.tables / name) if local else 0 for name in sorted(mark_files(connection))},
        whole=whole,
    )


def find_size(path: Path) -> int:
    """Return the length of a file; 0 when it is gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _copy_whole(home: Home, draft: Path, manifest: Manifest) -> None:
    for name in list_table_files(home.tables):
        copy_file(home.tables / name, draft / "tables" / name)
    copies, store = FolderBlobs(draft / "blobs", LocalFileSystem()), open_blobs(home)
    for digest in manifest.blobs:
        with suppress(NotFound):  # purged and collected meanwhile; a restore names it as missing
            copies.put(store.get(digest))


def count_free(folder: Path) -> int:
    """Return the free bytes of the disk that a folder lies on, or will lie on."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def may_write(folder: Path) -> bool:
    """Tell whether files can be made in a folder, or it can be made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(there, os.W_OK | os.X_OK)
