"""What tenants have had, kept for the owner that comes next."""

from __future__ import annotations

from collections.abc import Mapping

from mainspring.store.machines import usages
from mainspring.store.statements import Statement, add_or_replace
from mainspring.store.words import Connection, bindparam, select

_PUT = Statement(add_or_replace(usages, "mean", "at"), ("node", "tenant", "mean", "at"))
_READ = Statement(select(usages.c.tenant, usages.c.at, usages.c.mean).where(usages.c.node == bindparam("node_")))


def put_usages(connection: Connection, node: str, used: Mapping[str, tuple[float, list[float]]]) -> None:
    """Keep until when the past of tenants is counted, and the mean of each resource in it."""
    for tenant, (at, mean) in used.items():
        _PUT.run_later(connection, {"node": node, "tenant": tenant, "mean": mean, "at": at})


def read_usages(connection: Connection, node: str) -> dict[str, tuple[float, list[float]]]:
    """Return what an owner has kept."""
    return {tenant: (at, mean) for tenant, at, mean in _READ.all(connection, node_=node)}
