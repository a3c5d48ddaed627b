"""How much of a machine's free devices would stay free: the measure by which runs are placed.

A placement is good when what it leaves can still be used. For each demand that is typical, count
how many of it alone the machine would still take, cores and devices together; what they would not
use of the free devices is stranded for that demand. The measure is its mean over the typical
demands, in thousandths of a device, and a run goes where it grows least.

The idea of descending that gradient is of Weng and others, "Beware of Fragmentation" (USENIX ATC
2023). Their measure asks whether a demand fits once; counting how often it fits sees devices that
will run out of cores before they are full, and allocates as much without a tuned constant
(``python -m bench.fill`` prints both).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mainspring.compute.scheduling.demands import WHOLE, Demand

_MOST_KEPT = 400_000


class _Group(NamedTuple):
    """Typical demands that ask the same of devices: cores of each, and how usual it is."""

    gpus: int
    gpu_milli: int
    demands: tuple[tuple[int, float], ...]

    def take(self, cpu_milli: int, times: int) -> float:
        """Return what these demands would take of devices that hold each of them so many times, on the mean."""
        mean = 0.0
        for cores, weight in self.demands:
            mean += weight * (min(cpu_milli // cores, times) if cores else times)
        return mean * self.gpus * self.gpu_milli


class Mix:
    """What is typically asked for.

    Parameters
    ----------
    demands : mapping of Demand to float
        Each with its weight, > 0: how many of it arrive. Those without devices strand nothing and are left out.

    Notes
    -----
    Cost: `strand` is a lookup for a state that was seen before, else one step for each typical demand. What was
    seen is forgotten once it takes much memory.
    """

    def __init__(self, demands: Mapping[Demand, float]) -> None:
        typical = {demand: weight for demand, weight in demands.items() if demand.gpus}
        self._total = sum(typical.values()) or 1.0
        self._typical = typical
        self._groups: dict[str, tuple[_Group, ...]] = {}
        self._taken: dict[tuple[str, int], list[dict[int, float]]] = {}
        self._stranded: dict[tuple[str, int, tuple[int, ...]], float] = {}

    @classmethod
    def of(cls, demands: Iterable[Demand]) -> Mix:
        """Count what has arrived."""
        weights: dict[Demand, float] = {}
        for demand in demands:
            weights[demand] = weights.get(demand, 0.0) + 1.0
        return cls(weights)

    def strand(self, gpu_type: str, cpu_milli: int, devices: Iterable[int]) -> float:
        """Return how many thousandths of free devices would stay free, on the mean over the typical demands.

        Parameters
        ----------
        gpu_type : str
            Type of the machine's devices.
        cpu_milli : int
            Its free cores.
        devices : iterable of int
            What is free of each of its devices, 0 to 1000.

        Examples
        --------
        One core is left for two free devices, and who comes asks one of each:

        >>> Mix({Demand(1000, gpus=1): 1.0}).strand("", 1000, (1000, 1000))
        1000.0
        """
        free = tuple(sorted(devices))
        cpu_milli = max(cpu_milli, 0)  # cores that were lent may be used by more than there are
        key = (gpu_type, cpu_milli, free)
        found = self._stranded.get(key)
        if found is None:
            if len(self._stranded) > _MOST_KEPT:
                self._stranded.clear()
                self._taken.clear()
            found = self._stranded[key] = self._count(gpu_type, cpu_milli, free)
        return found

    def _count(self, gpu_type: str, cpu_milli: int, free: tuple[int, ...]) -> float:
        groups = self._list_groups(gpu_type)
        whole = free.count(WHOLE)
        partly = [milli for milli in free if 0 < milli < WHOLE]
        known = self._taken.setdefault((gpu_type, cpu_milli), [{} for _ in groups])
        taken = 0.0
        for group, by_times in zip(groups, known, strict=True):
            times = whole * (WHOLE // group.gpu_milli) // group.gpus
            if group.gpu_milli < WHOLE:
                for milli in partly:
                    times += milli // group.gpu_milli
            if times:
                found = by_times.get(times)
                if found is None:
                    found = by_times[times] = group.take(cpu_milli, times)
                taken += found
        return sum(free) - taken

    def _list_groups(self, gpu_type: str) -> tuple[_Group, ...]:
        groups = self._groups.get(gpu_type)
        if groups is None:
            found: dict[tuple[int, int], dict[int, float]] = {}
            for demand, weight in self._typical.items():
                if demand.takes(gpu_type):
                    cores = found.setdefault((demand.gpus, demand.gpu_milli), {})
                    cores[demand.cpu_milli] = cores.get(demand.cpu_milli, 0.0) + weight / self._total
            groups = tuple(_Group(*asked, tuple(cores.items())) for asked, cores in found.items())
            self._groups[gpu_type] = groups
        return groups
