"""The record's database, whichever it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from mainspring.domain.errors import MainspringError
from mainspring.domain.home import Home
from mainspring.store.dialects import Dialect
from mainspring.store.dialects.sqlite import SqliteDialect
from mainspring.store.words import Connection, Engine

_dialects: dict[str, Dialect] = {"sqlite": SqliteDialect()}


def find_dialect(name: str) -> Dialect:
    """Return what is particular about a kind of database: ``sqlite`` or ``postgresql``."""
    if name not in _dialects:
        from mainspring.store.dialects.postgresql import PostgresqlDialect

        _dialects[name] = PostgresqlDialect()
    return _dialects[name]


def dialect_of(connection: Connection | Engine) -> Dialect:
    """Return the dialect of a connection."""
    return _dialects[connection.dialect.name]


def open_engine(home: Home) -> Engine:
    """Return an engine on the record of a home; nothing is made or changed yet.

    Parameters
    ----------
    home : Home
        Its folder exists; `Home.record` says where the metadata lie.
    """
    return find_dialect("postgresql" if home.record else "sqlite").open(home)


def savepoint(connection: Connection) -> AbstractContextManager[None]:
    """Undo what is done inside when it raises, and nothing else of the transaction."""
    return dialect_of(connection).savepoint(connection)


def find_fault(engine: Engine, fault: Exception, home: Home) -> MainspringError | None:
    """Name the cause when the record could not be written or read; None for any other fault."""
    dialect = dialect_of(engine)
    if not isinstance(fault, dialect.faults):
        return None
    return dialect.explain_fault(fault, home.place)


@contextmanager
def explained(engine: Engine, home: Home) -> Iterator[None]:
    """Raise, in place of a database's fault, the error that names its cause; anything else as it is."""
    try:
        yield
    except Exception as fault:  # which types are the database's own is known to its dialect alone
        error = find_fault(engine, fault, home)
        if error is None:
            raise
        raise error from fault
