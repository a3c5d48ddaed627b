"""Needs: what in the record still points at a version or a run."""

from __future__ import annotations

from typing import NamedTuple

from mainspring.store.deletions import BELOW, is_here
from mainspring.store.runs import LIVE
from mainspring.store.statements import pack_ids, unpack_ids
from mainspring.store.tables import calls, edges, renewals, runs, versions
from mainspring.store.words import ColumnElement, Connection, bindparam, select, text

_LIVE = ", ".join(f"'{state}'" for state in LIVE)
_USERS = text(
    f"""
    WITH RECURSIVE near(id, parent_id) AS (
        SELECT CAST(runs.id AS TEXT), CAST(runs.parent_id AS TEXT) FROM runs
            JOIN edges ON (edges.source = :id AND edges.target = runs.id)
            OR (edges.target = :id AND edges.source = runs.id)
        UNION SELECT CAST(runs.id AS TEXT), CAST(runs.parent_id AS TEXT) FROM runs JOIN near ON runs.id = near.parent_id
    )
    SELECT runs.id, runs.name, runs.state FROM near JOIN runs ON runs.id = near.id
        WHERE runs.state IN ({_LIVE}) AND (runs.kind <> 'script' OR runs.pid <> 0) LIMIT 1
    """  # noqa: S608 - states of our own
)
_BELOW = text(
    BELOW + f"SELECT runs.id, name, state FROM below JOIN runs ON runs.id = below.id WHERE state IN ({_LIVE}) LIMIT 1"  # noqa: S608
)
_ABOVE = text(
    f"""
    WITH RECURSIVE above(id, parent_id) AS (
        SELECT CAST(id AS TEXT), CAST(parent_id AS TEXT) FROM runs WHERE id = :id
        UNION SELECT CAST(runs.id AS TEXT), CAST(runs.parent_id AS TEXT)
            FROM runs JOIN above ON runs.id = above.parent_id
    )
    SELECT runs.id, name, state FROM above JOIN runs ON runs.id = above.id WHERE state IN ({_LIVE}) LIMIT 1
    """  # noqa: S608
)


class LiveRun(NamedTuple):
    """A run that has not ended."""

    id: str
    name: str
    state: str


def find_live_user(connection: Connection, version_id: str, reference: str) -> LiveRun | None:
    """Return a live run that has read or written a version, is above one that has, or names it in its call.

    Notes
    -----
    Runs of MLflow's clients have no process that could tell of its end: they hold nothing.
    """
    row = connection.execute(_USERS, {"id": version_id}).first()
    if row is not None:
        return LiveRun(*row)
    return find_live_call(connection, f'"{reference}"')


def find_live_call(connection: Connection, words: str) -> LiveRun | None:
    """Return a live run whose call holds a text, whatever its type makes of it."""
    named = calls.c.call.cast(runs.c.name.type).contains(words, autoescape=True)
    query = (
        select(runs.c.id, runs.c.name, runs.c.state)
        .join(calls, calls.c.run_id == runs.c.id)
        .where(runs.c.state.in_(LIVE), named)
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else LiveRun(*row)


def find_live_part(connection: Connection, run_id: str) -> LiveRun | None:
    """Return a run below or above a run, or itself, that has not ended."""
    for query in (_BELOW, _ABOVE):
        row = connection.execute(query, {"id": run_id}).first()
        if row is not None:
            return LiveRun(*row)
    return None


def find_open_renewal(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[str, str] | None:
    """Return id and service of a renewal that is not closed and meets conditions."""
    query = select(renewals.c.id, renewals.c.service).where(renewals.c.closed_at.is_(None), *conditions).limit(1)
    row = connection.execute(query).first()
    return None if row is None else (str(row[0]), str(row[1]))


def list_dependents(connection: Connection, version_id: str) -> list[str]:
    """Return the versions that were made from a version and are not deleted, as references."""
    made = (edges.c.source == bindparam("id_")) & (edges.c.kind == "input")
    return _list_targets(connection, made, {"id_": version_id})


def list_products(connection: Connection, ids: list[str]) -> list[str]:
    """Return the versions that runs have made and that are not deleted, as references."""
    wrote = edges.c.source.in_(unpack_ids("ids")) & (edges.c.kind == "wrote")
    return _list_targets(connection, wrote, {"ids": pack_ids(ids)})


def _list_targets(connection: Connection, condition: ColumnElement[bool], values: dict[str, str]) -> list[str]:
    query = (
        select(versions.c.name, versions.c.number)
        .join(edges, edges.c.target == versions.c.id)
        .where(condition, is_here(versions.c.id))
        .order_by(versions.c.seq)
        .limit(3)
    )
    return [f"{name}@{number}" for name, number in connection.execute(query, values)]
