"""Machines and what is free of them, kept up as runs come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import TypeVar

from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Spot

T = TypeVar("T")

_MOST_LINES = 1024
"""Demands whose order of machines is kept; of more, the oldest is made anew when it comes again."""

_FAR = 1e9
"""What the score of a machine that is away is more than that of any other."""


class Free:
    """What is free of one machine.

    Attributes
    ----------
    machine : Machine
        The machine.
    cpu_milli, memory_bytes : int
        Free cores in thousandths, free memory.
    devices : list of int
        Thousandths that are free of each device.
    version : int
        Grows with each change.
    drained : bool
        Nothing new starts on it.
    kept : Demand or None
        What is kept back for a run that has waited too long: others get only what it does not ask.
    """

    __slots__ = ("cpu_milli", "devices", "drained", "kept", "machine", "memory_bytes", "version")

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.cpu_milli = machine.cpu_milli
        self.memory_bytes = machine.memory_bytes
        self.devices = [WHOLE] * machine.gpus
        self.version = 0
        self.drained = False
        self.kept: Demand | None = None

    def holds(self, demand: Demand) -> bool:
        """Tell whether it takes one node's part of a demand now; what is asked of nothing is there in any case."""
        return not self.drained and self.suits(demand) and not self.find_lack(demand)

    def suits(self, demand: Demand) -> bool:
        """Tell whether it may take a demand, by pool, zone and owner, and has devices of the type that it asks."""
        machine = self.machine
        if demand.pool != machine.pool and (demand.pool or machine.rent):
            return False
        if (demand.zone and demand.zone != machine.zone) or (machine.owner and machine.owner not in demand.owners):
            return False
        if demand.nodes > 1 and machine.alone:
            return False
        return not demand.gpus or demand.takes(machine.gpu_type)

    def find_lack(self, demand: Demand) -> str:
        """Return of what it has too little now: ``cpus``, ``gpus`` or ``memory``; empty: of nothing."""
        kept = self.kept
        if demand.cpu_milli and demand.cpu_milli > self.cpu_milli - (kept.cpu_milli if kept else 0):
            return "cpus"
        if demand.gpus and not self._has_devices(demand):
            return "gpus"
        if demand.memory_bytes and demand.memory_bytes > self.memory_bytes - (kept.memory_bytes if kept else 0):
            return "memory"
        return ""

    def list_lacking(self, demand: Demand) -> Demand:
        """Return what was kept back already and of a demand what the machine has too little of."""
        before = self.kept or Demand(0)
        short_gpus = demand.gpus and not self._has_devices(demand)
        return Demand(
            before.cpu_milli + (demand.cpu_milli if demand.cpu_milli > self.cpu_milli - before.cpu_milli else 0),
            before.memory_bytes
            + (demand.memory_bytes if demand.memory_bytes > self.memory_bytes - before.memory_bytes else 0),
            before.gpus + (demand.gpus if short_gpus else 0),
        )

    def list_choices(self, demand: Demand) -> Iterator[tuple[int, ...]]:
        """Yield the devices that a demand it holds could be given; of devices that are alike, the first only."""
        if demand.shares:
            seen: set[int] = set()
            for number, milli in self._list_open():
                if milli >= demand.gpu_milli and milli not in seen:
                    seen.add(milli)
                    yield (number,)
        elif demand.gpus:
            yield tuple(number for number, milli in self._list_open() if milli == WHOLE)[: demand.gpus]
        else:
            yield ()

    def _has_devices(self, demand: Demand) -> bool:
        if self.kept is not None and self.kept.gpus:
            return any(len(found) == demand.gpus for found in self.list_choices(demand))
        if demand.shares:
            return any(milli >= demand.gpu_milli for milli in self.devices)
        return self.devices.count(WHOLE) >= demand.gpus

    def _list_open(self) -> list[tuple[int, int]]:
        """Return the devices that are not kept back, with what is free of each; those are kept that are freest."""
        found = [*enumerate(self.devices)]
        if self.kept is not None and self.kept.gpus:
            found.sort(key=lambda each: (each[1], -each[0]))
            found = sorted(found[: len(found) - self.kept.gpus])
        return found


Score = Callable[[Free, Demand, tuple[int, ...]], float]
"""How bad it is to give a demand these devices of a machine; the least is taken. It must depend on nothing else."""


class Cluster:
    """Machines, what runs on them, and where the next run would go.

    Parameters
    ----------
    machines : iterable of Machine
        With names of their own.
    score : callable
        See `Score`.

    Notes
    -----
    For each demand that has come the machines are kept in order of their score. A change of a machine makes its
    score be found anew when a demand asks the next time, so that `find` costs what has changed since, not the
    size of the cluster. Not thread-safe.
    """

    def __init__(self, machines: Iterable[Machine], score: Score) -> None:
        self._score = score
        self._free = [Free(machine) for machine in machines]
        self._numbers = {free.machine.name: number for number, free in enumerate(self._free)}
        self._lines: dict[Demand, _Line] = {}
        self._changes: list[int] = []
        self._forgotten = 0
        self._held: dict[str, tuple[Demand, tuple[Spot, ...]]] = {}
        self._lent: set[str] = set()
        self.gpu_milli = sum(free.machine.gpus for free in self._free) * WHOLE
        self.allocated_gpu_milli = 0

    def __iter__(self) -> Iterator[Free]:
        return iter(self._free)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._held

    def find(self, demand: Demand) -> tuple[Spot, ...] | None:
        """Return where a demand would be placed now; None: nowhere.

        A gang gets one spot on each of so many machines of one pool, or nothing.
        """
        line = self._take_line(demand)
        if demand.nodes == 1:
            best = line.first(self._free)
            return None if best is None else (Spot(self._free[best[0]].machine.name, best[1]),)
        chosen = line.list_first(self._free, demand.nodes)
        if len(chosen) < demand.nodes:
            return None
        return tuple(Spot(self._free[number].machine.name, devices) for number, devices in chosen)

    def place(self, run_id: str, demand: Demand, spots: tuple[Spot, ...]) -> None:
        """Give a run what it asks, where `find` said.

        Raises
        ------
        ValueError
            The run has a place, or a spot no room: a mistake of the caller, and nothing is given.
        """
        if run_id in self._held or len(spots) != demand.nodes or len({spot.machine for spot in spots}) != demand.nodes:
            raise ValueError(f"run {run_id} cannot be placed at {spots}")
        if not all(self._fits(demand, spot) for spot in spots):
            raise ValueError(f"there is no room for run {run_id} at {spots}")
        self.note(run_id, demand, spots)

    def note(self, run_id: str, demand: Demand, spots: tuple[Spot, ...]) -> None:
        """Count what a run has that has its place already, even where that is more than there is."""
        self._held[run_id] = (demand, spots)
        self._change(demand, spots, -1)

    def lend(self, run_id: str, *, lent: bool = True) -> None:
        """Let others use the cores of a run that only waits for them, or no longer."""
        if lent != (run_id in self._lent) and run_id in self._held:
            demand, spots = self._held[run_id]
            self._lent ^= {run_id}
            self._change(Demand(demand.cpu_milli), spots, 1 if lent else -1)

    def release(self, run_id: str) -> None:
        """Take back what a run has; nothing happens when it has nothing."""
        self.lend(run_id, lent=False)
        held = self._held.pop(run_id, None)
        if held is not None:
            self._change(*held, 1)

    def drain(self, name: str, *, drained: bool = True) -> None:
        """Start nothing new on a machine, or again."""
        number = self._numbers[name]
        self._free[number].drained = drained
        self._touch(number)

    def read_devices(self, name: str) -> tuple[int, ...]:
        """Return what is free of each device of a machine."""
        return tuple(self._free[self._numbers[name]].devices)

    def keep(self, name: str, demand: Demand | None) -> None:
        """Keep back on a machine what one node's part of a demand takes; None: nothing any more."""
        number = self._numbers[name]
        self._free[number].kept = demand
        self._touch(number)

    def could_hold(self, demand: Demand) -> bool:
        """Tell whether the cluster would hold a demand if it were empty, in a rented pool at the last."""
        rented = set() if demand.pool else {free.machine.pool for free in self._free if free.machine.rent is not None}
        asked = [demand, *(demand._replace(pool=pool) for pool in sorted(rented))]
        return any(self._could_hold(each) for each in asked)

    def _could_hold(self, demand: Demand) -> bool:
        holding = [free for free in self._free if Free(free.machine).holds(demand)]
        return bool(take_together(holding, demand.nodes, lambda free: free.machine.pool))

    def _fits(self, demand: Demand, spot: Spot) -> bool:
        free = self._free[self._numbers[spot.machine]]
        asked = demand.gpu_milli if demand.gpus else 0
        return (
            free.holds(demand)
            and len(set(spot.devices)) == demand.gpus
            and all(free.devices[each] >= asked for each in spot.devices)
        )

    def _change(self, demand: Demand, spots: tuple[Spot, ...], sign: int) -> None:
        for spot in spots:
            number = self._numbers[spot.machine]
            free = self._free[number]
            free.cpu_milli += sign * demand.cpu_milli
            free.memory_bytes += sign * demand.memory_bytes
            for device in spot.devices:
                free.devices[device] += sign * demand.gpu_milli
            self._touch(number)
        self.allocated_gpu_milli -= sign * demand.gpu_total_milli

    def _touch(self, number: int) -> None:
        self._free[number].version += 1
        self._changes.append(number)
        if len(self._changes) > max(4096, 8 * len(self._free)):
            half = len(self._changes) // 2
            del self._changes[:half]
            self._forgotten += half

    def _take_line(self, demand: Demand) -> _Line:
        line = self._lines.pop(demand, None)
        if line is None or line.seen < self._forgotten:
            line = _Line(demand, self._score)
            line.fill(self._free, range(len(self._free)))
        else:
            line.fill(self._free, set(self._changes[line.seen - self._forgotten :]))
        line.seen = self._forgotten + len(self._changes)
        self._lines[demand] = line
        if len(self._lines) > _MOST_LINES:
            del self._lines[next(iter(self._lines))]
        return line


class _Line:
    """The machines that hold a demand, the best first; what has changed since is dropped when it is met."""

    __slots__ = ("_demand", "_heap", "_score", "seen")

    def __init__(self, demand: Demand, score: Score) -> None:
        self._demand = demand
        self._score = score
        self._heap: list[tuple[float, int, int, tuple[int, ...]]] = []
        self.seen = 0

    def fill(self, free: list[Free], numbers: Iterable[int]) -> None:
        """Enter machines anew, those that have changed."""
        for number in numbers:
            each = free[number]
            if each.holds(self._demand):
                score, devices = min(
                    (self._score(each, self._demand, one), one) for one in each.list_choices(self._demand)
                )
                score += _FAR * each.machine.away
                heappush(self._heap, (score, number, each.version, devices))
        if len(self._heap) > max(64, 4 * len(free)):
            self._heap = [entry for entry in self._heap if free[entry[1]].version == entry[2]]
            heapify(self._heap)

    def first(self, free: list[Free]) -> tuple[int, tuple[int, ...]] | None:
        """Return the best machine and devices of it."""
        heap = self._heap
        while heap:
            _, number, version, devices = heap[0]
            if free[number].version == version:
                return number, devices
            heappop(heap)
        return None

    def list_first(self, free: list[Free], count: int) -> list[tuple[int, tuple[int, ...]]]:
        """Return so many machines of one pool, the best first; none when no pool has so many."""
        taken: list[tuple[float, int, int, tuple[int, ...]]] = []

        def pop() -> Iterator[tuple[float, int, int, tuple[int, ...]]]:
            while self.first(free) is not None:
                taken.append(heappop(self._heap))
                yield taken[-1]

        chosen = take_together(pop(), count, lambda entry: free[entry[1]].machine.pool)
        for entry in taken:
            heappush(self._heap, entry)
        return [(number, devices) for _, number, _, devices in chosen]


def take_together(found: Iterable[T], count: int, pool_of: Callable[[T], str]) -> list[T]:
    """Return the first so many of one pool; none when no pool has so many.

    Examples
    --------
    >>> take_together(["a1", "b1", "a2", "b2"], 2, lambda name: name[0])
    ['a1', 'a2']
    """
    pools: dict[str, list[T]] = {}
    for each in found:
        mine = pools.setdefault(pool_of(each), [])
        mine.append(each)
        if len(mine) >= count:
            return mine
    return []
