"""The schema of a revision as its SQL says it, and the way from one to the next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from mainspring.store.engine import dialect_of
from mainspring.store.words import Connection, text

FOLDER = Path(__file__).parent / "versions"
"""Here lies, for each revision and dialect, the SQL of the tables that it adds or changes."""

_TABLE = re.compile(r'(?:CREATE|DROP) TABLE "?(\w+)"?|CREATE (?:UNIQUE )?INDEX \w+ ON "?(\w+)"?')

Defaults = Mapping[str, Mapping[str, str]]
"""Table -> column that is new or means something else -> the SQL of its value in rows that are there."""


def read_shape(revision: str, dialect: str) -> dict[str, list[str]]:
    """Return table -> its statements, of a revision's schema: what each one up to it added, changed or dropped."""
    shape: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob(f"*.{dialect}.sql")):
        if path.name.partition(".")[0] <= revision:
            shape.update(_read_changes(path))
    return {table: statements for table, statements in shape.items() if not statements[0].startswith("DROP")}


def _read_changes(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for statement in filter(str.strip, path.read_text("utf-8").split(";\n")):
        match = _TABLE.search(statement)
        assert match is not None, statement
        found.setdefault(match[1] or match[2], []).append(statement.strip())
    return found


def make_tables(connection: Connection, revision: str) -> None:
    """Make every table and index of a revision."""
    for statements in read_shape(revision, connection.dialect.name).values():
        for each in statements:
            connection.exec_driver_sql(each)


def change_tables(connection: Connection, before: str, after: str, defaults: Defaults) -> None:
    """Lead the tables of one revision to the next: what differs is made anew and filled with the old rows.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    before, after : str
        Revisions.
    defaults : mapping
        Values of new columns that must have one, and of others where the old one will not do.

    Notes
    -----
    Cost: tables whose statements are the same are not touched; another's rows are written twice.
    """
    name = connection.dialect.name
    old, new = read_shape(before, name), read_shape(after, name)
    for table, statements in new.items():
        if old.get(table) == statements:
            continue
        if table in old:
            connection.exec_driver_sql(f'CREATE TABLE "old_{table}" AS SELECT * FROM "{table}"')  # noqa: S608
            connection.exec_driver_sql(f'DROP TABLE "{table}"')
        for each in statements:
            connection.exec_driver_sql(each)
        if table in old:
            _copy(connection, table, defaults.get(table, {}))
    for table in old.keys() - new.keys():
        connection.exec_driver_sql(f'DROP TABLE "{table}"')


def _copy(connection: Connection, table: str, defaults: Mapping[str, str]) -> None:
    kept = (_columns(connection, f"old_{table}") & _columns(connection, table)) - defaults.keys()
    names = [*sorted(kept), *defaults]
    values = [*(f'"{name}"' for name in sorted(kept)), *defaults.values()]
    columns = ", ".join(f'"{name}"' for name in names)
    connection.exec_driver_sql(
        f'INSERT INTO "{table}" ({columns}) SELECT {", ".join(values)} FROM "old_{table}"'  # noqa: S608
    )
    connection.exec_driver_sql(f'DROP TABLE "old_{table}"')
    dialect_of(connection).set_sequences(connection, table)


def _columns(connection: Connection, table: str) -> set[str]:
    return set(connection.execute(text(f'SELECT * FROM "{table}" LIMIT 0')).keys())  # noqa: S608
