"""What runs ask of machines and what machines have, in whole numbers so that nothing is lost to rounding."""

from __future__ import annotations

from typing import NamedTuple

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
        Types of device that will do, sorted; empty: any.
    nodes : int
        So many machines at once, each of which gives all of the above; > 1 is a gang.
    pool : str
        Of which machines; empty: any.
    """

    cpu_milli: int
    memory_bytes: int = 0
    gpus: int = 0
    gpu_milli: int = WHOLE
    gpu_types: tuple[str, ...] = ()
    nodes: int = 1
    pool: str = ""

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
    """

    name: str
    cpu_milli: int
    memory_bytes: int = 0
    gpus: int = 0
    gpu_type: str = ""
    pool: str = ""
    away: bool = False


class Spot(NamedTuple):
    """A place on one machine: its name, and which of its devices."""

    machine: str
    devices: tuple[int, ...] = ()
