"""The record's file: made, checked, brought up to date."""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from mainspring.domain.errors import Conflict
from mainspring.domain.home import Home
from mainspring.store.engine import explain_fault, open_engine
from mainspring.store.tables import metadata

HEAD = "0001"
"""The schema of this release; revisions are four digits and grow."""


_MARK = """CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""


def open_record(home: Home) -> Engine:
    """Open the metadata of a home, making or migrating its file.

    Parameters
    ----------
    home : Home
        Its state folder exists.

    Returns
    -------
    Engine
        On a record of the schema `HEAD`.

    Raises
    ------
    Conflict
        HOME-003 when a newer release wrote the record.
    Unavailable
        HOME-006, HOME-007 or HOME-016 when the file cannot be written or is no record.

    Notes
    -----
    Guarantees: a file appears with its whole schema or stays empty; before a migration it is
    copied beside itself, and a migration happens whole or not at all. Alembic is imported only
    then.
    """
    engine = open_engine(home.metadata)
    try:
        with engine.connect() as connection:
            with connection.begin():
                revision = read_revision(connection)
                if revision is None:
                    create(connection)
                    revision = HEAD
            if revision != HEAD:
                _migrate(connection, home, revision)
    except BaseException as fault:
        engine.dispose()
        error = explain_fault(fault, home.metadata) if isinstance(fault, DBAPIError | sqlite3.Error) else None
        if error is None:
            raise
        raise error from fault
    return engine


def _migrate(connection: Connection, home: Home, revision: str) -> None:
    if revision > HEAD:
        raise Conflict("HOME-003", f"{home.metadata} has schema {revision}, this release knows up to {HEAD}")
    from mainspring.store import migrations

    migrations.back_up(home.metadata, revision)
    with connection.begin():
        migrations.upgrade(connection)


def create(connection: Connection) -> None:
    """Make every table, with the mark of the newest revision."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(text(_MARK))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": HEAD})


def read_revision(connection: Connection) -> str | None:
    """Return the revision of the record's schema; None for an empty file, empty when it has no mark."""
    found = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")).first()
    if found is None:
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return "" if row is None else str(row[0])
