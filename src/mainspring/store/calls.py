"""What queued runs execute, and which worker they were placed on."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from mainspring.store.rows import change
from mainspring.store.tables import calls

_HAS = select(calls.c.run_id).where(calls.c.run_id == bindparam("id_"))


def has_call(connection: Connection, run_id: str) -> bool:
    """Tell whether a run was queued, so that it can run again."""
    return connection.execute(_HAS, {"id_": run_id}).first() is not None


def unplace(connection: Connection, run_id: str) -> None:
    """Take a run from the worker that it was placed on."""
    change(connection, calls, {"run_id": run_id}, worker_id=None, token=None, placed_at=None)
