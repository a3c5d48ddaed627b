"""Migrations of the record, by Alembic; imported only when a record is older than this release.

`versions/` holds one module for each revision, four digits that grow. The first makes the tables
from ``0001.sql`` (``python tools/schema.py`` writes it anew until the first release); later ones
use Alembic's operations. `mainspring.store.schema.HEAD` names the newest.
"""

from __future__ import annotations

import os
import sqlite3
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


def back_up(path: Path, revision: str) -> Path:
    """Copy a record beside itself before it is migrated.

    Parameters
    ----------
    path : Path
        The metadata file; its owner holds the lock and has no transaction open.
    revision : str
        Its schema, part of the copy's name.

    Returns
    -------
    Path
        The copy, such as ``record.db.0001``; whole and on disk, or not there.
    """
    copy = path.with_name(f"{path.name}.{revision or 'empty'}")
    draft = copy.with_name(f"{copy.name}.draft")
    draft.unlink(missing_ok=True)
    source, target = sqlite3.connect(path), sqlite3.connect(draft)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    handle = os.open(draft, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(copy)
    return copy
