"""SQLAlchemy over SQLite, so that BEGIN, SAVEPOINT and COMMIT mean what they say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import SingletonThreadPool

from mainspring.domain.errors import MainspringError, Unavailable

_PRAGMAS = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_size_limit = 67108864",
)


def open_engine(path: Path) -> Engine:
    """Return an engine on a SQLite file, with a write-ahead log and a sync at every commit.

    Parameters
    ----------
    path : Path
        Absolute; the file is made when it is missing, its folder is not.

    Notes
    -----
    Guarantees: a commit that returned survives a crash of the machine; a transaction that only
    read commits without touching the disk.
    Source of the transaction recipe: SQLAlchemy's documentation of the pysqlite dialect.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=SingletonThreadPool,
        hide_parameters=True,  # what users store does not belong into logs
        connect_args={"isolation_level": None, "check_same_thread": False, "cached_statements": 256},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: Any) -> None:
        for pragma in _PRAGMAS:
            connection.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        driver(connection).execute("BEGIN")

    return engine


def driver(connection: Connection) -> sqlite3.Connection:
    """Return the SQLite connection below, for statements where the layer above costs too much."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def set_durable(raw: sqlite3.Connection, durable: bool) -> None:
    """Choose, between transactions, whether the next commits are synced to the disk.

    Parameters
    ----------
    raw : Connection
        From `driver`, outside of a transaction.
    durable : bool
        False: a commit survives the end of any process, but the power's only once a later
        durable commit was synced; the order of commits holds in any case.
    """
    raw.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what is done inside when it raises, and nothing else of the transaction."""
    raw = driver(connection)
    raw.execute("SAVEPOINT request")
    try:
        yield
    except BaseException:
        if raw.in_transaction:  # SQLite ends the transaction by itself when the disk is full
            raw.execute("ROLLBACK TO request")
            raw.execute("RELEASE request")
        raise
    raw.execute("RELEASE request")


def explain_fault(fault: DBAPIError | sqlite3.Error, path: Path) -> MainspringError | None:
    """Name the cause when the record could not be written or read.

    Parameters
    ----------
    fault : DBAPIError or sqlite3.Error
        What the store raised.
    path : Path
        The record's file.

    Returns
    -------
    MainspringError or None
        HOME-006 for a full disk, HOME-007 for a place that may not be written, HOME-016 for a
        file that is no record, HOME-019 for one that another program locks; None when the fault
        is a mistake of the code.
    """
    cause = fault.orig if isinstance(fault, DBAPIError) else fault
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    name = _FAULTS.get(code)
    return None if name is None else Unavailable(name, f"{path}: {cause}", path=str(path))


_FAULTS = {
    sqlite3.SQLITE_FULL: "HOME-006",
    sqlite3.SQLITE_IOERR: "HOME-006",
    sqlite3.SQLITE_READONLY: "HOME-007",
    sqlite3.SQLITE_CANTOPEN: "HOME-007",
    sqlite3.SQLITE_PERM: "HOME-007",
    sqlite3.SQLITE_BUSY: "HOME-019",
    sqlite3.SQLITE_LOCKED: "HOME-019",
    sqlite3.SQLITE_CORRUPT: "HOME-016",
    sqlite3.SQLITE_NOTADB: "HOME-016",
}
