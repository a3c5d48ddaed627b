"""What SQLite and PostgreSQL each say in their own words; everything else is written once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mainspring.domain.errors import MainspringError
from mainspring.domain.home import Home

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, RootTransaction
    from sqlalchemy.engine import Dialect as Grammar


class Result(Protocol):
    """What a statement gave back."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        ...

    def fetchone(self) -> Sequence[Any] | None:
        """Return the next row."""
        ...

    def __iter__(self) -> Iterator[Sequence[Any]]: ...


class Listener(Protocol):
    """Hears what the other owners of a record publish."""

    def fileno(self) -> int:
        """Return what becomes readable when there is something to hear."""
        ...

    def take(self) -> set[str]:
        """Return the topics that others have published since.

        Raises
        ------
        Exception
            One of the dialect's faults: nothing is heard any more.
        """
        ...

    def close(self) -> None:
        """Listen no more."""
        ...


class Dialect(Protocol):
    """One kind of database under the record."""

    @property
    def grammar(self) -> Grammar:
        """How statements are compiled."""
        ...

    @property
    def faults(self) -> tuple[type[Exception], ...]:
        """What is raised below."""
        ...

    @property
    def shared(self) -> bool:
        """Whether there may be other owners."""
        ...

    def open(self, home: Home) -> Engine:
        """Return an engine on the record of a home; nothing is connected yet."""
        ...

    def begin(self, connection: Connection, *, writes: bool, durable: bool) -> RootTransaction:
        """Begin a transaction.

        Parameters
        ----------
        connection : Connection
            Outside of a transaction.
        writes : bool
            False: it only reads, and may run beside a writer.
        durable : bool
            Whether its commit waits for the disk.
        """
        ...

    def savepoint(self, connection: Connection) -> AbstractContextManager[None]:
        """Undo what is done inside when it raises, and nothing else of the transaction."""
        ...

    def has_written(self, connection: Connection) -> bool:
        """Tell whether the present transaction changed a row."""
        ...

    def publish(self, connection: Connection, topics: set[str]) -> None:
        """Tell the other owners of topics, when the present transaction commits."""
        ...

    def listen(self, home: Home) -> Listener | None:
        """Return what hears what other owners publish; None when there can be none."""
        ...

    def undo(self, connection: Connection, transaction: RootTransaction) -> None:
        """Roll a transaction back, also when the database has ended it or is gone."""
        ...

    def run(self, connection: Connection, text: str, names: Sequence[str], values: Mapping[str, Any]) -> Result:
        """Run a compiled statement below SQLAlchemy; `names` are its parameters in their order."""
        ...

    def run_later(self, connection: Connection, text: str, names: Sequence[str], values: Mapping[str, Any]) -> None:
        """Run a statement whose answer nobody reads, before the next one or the end of the savepoint."""
        ...

    def run_many(
        self, connection: Connection, text: str, names: Sequence[str], values: Sequence[Mapping[str, Any]]
    ) -> None:
        """Run a compiled statement once for each set of values."""
        ...

    def now(self, connection: Connection) -> float:
        """Return the time by which owners keep leases, in seconds since 1970 UTC."""
        ...

    def list_tables(self, connection: Connection) -> set[str]:
        """Return the names of the tables that are there."""
        ...

    def size_bytes(self, connection: Connection, home: Home) -> int:
        """Return how much the record takes."""
        ...

    def back_up(self, connection: Connection, home: Home, stem: Path) -> Path:
        """Copy the record, as of one moment, into a file; whole and on disk, or not there.

        Parameters
        ----------
        connection : Connection
            In a transaction.
        home : Home
            Of the record.
        stem : Path
            The file without its ending; its folder is there.

        Returns
        -------
        Path
            The file, mode 0600.
        """
        ...

    def take_time(self, connection: Connection) -> None:
        """Let the present transaction take its time, and wait between its statements."""
        ...

    def set_sequences(self, connection: Connection, table: str) -> None:
        """Have the numbers of new rows follow those of the rows that were copied in."""
        ...

    def optimize(self, connection: Connection) -> None:
        """Keep the statistics that queries are planned by."""
        ...

    def explain_fault(self, fault: Exception, place: str) -> MainspringError | None:
        """Name the cause of a fault; None when it is a mistake of the code.

        An `Unavailable` or `Denied` concerns all that is under way; others the statement alone.
        """
        ...
