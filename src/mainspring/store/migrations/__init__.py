"""Migrations of the record, by Alembic; imported only when a record is older than this release.

`versions/` holds one module for each revision, four digits that grow, and beside it the SQL of the tables
that it adds, changes or drops, one file for each dialect. ``python tools/schema.py`` writes the newest from
the tables until it is released; `mainspring.store.tables.HEAD` names it.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Bring the tables of a record to the newest revision, inside the caller's transaction.

    Parameters
    ----------
    connection : Connection
        In a transaction; when it is rolled back, the record is as it was.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
