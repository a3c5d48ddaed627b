"""Connections to SQLite without SQLAlchemy, which is asked only for statements that were not compiled before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult


class _Name:
    name = "sqlite"


class LightEngine:
    """What opens a file, as SQLAlchemy's `Engine` does.

    Parameters
    ----------
    path : Path
        The file; it is made when it is missing.
    pragmas : sequence of str
        What each connection is told first.
    """

    dialect = _Name()

    def __init__(self, path: Path, pragmas: Sequence[str]) -> None:
        self._path, self._pragmas = path, pragmas
        self._opened: WeakSet[LightConnection] = WeakSet()

    def connect(self) -> LightConnection:
        """Return a connection, which its `with` block closes.

        Raises
        ------
        sqlite3.Error
            The file cannot be opened or is no database.
        """
        raw = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, cached_statements=256)
        try:
            for pragma in self._pragmas:
                raw.execute(pragma).close()
        except BaseException:
            raw.close()
            raise
        connection = LightConnection(raw)
        self._opened.add(connection)
        return connection

    @contextmanager
    def begin(self) -> Iterator[LightConnection]:
        """Return a connection in a transaction that is committed at the end of the `with` block."""
        with self.connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        """Close what is still open."""
        for connection in [*self._opened]:
            connection.close()


class LightConnection(AbstractContextManager["LightConnection"]):
    """A connection, as SQLAlchemy's `Connection` in what is used of it.

    Attributes
    ----------
    raw : sqlite3.Connection
        The driver's.
    info : dict of str to object
        What the dialect keeps with it.
    invalidated : bool
        Never: a file does not go away as a server does.

    Notes
    -----
    Guarantees: what runs by `execute` and what runs on `raw` are in the same transaction, which SQLAlchemy
    neither begins nor ends.
    """

    dialect = _Name()
    invalidated = False

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        self.info: dict[str, Any] = {}
        self._heavy: Connection | None = None

    def __exit__(self, *fault: object) -> None:
        self.close()

    def begin(self) -> LightTransaction:
        """Begin a transaction."""
        self.raw.execute("BEGIN")
        return LightTransaction(self.raw)

    def execute(self, statement: Any, values: Any = None, **options: Any) -> CursorResult[Any]:
        """Run a statement of SQLAlchemy Core by SQLAlchemy."""
        return self.heavy.execute(statement, values, **options)

    def exec_driver_sql(self, text: str) -> sqlite3.Cursor:
        """Run a text as it is."""
        return self.raw.execute(text)

    def close(self) -> None:
        """Close it; a transaction that is open is rolled back."""
        if self._heavy is not None:
            self._heavy.close()
            self._heavy = None
        self.raw.close()

    @property
    def heavy(self) -> Connection:
        """SQLAlchemy's connection over the same one of the driver."""
        if self._heavy is None:
            from sqlalchemy import create_engine
            from sqlalchemy.pool import StaticPool

            lent = Lent(self.raw)
            engine = create_engine(
                "sqlite://",
                creator=lambda: lent,
                poolclass=StaticPool,
                hide_parameters=True,  # what users store does not belong into logs
            )
            self._heavy = engine.connect()
        return self._heavy


class LightTransaction(AbstractContextManager["LightTransaction"]):
    """A transaction, committed at the end of its `with` block or rolled back by what is raised there."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self._ended = False

    def __exit__(self, kind: type[BaseException] | None, *fault: object) -> None:
        try:
            if kind is None and not self._ended:
                self.commit()
        finally:
            self.close()

    def commit(self) -> None:
        """Commit; when the disk refuses, the transaction is still to be rolled back."""
        self._raw.execute("COMMIT")
        self._ended = True

    def rollback(self) -> None:
        """Roll back."""
        self.close()

    def close(self) -> None:
        """Roll back what is not committed, unless SQLite has done it already."""
        if not self._ended and self._raw.in_transaction:
            self._raw.execute("ROLLBACK")
        self._ended = True


class Lent:
    """A connection of the driver whose transactions SQLAlchemy leaves alone."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def commit(self) -> None:
        """Do nothing: the owner's turn commits."""

    def rollback(self) -> None:
        """Do nothing: the owner's turn rolls back."""

    def close(self) -> None:
        """Do nothing: it is closed by who opened it."""
