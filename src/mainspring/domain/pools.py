"""Messages about pools: where runs execute, and the machines there.

They travel as those of `mainspring.domain.messages` do, which knows them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from mainspring.domain.command import Command, Seconds

Price = Annotated[float, msgspec.Meta(ge=0, le=1e9)]

LOCAL_POOL = "local"
"""The pool that every home has: the machine of its owner."""

LOCAL_URL = "local://"
"""Names its engine."""

SENSITIVE = "sensitive"
"""The word of trust of a pool that may hold what is sensitive, if it stands where the home does."""

PATIENCE_S = 600.0
"""Seconds that a run waits at home before a machine is rented for it, where nothing else is said; and seconds after
the last run until the machines count as given back."""


class Pool(msgspec.Struct):
    """Machines that one engine speaks for, and what is known of them.

    Attributes
    ----------
    url : str
        Names the engine: ``local://``, ``slurm://?partition=a``.
    zone, trust : str
        Where it stands and how far it is trusted; empty: nothing is said.
    owner : str
        The tenant whose runs alone are placed there; empty: anybody's are.
    price : float
        For an hour of one node, in whatever currency the home counts in; 0: it is there anyway.
    start_s : float
        How long a machine takes until it is there.
    spot : bool
        Its machines may be taken away at any time.
    burst_after_s : float
        With a price: so long a run waits until it is placed there, once all such devices at home are taken.
    idle_s : float
        With a price: so long after its last run it still takes others at once.
    may_hold_sensitive : bool
        Runs may be there that read what is sensitive.
    rented : str
        With a price: how many machines are rented now, and what it takes to rent another.
    cost : float
        What runs there have cost this month.
    nodes : int
        So many answer now; with `cpus`, `memory_bytes` and `gpus` of all of them, drained ones too.
    held : int
        Runs that hold a place there.
    problem : str
        Why it takes no run now; empty: it does.
    """

    name: str
    url: str
    zone: str = ""
    owner: str = ""
    trust: str = ""
    price: float = 0.0
    start_s: float = 0.0
    spot: bool = False
    burst_after_s: float = PATIENCE_S
    idle_s: float = PATIENCE_S
    created_by: str = ""
    created_at: float = 0.0
    changed_at: float = 0.0
    nodes: int = 0
    cpus: float = 0.0
    memory_bytes: int = 0
    gpus: float = 0.0
    held: int = 0
    may_hold_sensitive: bool = False
    rented: str = ""
    cost: float = 0.0
    problem: str = ""


class Machine(msgspec.Struct):
    """A node of a pool.

    Attributes
    ----------
    place : str
        How commands and runs name it: ``lab/gpu01``.
    cpus, memory_bytes, gpus : float, int, float
        All that it has.
    gpu_type : str
        Of its devices; empty: unknown, or there are none.
    held : int
        Runs that hold a place there.
    drained_by : str
        Who has said that nothing more may start there; empty: nobody.
    """

    place: str
    pool: str
    name: str
    cpus: float
    memory_bytes: int
    gpus: float
    gpu_type: str = ""
    held: int = 0
    drained_by: str = ""
    drained_at: float | None = None


class AddPool(Command):
    """Have runs executed somewhere else, too; or change what is known of a pool that is there."""

    name: str
    url: str
    zone: str = ""
    owner: str = ""
    trust: str = ""
    price: Price = 0.0
    start_s: Seconds = 0.0
    spot: bool = False
    burst_after_s: Seconds = PATIENCE_S
    idle_s: Seconds = PATIENCE_S


class ListPools(Command):
    """The pools of the home, by name, the local one first."""


class GetPool(Command):
    """One pool."""

    name: str


class RemovePool(Command):
    """Have nothing executed there any more.

    Attributes
    ----------
    force : bool
        What runs there is lost, and queued again where it may go elsewhere.
    """

    name: str
    force: bool = False


class ListNodes(Command):
    """The machines of all pools, or of one."""

    pool: str = ""


class DrainNode(Command):
    """Start nothing more on a machine; what runs there goes on."""

    place: str


class ResumeNode(Command):
    """Start runs on a machine again."""

    place: str


ANSWERS: dict[type[Command], Any] = {
    AddPool: Pool,
    ListPools: list[Pool],
    GetPool: Pool,
    RemovePool: Pool,
    ListNodes: list[Machine],
    DrainNode: Machine,
    ResumeNode: Machine,
}


def name_place(pool: str, node: str) -> str:
    """Return how a machine is named everywhere: ``POOL/NODE``, and only its pool where both are the same.

    Examples
    --------
    >>> name_place("lab", "gpu01"), name_place("local", "local")
    ('lab/gpu01', 'local')
    """
    return pool if pool == node else f"{pool}/{node}"


def join_places(places: Sequence[str]) -> str:
    """Return the place of a run that is on several machines of one pool.

    Examples
    --------
    >>> join_places(["lab/gpu01", "lab/gpu02"]), join_places(["local"])
    ('lab/gpu01,gpu02', 'local')
    """
    return ",".join([places[0], *(split_place(each)[1] for each in places[1:])])


def list_places(place: str) -> list[str]:
    """Return the machines of a place.

    Examples
    --------
    >>> list_places("lab/gpu01,gpu02"), list_places("local"), list_places("")
    (['lab/gpu01', 'lab/gpu02'], ['local'], [])
    """
    pool, _, nodes = place.partition("/")
    return [name_place(pool, each) for each in (nodes or pool).split(",") if each]


def split_place(place: str) -> tuple[str, str]:
    """Return the pool and the node of a place, or the nodes of that of a gang.

    Examples
    --------
    >>> split_place("lab/gpu01"), split_place("local")
    (('lab', 'gpu01'), ('local', 'local'))
    """
    pool, _, node = place.partition("/")
    return pool, node or pool
