"""What runs ask of machines and what machines have, in whole numbers so that nothing is lost to rounding."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

_WORD = re.compile(r"[a-z0-9]+")

WHOLE = 1000
"""Thousandths of a device: what one GPU has."""


class Demand(NamedTuple):
    """What one run asks.

    Attributes
    ----------
    cpu_milli : int
        Thousandths of a core on each node, >= 0.
    memory_bytes : int
        On each node, >= 0.
    gpus : int
        Devices on each node, >= 0.
    gpu_milli : int
        Thousandths of each device, 1 to `WHOLE`; less than `WHOLE` only when `gpus` is 1.
    gpu_types : tuple of str
        Types of device that will do, as people write them, sorted; empty: any.
    nodes : int
        So many machines of one pool at once, each of which gives all of the above; > 1 is a gang.
    pool : str
        Of which machines; empty: any but rented ones.
    zone : str
        Which it may not leave; empty: none.
    owners : tuple of str
        Whose machines it may use beside those that are nobody's own, sorted.
    """

    cpu_milli: int
    memory_bytes: int = 0
    gpus: int = 0
    gpu_milli: int = WHOLE
    gpu_types: tuple[str, ...] = ()
    nodes: int = 1
    pool: str = ""
    zone: str = ""
    owners: tuple[str, ...] = ()

    @property
    def gpu_total_milli(self) -> int:
        """Thousandths of devices in all.

        Examples
        --------
        >>> Demand(4000, gpus=2, nodes=3).gpu_total_milli
        6000
        """
        return self.gpus * self.gpu_milli * self.nodes

    @property
    def shares(self) -> bool:
        """It asks a part of one device."""
        return self.gpus == 1 and self.gpu_milli < WHOLE

    def takes(self, gpu_type: str) -> bool:
        """Tell whether devices of a type will do.

        Examples
        --------
        >>> [Demand(0, gpus=1, gpu_types=("A100",)).takes(told) for told in ("NVIDIA A100-SXM4-80GB", "a100", "A10")]
        [True, True, False]
        """
        return not self.gpu_types or any(is_type(wish, gpu_type) for wish in self.gpu_types)


@cache
def is_type(wish: str, told: str) -> bool:
    """Tell whether a device is of the type that somebody wishes: all words of the wish are among those it has."""
    asked = set(_WORD.findall(wish.lower()))
    return wish == told or (bool(asked) and asked <= set(_WORD.findall(told.lower())))


class Rent(NamedTuple):
    """On what terms the machines of a pool are rented.

    Attributes
    ----------
    price : float
        Of an hour of one machine, > 0.
    after_s : float
        So long a run waits at home before one is rented for it.
    idle_s : float
        So long after the last run the pool is still open to others.
    """

    price: float
    after_s: float = 600.0
    idle_s: float = 600.0


class Machine(NamedTuple):
    """One machine, empty.

    Attributes
    ----------
    name : str
        Unique in its cluster.
    cpu_milli : int
        Thousandths of a core.
    memory_bytes : int
        Main memory.
    gpus : int
        Devices, all of one type.
    gpu_type : str
        Empty when it has none, or nobody knows.
    pool : str
        What it is a part of.
    away : bool
        It is used only where no other will do.
    zone : str
        Where it stands; a demand that may not leave its zone is held nowhere else.
    owner : str
        Path of the tenant whose runs alone it takes; empty: anybody's.
    rent : Rent or None
        What it costs; None: it is there anyway.
    delegated : bool
        Its engine has a queue of its own, and says itself what gives way there.
    alone : bool
        It can be no member of a gang.
    """

    name: str
    cpu_milli: int
    memory_bytes: int = 0
    gpus: int = 0
    gpu_type: str = ""
    pool: str = ""
    away: bool = False
    zone: str = ""
    owner: str = ""
    rent: Rent | None = None
    delegated: bool = False
    alone: bool = False


class Spot(NamedTuple):
    """A place on one machine: its name, and which of its devices."""

    machine: str
    devices: tuple[int, ...] = ()
