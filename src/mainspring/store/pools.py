"""Pools in the record, the machines that are drained, and what runs or waits there."""

from __future__ import annotations

from typing import Any, NamedTuple

from mainspring.domain.pools import Pool
from mainspring.domain.records import Resources
from mainspring.store.rows import add, change
from mainspring.store.statements import Statement
from mainspring.store.tables import drains, pools, runs
from mainspring.store.words import Connection, bindparam, delete, literal_column, or_, select


class Drain(NamedTuple):
    """Who has said that nothing more may start on a machine, and when."""

    drained_by: str
    drained_at: float


class There(NamedTuple):
    """A live run, as far as it concerns pools; `place` is empty while it has none."""

    id: str
    place: str
    resources: Resources


_FIELDS = tuple(name for name in Pool.__struct_fields__ if name in pools.c)
_ALL = Statement(select(*(pools.c[name] for name in _FIELDS)).order_by(pools.c.name))
_DRAINS = Statement(select(drains.c.place, drains.c.drained_by, drains.c.drained_at))
_live = or_(*(runs.c.state == literal_column(f"'{state}'") for state in ("queued", "starting", "running")))
_THERE = Statement(select(runs.c.id, runs.c.place, runs.c.resources).where(_live).order_by(runs.c.seq))
_UNDRAIN = Statement(delete(drains).where(drains.c.place == bindparam("place_")))


def add_pool(connection: Connection, pool: Pool) -> None:
    """Make a pool."""
    add(connection, pools, pool)


def change_pool(connection: Connection, name: str, **values: Any) -> None:
    """Change what is known of a pool."""
    change(connection, pools, {"name": name}, **values)


def remove_pool(connection: Connection, name: str) -> None:
    """Remove a pool, and what was said of its machines."""
    connection.execute(delete(pools).where(pools.c.name == name))
    for place in read_drains(connection):
        if place == name or place.startswith(f"{name}/"):
            resume(connection, place)


def list_pools(connection: Connection) -> list[Pool]:
    """Return the pools of the record, by name; cheap enough for every turn."""
    return [Pool(**dict(zip(_FIELDS, row, strict=True))) for row in _ALL.all(connection)]


def read_drains(connection: Connection) -> dict[str, Drain]:
    """Return place -> who has drained it."""
    return {row[0]: Drain(*row[1:]) for row in _DRAINS.all(connection)}


def drain(connection: Connection, place: str, by: str, now: float) -> None:
    """Note that nothing more may start on a machine."""
    resume(connection, place)
    connection.execute(drains.insert(), {"place": place, "drained_by": by, "drained_at": now})


def resume(connection: Connection, place: str) -> None:
    """Let runs start on a machine again."""
    _UNDRAIN.run(connection, {"place_": place})


def list_there(connection: Connection) -> list[There]:
    """Return the live runs of all owners, oldest first; cost: each is read."""
    return [There(*row) for row in _THERE.all(connection)]
