"""All rows of a PostgreSQL record in one file, and back."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from mainspring.store.dialects.pipeline import PipelinedConnection
from mainspring.store.places import sync


def write_export(connection: PipelinedConnection, tables: Sequence[str], path: Path) -> Path:
    """Write every row of tables, as of one moment.

    Parameters
    ----------
    connection : PipelinedConnection
        In a transaction, so that all tables are of the same moment.
    tables : sequence of str
        Their names.
    path : Path
        A zip file with one member for each table, in the text format of ``COPY``.

    Notes
    -----
    Cost: memory for one row at a time. The file gets its name when it is whole and on the disk.
    """
    draft = path.with_name(f".{path.name}")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for table in tables:
            columns = _columns(connection, table)
            with archive.open(f"{table}({','.join(columns)})", "w", force_zip64=True) as member:
                connection.copy(f"COPY {_quote(table)} ({_names(columns)}) TO STDOUT", member)
    sync(draft)
    draft.chmod(0o600)
    draft.replace(path)
    return path


def read_export(connection: PipelinedConnection, path: Path) -> None:
    """Put the rows of a file into tables that are there and empty.

    Parameters
    ----------
    connection : PipelinedConnection
        In a transaction; the tables are of the revision that the file was written from.
    path : Path
        As `write_export` has written it.
    """
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            table, _, rest = name.partition("(")
            columns = rest.rstrip(")").split(",")
            with archive.open(name) as member:
                connection.copy(f"COPY {_quote(table)} ({_names(columns)}) FROM STDIN", member)
            set_sequences(connection, table)


def set_sequences(connection: PipelinedConnection, table: str) -> None:
    """Have the numbers of new rows follow those that are there."""
    found = connection.perform(
        "SELECT column_name::text, pg_get_serial_sequence($1, column_name::text) FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = $2::text AND column_default LIKE 'nextval%'",
        (_quote(table), table),
    )
    for column, sequence in list(found):
        name = _quote(column)
        connection.execute_simple(
            f"SELECT setval('{sequence}', coalesce(max({name}), 0) + 1, false) FROM {_quote(table)}"  # noqa: S608
        )


def _columns(connection: PipelinedConnection, table: str) -> list[str]:
    found = connection.perform(
        "SELECT column_name::text FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = $1::text ORDER BY ordinal_position",
        (table,),
    )
    return [name for (name,) in found]


def _names(columns: Sequence[str]) -> str:
    return ", ".join(_quote(name) for name in columns)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
