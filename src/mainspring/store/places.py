"""Where the record of a home is: in its folder, or in a database that the home remembers."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from mainspring.domain.errors import Conflict, Invalid
from mainspring.domain.home import Home
from mainspring.store.files import LocalFileSystem, write_faults

SETTING = "MAINSPRING_RECORD"


class Place(msgspec.Struct, frozen=True):
    """What a home remembers of a record that is not in its folder.

    Attributes
    ----------
    address : str
        With its password; the file is the user's alone.
    record_id : str
        Tells the record from any other that may take its place.
    node : str
        The name of this home among those that share the record.
    """

    address: str
    record_id: str
    node: str


def choose_record(root: Path, state: Path) -> str:
    """Return the address of a home's record without its password; empty: the home's own file.

    Parameters
    ----------
    root, state : Path
        Of the home; they need not exist.

    Raises
    ------
    Conflict
        HOME-036 when the environment names another place than the home keeps.
    Invalid
        HOME-035 when the environment names no database, HOME-018 when the kept file is none.
    """
    kept = read_place(root)
    wanted = hide_password(os.environ.get(SETTING, ""))
    if kept is not None:
        known = hide_password(kept.address)
    elif wanted and (state / "record.db").exists():
        known = ""
    else:
        return wanted
    if wanted and wanted != known:
        raise Conflict("HOME-036", f"{SETTING} is {wanted}, and the record of {root} is {known or 'in its folder'}")
    return known


def hide_password(address: str) -> str:
    """Return an address as people may see it.

    Raises
    ------
    Invalid
        HOME-035 when it is no address of a database.

    Examples
    --------
    >>> hide_password("postgresql://anna:secret@db:5432/ml?sslmode=require")
    'postgresql://anna@db:5432/ml?sslmode=require'
    """
    if not address:
        return ""
    try:
        parts = urlsplit(address)
        user, at, host = parts.netloc.rpartition("@")
    except ValueError as fault:
        raise Invalid("HOME-035", f"{SETTING} cannot be read: {fault}") from None
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise Invalid("HOME-035", f"{SETTING} names no database; its scheme is {parts.scheme!r}")
    name = user.partition(":")[0]
    return urlunsplit(parts._replace(scheme="postgresql", netloc=f"{name}{at}{host}"))


def read_address(home: Home) -> str:
    """Return the whole address of a home's record: as it was kept, unless the environment has a password."""
    given, kept = os.environ.get(SETTING, ""), read_place(home.root)
    parts = urlsplit(given or home.record)
    if parts.password:
        return given
    if os.environ.get("PGPASSWORD"):
        from getpass import getuser

        user, at, host = parts.netloc.rpartition("@")
        user = user if at else getuser()
        password = quote(os.environ["PGPASSWORD"], safe="")
        return urlunsplit(parts._replace(netloc=f"{user}:{password}@{host}"))
    return home.record if kept is None else kept.address


def forget_password() -> None:
    """Leave in the environment, which workers and planes inherit, the address without its password."""
    if SETTING in os.environ:
        os.environ[SETTING] = hide_password(os.environ[SETTING])


def read_place(root: Path) -> Place | None:
    """Return what a home remembers; None when it was never used, or keeps its own file.

    Raises
    ------
    Invalid
        HOME-018 when the file holds something else.
    """
    path = _path(root)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Place)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except msgspec.MsgspecError as fault:
        raise Invalid("HOME-018", f"{path} does not say where the record is: {fault}", fix=f"restore {path}") from None


def keep_place(home: Home, place: Place) -> None:
    """Remember where the record is, for all later uses of the home; mode 0600.

    Raises
    ------
    Unavailable
        HOME-006 or HOME-007 when it cannot be written.
    """
    path, files = _path(home.root), LocalFileSystem()
    with write_faults(path):
        files.make_folder(path.parent)
        old = os.umask(0o177)
        try:
            files.write_atomic(path, iter([msgspec.json.encode(place)]))
        finally:
            os.umask(old)


def backup_path(home: Home, revision: str) -> Path:
    """Return the file for the backup of a record of a revision, without its ending; its folder is made, mode 0700."""
    with write_faults(home.backups):
        LocalFileSystem().make_folder(home.backups)
    return home.backups / f"record-{revision or 'empty'}"


def sync(path: Path) -> None:
    """Have a file on the disk before it gets its name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _path(root: Path) -> Path:
    return root / "keys" / "record.json"
