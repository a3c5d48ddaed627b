"""Which machines cost something, which of them are rented now, and whose money is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Rent, Spot
from mainspring.domain.units import format_duration


def price(machine: Machine, demand: Demand) -> float:
    """Return what an hour of one node's part of a demand costs: the larger of its parts of cores and of devices.

    Examples
    --------
    >>> price(Machine("c1", 8000, 0, 4, rent=Rent(10.0)), Demand(1000, gpus=2))
    5.0
    """
    if machine.rent is None:
        return 0.0
    cores = demand.cpu_milli / machine.cpu_milli if machine.cpu_milli else 0.0
    devices = demand.gpus * demand.gpu_milli / (machine.gpus * WHOLE) if machine.gpus else 0.0
    return machine.rent.price * min(1.0, max(cores, devices))


class Renting:
    """The machines of a cluster that cost something, and whose money is spent.

    Parameters
    ----------
    machines : iterable of Machine
        Of the cluster.

    Attributes
    ----------
    rents : dict of str to Rent
        By pool, the cheapest first.
    spent : frozenset of str
        Paths of tenants whose budget is spent; whoever keeps the accounts sets it.
    used_at : dict of str to float
        When the last run of a machine ended.
    """

    def __init__(self, machines: Iterable[Machine]) -> None:
        rented = {machine.name: machine for machine in machines if machine.rent is not None}
        found = {machine.pool: machine.rent for machine in rented.values() if machine.rent is not None}
        self.rents: dict[str, Rent] = dict(sorted(found.items(), key=lambda each: (each[1].price, each[0])))
        self.spent: frozenset[str] = frozenset()
        self.used_at: dict[str, float] = {}
        self._machines = rented
        self._held: Counter[str] = Counter()

    def find_pool(self, spots: Iterable[Spot]) -> str:
        """Return the pool of a place that is rented; empty: none of it is."""
        return next((self._machines[spot.machine].pool for spot in spots if spot.machine in self._machines), "")

    def start(self, spots: Iterable[Spot]) -> None:
        """Count a run on the machines of its place."""
        self._held.update(spot.machine for spot in spots if spot.machine in self._machines)

    def end(self, spots: Iterable[Spot], now: float) -> None:
        """Count it no more."""
        for spot in spots:
            if spot.machine in self._machines:
                self._held[spot.machine] -= 1
                self.used_at[spot.machine] = now

    def is_open(self, name: str, now: float) -> bool:
        """Tell whether a machine is rented already: a run is there, or was until lately."""
        machine = self._machines[name]
        assert machine.rent is not None
        since = self.used_at.get(name)
        return self._held[name] > 0 or (since is not None and now - since < machine.rent.idle_s)

    def describe(self, pool: str, now: float) -> str:
        """Say which machines of a pool are rented now, and what it takes to rent another."""
        names = [name for name, machine in self._machines.items() if machine.pool == pool]
        used = sum(self._held[name] > 0 for name in names)
        idle = sum(self.is_open(name, now) for name in names) - used
        rent = self.rents.get(pool)
        if rent is None:
            return "none of its machines answers"
        after = f"a run that has waited {format_duration(rent.after_s)} rents one while home is full"
        if not used + idle:
            return f"given back; {after}" if any(name in self.used_at for name in names) else f"none; {after}"
        return f"{used} in use" + (f", {idle} idle, given back after {format_duration(rent.idle_s)}" if idle else "")

    def find_spent(self, tenant: str) -> str:
        """Return the path of a tenant, or above it, whose budget is spent; empty: none is."""
        parts = tenant.split("/")
        paths = ("/".join(parts[:length]) for length in range(1, len(parts) + 1))
        return next((path for path in paths if path in self.spent), "")

    def bars(self, job: Job) -> bool:
        """Tell whether a run asks for a pool by name that its tenant cannot pay for any more."""
        return job.demand.pool in self.rents and bool(self.find_spent(job.tenant))
