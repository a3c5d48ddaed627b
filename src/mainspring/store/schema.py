"""The record's tables: made, checked, brought up to date."""

from __future__ import annotations

import secrets

from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Conflict
from mainspring.domain.home import Home
from mainspring.store.engine import dialect_of, explained, open_engine
from mainspring.store.migrations.shapes import make_tables, read_shape
from mainspring.store.places import Place, backup_path, keep_place, read_address, read_place
from mainspring.store.statements import Statement
from mainspring.store.tables import HEAD, meta, metadata
from mainspring.store.words import Connection, Engine, insert, text

MARK = """CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""
"""The table that holds the revision."""

_MARK = Statement(text("INSERT INTO alembic_version VALUES (:revision)"))
_REVISION = Statement(text("SELECT version_num FROM alembic_version"))
_ADD = Statement(insert(meta), ("name", "value"))
_RECORD = Statement(text("SELECT value FROM meta WHERE name = 'record'"))


def open_record(home: Home) -> Engine:
    """Open the metadata of a home, making or migrating them.

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
        HOME-003 when a newer release wrote the record, HOME-033 when other tables are there,
        HOME-037 when it is not the record that the home belongs to, SERVER-005 when tables of its
        schema are not there.
    MainspringError
        HOME-006, HOME-007 or HOME-016 when the file cannot be written or is no record; HOME-030 to
        HOME-032 when the database does not let this owner in.

    Notes
    -----
    Guarantees: a record appears with its whole schema or stays empty; before a migration it is
    copied, and a migration happens whole or not at all. Alembic is imported only then.
    """
    engine = open_engine(home)
    try:
        with explained(engine, home), engine.connect() as connection:
            with connection.begin():
                revision = read_revision(connection)
                if revision is None:
                    _refuse_others(connection, home)
                    create(connection)
                    revision = HEAD
            with connection.begin():
                _check_tables(connection, home, revision)
            if revision != HEAD:
                _migrate(connection, home, revision)
            with connection.begin():
                _remember(connection, home)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _refuse_others(connection: Connection, home: Home) -> None:
    others = sorted(dialect_of(connection).list_tables(connection))
    if others:
        told = ", ".join(others[:3]) + (" ..." if len(others) > 3 else "")
        raise Conflict("HOME-033", f"{home.place} holds {len(others)} tables that are not ours: {told}")


def list_missing(connection: Connection, revision: str) -> list[str]:
    """Return the tables of a revision's schema that a record does not have; none for one that is not known here."""
    if revision == HEAD:
        wanted = set(metadata.tables)
    elif not revision or revision > HEAD:
        return []
    else:
        wanted = set(read_shape(revision, connection.dialect.name))
    return sorted(wanted - dialect_of(connection).list_tables(connection))


def _check_tables(connection: Connection, home: Home, revision: str) -> None:
    missing = list_missing(connection, revision)
    if missing:
        what = f"{home.place} is marked as schema {revision} and has no table {', '.join(missing)}"
        raise Conflict("SERVER-005", what, record=home.place, missing=missing)


def _migrate(connection: Connection, home: Home, revision: str) -> None:
    if revision > HEAD:
        raise Conflict("HOME-003", f"{home.place} has schema {revision}, this release knows up to {HEAD}")
    from mainspring.store import migrations

    with connection.begin():
        dialect_of(connection).back_up(connection, home, backup_path(home, revision))
        crash_point("migration.backed_up")
        if read_revision(connection) == revision:  # no other owner was first
            migrations.upgrade(connection)
        crash_point("migration.changed")
    crash_point("migration.committed")


def _remember(connection: Connection, home: Home) -> None:
    """Have the home know the record again, wherever it is."""
    record_id, kept = read_record_id(connection), read_place(home.root)
    if kept is not None and kept.record_id != record_id:
        what = f"{home.place} holds record {record_id[:8]}, and {home.root} belongs to {kept.record_id[:8]}"
        raise Conflict("HOME-037", what)
    if home.record:
        node = secrets.token_hex(8) if kept is None else kept.node
        place = Place(read_address(home), record_id, node)
        if place != kept:
            keep_place(home, place)


def read_record_id(connection: Connection) -> str:
    """Return what tells this record from any other."""
    row = _RECORD.first(connection)
    assert row is not None
    return str(row[0])


def create(connection: Connection) -> None:
    """Make every table, with the mark of the newest revision."""
    make_tables(connection, HEAD)
    connection.exec_driver_sql(MARK)
    _MARK.run(connection, {"revision": HEAD})
    _ADD.run(connection, {"name": "record", "value": secrets.token_hex(16)})


def read_revision(connection: Connection) -> str | None:
    """Return the revision of the record's schema; None for an empty database, empty when it has no mark."""
    if "alembic_version" not in dialect_of(connection).list_tables(connection):
        return None
    row = _REVISION.first(connection)
    return "" if row is None else str(row[0])
