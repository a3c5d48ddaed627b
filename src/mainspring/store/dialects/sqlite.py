"""The record in a SQLite file: BEGIN, SAVEPOINT and COMMIT mean what they say."""

from __future__ import annotations

import errno
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mainspring.domain.errors import Invalid, MainspringError, Unavailable
from mainspring.domain.home import Home
from mainspring.store.dialects.lightly import Lent, LightConnection, LightEngine
from mainspring.store.places import sync

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, RootTransaction
    from sqlalchemy.engine import Dialect as Grammar

_PRAGMAS = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA journal_size_limit = 67108864",
)

_LOOKED_AT = 400
"""Rows of an index that are looked at for its statistics: SQLite's own advice, milliseconds however many there are."""
_GROWTH = 1.25

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


class SqliteDialect:
    """Implements `mainspring.store.dialects.Dialect` on one file that one process writes.

    Notes
    -----
    Guarantees: a durable commit that returned survives a crash of the machine, any other the end of
    every process; the order of commits holds in any case. A transaction that only read commits
    without touching the disk.
    Statements that are compiled run without SQLAlchemy.
    """

    shared = False

    @cached_property
    def grammar(self) -> Grammar:
        """How statements are compiled."""
        from sqlalchemy.dialects import sqlite

        return sqlite.dialect(paramstyle="named")

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What is raised below: SQLAlchemy's own once something has imported it."""
        known = sys.modules.get("sqlalchemy.exc")
        return (sqlite3.Error, OverflowError, *(() if known is None else (known.DBAPIError,)))

    def open(self, home: Home) -> Engine:
        """Return an engine on the home's file, which is made when it is missing."""
        return cast("Engine", LightEngine(home.metadata, _PRAGMAS))  # it does all that is asked of it here

    def begin(self, connection: Connection, *, writes: bool, durable: bool) -> RootTransaction:  # noqa: ARG002
        """Begin; the file has one writer, so readers need no sign."""
        raw, info = driver(connection), connection.info
        if info.get("durable", True) is not durable:
            raw.execute("PRAGMA synchronous = FULL" if durable else "PRAGMA synchronous = NORMAL")
            info["durable"] = durable
        info["changes"] = raw.total_changes
        return connection.begin()

    @contextmanager
    def savepoint(self, connection: Connection) -> Iterator[None]:
        """Undo what is done inside when it raises; the whole transaction where nothing was written before."""
        raw, info = driver(connection), connection.info
        if raw.total_changes == info.get("changes"):
            try:
                yield
            except BaseException:
                if raw.in_transaction and raw.total_changes != info["changes"]:
                    raw.execute("ROLLBACK")
                    raw.execute("BEGIN")
                    info["changes"] = raw.total_changes
                raise
            return
        raw.execute("SAVEPOINT request")
        try:
            yield
        except BaseException:
            if raw.in_transaction:  # SQLite ends the transaction by itself when the disk is full
                raw.execute("ROLLBACK TO request")
                raw.execute("RELEASE request")
            raise
        raw.execute("RELEASE request")

    def has_written(self, connection: Connection) -> bool:
        """Tell whether the present transaction changed a row."""
        return bool(driver(connection).total_changes != connection.info["changes"])

    def publish(self, connection: Connection, topics: set[str]) -> None:
        """Tell nobody: there is one owner."""

    def listen(self, home: Home) -> None:
        """Hear nobody."""

    def undo(self, connection: Connection, transaction: RootTransaction) -> None:
        """Roll back, unless SQLite has done it already."""
        if driver(connection).in_transaction:
            transaction.rollback()
        else:
            transaction.close()

    def run(
        self,
        connection: Connection,
        text: str,
        names: Sequence[str],  # noqa: ARG002
        values: Mapping[str, Any],
    ) -> sqlite3.Cursor:
        """Run a statement on the connection below SQLAlchemy."""
        return driver(connection).execute(text, values)

    def run_later(
        self,
        connection: Connection,
        text: str,
        names: Sequence[str],  # noqa: ARG002
        values: Mapping[str, Any],
    ) -> None:
        """Run it now: there is no trip to save."""
        driver(connection).execute(text, values)

    def run_many(
        self,
        connection: Connection,
        text: str,
        names: Sequence[str],  # noqa: ARG002
        values: Sequence[Mapping[str, Any]],
    ) -> None:
        """Run a statement for each set of values."""
        driver(connection).executemany(text, values)

    def now(self, connection: Connection) -> float:  # noqa: ARG002
        """Return the machine's time: one owner needs no other."""
        return time.time()

    def list_tables(self, connection: Connection) -> set[str]:
        """Return the names of the tables."""
        found = driver(connection).execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        )
        return {name for (name,) in found}

    def size_bytes(self, connection: Connection, home: Home) -> int:  # noqa: ARG002
        """Return the size of the file and of its log."""
        paths = (home.metadata, home.metadata.with_name("record.db-wal"))
        return sum(path.stat().st_size for path in paths if path.exists())

    def back_up(self, connection: Connection, home: Home, stem: Path) -> Path:  # noqa: ARG002
        """Copy the file, page by page, as it is outside of transactions."""
        copy = stem.with_name(f"{stem.name}.db")
        draft = copy.with_name(f".{copy.name}")
        draft.unlink(missing_ok=True)
        source, target = sqlite3.connect(home.metadata), sqlite3.connect(draft)
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        draft.chmod(0o600)
        sync(draft)
        draft.replace(copy)
        return copy

    def take_time(self, connection: Connection) -> None:
        """Do nothing: who reads holds nobody up."""

    def set_sequences(self, connection: Connection, table: str) -> None:
        """Leave it to SQLite, which looks at the rows."""

    def optimize(self, connection: Connection) -> None:
        """Look at some hundred rows of each index, when the file has grown by a quarter since."""
        raw, info = driver(connection), connection.info
        (pages,) = raw.execute("PRAGMA page_count").fetchone()
        if pages > _GROWTH * info.get("analysed", 0):
            raw.execute(f"PRAGMA analysis_limit = {_LOOKED_AT}")
            raw.execute("ANALYZE")
            info["analysed"] = pages

    def explain_fault(self, fault: Exception, place: str) -> MainspringError | None:
        """Name the cause.

        Returns
        -------
        MainspringError or None
            HOME-006 for a full disk, HOME-007 for a place that may not be written, HOME-016 for a
            file that is no record, HOME-019 for one that another program locks; HOME-020 for a number
            beyond 64 bits.
        """
        cause = getattr(fault, "orig", fault)  # what SQLAlchemy wraps
        if isinstance(cause, OverflowError):
            return Invalid("HOME-020", str(cause)) if "SQLite" in str(cause) else None
        number = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if number == sqlite3.SQLITE_CANTOPEN and not _has_room(place):
            number = sqlite3.SQLITE_FULL  # which SQLite does not tell of a file that it cannot make
        name = _FAULTS.get(number)
        return None if name is None else Unavailable(name, f"{place}: {cause}", path=place)


def _has_room(place: str) -> bool:
    import tempfile  # with every compression that there is

    try:
        with tempfile.TemporaryFile(dir=Path(place).parent, buffering=0) as file:
            file.write(b"x")
    except OSError as fault:
        return fault.errno not in {errno.ENOSPC, errno.EDQUOT}
    return True


def driver(connection: Connection | LightConnection) -> sqlite3.Connection:
    """Return the SQLite connection below."""
    if isinstance(connection, LightConnection):
        return connection.raw
    lent = connection.connection.dbapi_connection  # a migration hands over SQLAlchemy's own
    assert isinstance(lent, Lent)
    return lent.raw
