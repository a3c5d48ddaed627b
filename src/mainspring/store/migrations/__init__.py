"""Migrations of the record, by Alembic; which is imported only when a record is older than this release.

`versions/` holds one module for each revision, four digits that grow, and beside it the SQL of the tables
that it adds, changes or drops, one file for each dialect. ``python tools/schema.py`` writes the newest from
the tables until it is released; `mainspring.store.tables.HEAD` names it.
"""

from __future__ import annotations

from pathlib import Path

from mainspring.store.words import Connection


def upgrade(connection: Connection) -> None:
    """Bring the tables of a record to the newest revision, inside the caller's transaction.

    Parameters
    ----------
    connection : Connection
        In a transaction; when it is rolled back, the record is as it was.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = getattr(connection, "heavy", connection)  # Alembic asks for SQLAlchemy's own
    command.upgrade(config, "head")
