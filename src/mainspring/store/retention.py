"""What is old and what must stay: runs in the order of their numbers, versions by age, the lineage of what is used."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from mainspring.domain.states import TERMINAL
from mainspring.store.deletions import is_here
from mainspring.store.statements import pack_ids, unpack_ids
from mainspring.store.tables import aliases, deletions, edges, runs, versions
from mainspring.store.words import Connection, func, select


class Seen(NamedTuple):
    """A run that a pass has come to.

    Attributes
    ----------
    old : bool
        It is uppermost, has ended before the time that was asked for, and is not deleted.
    """

    number: int
    id: str
    created_at: float
    old: bool


def list_next_runs(connection: Connection, project: str, after: int, before: float, most: int) -> list[Seen]:
    """Return the runs of a project behind a number, among the next `most` numbers, and which of them are old."""
    query = (
        select(
            runs.c.seq, runs.c.id, runs.c.created_at, runs.c.parent_id, runs.c.state, runs.c.ended_at, deletions.c.id
        )
        .outerjoin(deletions, deletions.c.id == runs.c.id)
        .where(runs.c.seq > after, runs.c.seq <= after + most, runs.c.project == project)
        .order_by(runs.c.seq)
    )
    return [
        Seen(
            number,
            str(run_id),
            created_at,
            parent_id is None and state in TERMINAL and (ended_at or 0.0) < before and deleted is None,
        )
        for number, run_id, created_at, parent_id, state, ended_at, deleted in connection.execute(query)
    ]


def read_last_number(connection: Connection) -> int:
    """Return the greatest number of a run; 0 before the first."""
    return int(connection.execute(select(func.max(runs.c.seq))).scalar() or 0)


def list_old_versions(
    connection: Connection, project: str, before: float, *, after: int, limit: int
) -> list[tuple[int, str]]:
    """Return (number of the row, id) of versions that were made before a time and are not deleted, oldest first."""
    query = (
        select(versions.c.seq, versions.c.id)
        .where(versions.c.project == project, versions.c.created_at < before, versions.c.seq > after)
        .where(is_here(versions.c.id))
        .order_by(versions.c.seq)
        .limit(limit)
    )
    return [(number, str(version_id)) for number, version_id in connection.execute(query)]


def list_lineage(connection: Connection, project: str, references: Collection[tuple[str, int]]) -> set[str]:
    """Return the ids of versions that must stay, and of all that they were made from.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    project : str
        Its name.
    references : collection of (str, int)
        Name and number of models that are used; the newest version of each name and all that an
        alias points at are used too.
    """
    newest = select(func.max(versions.c.seq)).where(versions.c.project == project, is_here(versions.c.id))
    used = set(
        connection.execute(
            select(versions.c.id).where(versions.c.seq.in_(newest.group_by(versions.c.kind, versions.c.name)))
        ).scalars()
    )
    used.update(connection.execute(select(aliases.c.version_id).where(aliases.c.project == project)).scalars())
    for name, number in references:
        named = (versions.c.project == project, versions.c.kind == "model", versions.c.name == name)
        used.update(connection.execute(select(versions.c.id).where(*named, versions.c.number == number)).scalars())
    known: set[str] = set()
    while used:  # one level after the other, each in one statement
        known |= used
        above = select(edges.c.source).where(edges.c.target.in_(unpack_ids("ids")), edges.c.kind == "input")
        used = set(connection.execute(above, {"ids": pack_ids(sorted(used))}).scalars()) - known
    return known


def find_products(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Return the ids of the versions that runs have made or come to."""
    query = select(edges.c.target).where(edges.c.source.in_(unpack_ids("ids")), edges.c.kind == "wrote")
    return set(connection.execute(query, {"ids": pack_ids(ids)}).scalars())
