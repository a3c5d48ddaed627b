"""Gangs: one attempt of a run on several machines at once, each of which has one of its members."""

from __future__ import annotations

from typing import Annotated

import msgspec

Rank = Annotated[int, msgspec.Meta(ge=0, le=4095)]
"""Of a member among its gang; the run's result is that of rank 0."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


def name_member(run_id: str, rank: int) -> str:
    """Return by what an engine knows a member: as if it were an attempt of a run of its own.

    Examples
    --------
    >>> name_member("c07e", 0), name_member("c07e", 2)
    ('c07e', 'c07e.2')
    """
    return f"{run_id}.{rank}" if rank else run_id


def split_member(name: str) -> tuple[str, int]:
    """Return the run and the rank of a member; a name that is none stands for itself.

    Examples
    --------
    >>> split_member("c07e"), split_member("c07e.2"), split_member("c07e.x")
    (('c07e', 0), ('c07e', 2), ('c07e.x', 0))
    """
    run_id, _, rank = name.partition(".")
    return (run_id, int(rank)) if rank.isdecimal() and len(rank) <= 4 else (name, 0)


def list_variables(rank: int, nodes: int, address: str, port: int) -> dict[str, str]:
    """Return what tells a process its place in its gang: one process on each node, as launchers expect it.

    Examples
    --------
    >>> told = list_variables(1, 2, "10.0.0.7", 29500)
    >>> told["RANK"], told["WORLD_SIZE"], told["NODE_RANK"], told["MASTER_ADDR"]
    ('1', '2', '1', '10.0.0.7')
    """
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(nodes),
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "NODE_RANK": str(rank),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
    }
