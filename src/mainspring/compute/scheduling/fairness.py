"""How evenly tenants get what they are entitled to while they wait."""

from __future__ import annotations

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.state import State


class Fairness:
    """What tenants got of the devices, of what they were entitled to.

    At each moment the devices are divided equally among the tenants that run or wait, none gets more than it asks, and
    what one leaves is divided among the others (max-min fairness). While a tenant has runs that wait, what it holds is
    counted, at most its part, and its part. A tenant that never waited is left out.

    Parameters
    ----------
    state : State
        What is watched.

    Attributes
    ----------
    wanted_milli : int
        Thousandths of devices that those who wait ask for.
    """

    def __init__(self, state: State) -> None:
        self._whole = state.cluster.gpu_milli
        self._held: dict[str, int] = {}
        self._waits: dict[str, int] = {}
        self._got: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self.wanted_milli = 0
        self._at = 0.0
        self._parts: dict[str, float] | None = None

    def wait(self, job: Job) -> None:
        """Count a run that waits from now on."""
        self._waits[job.tenant] = self._waits.get(job.tenant, 0) + job.demand.gpu_total_milli
        self.wanted_milli += job.demand.gpu_total_milli
        self._parts = None

    def start(self, job: Job) -> None:
        """Count a run that waited and has its place now."""
        self._waits[job.tenant] -= job.demand.gpu_total_milli
        self.wanted_milli -= job.demand.gpu_total_milli
        self._held[job.tenant] = self._held.get(job.tenant, 0) + job.demand.gpu_total_milli
        self._parts = None

    def end(self, job: Job) -> None:
        """Count a run that has left its place."""
        self._held[job.tenant] -= job.demand.gpu_total_milli
        self._parts = None

    def pass_to(self, now: float) -> None:
        """Let time pass, in which nothing changes."""
        span = now - self._at
        self._at = now
        waiting = [tenant for tenant, milli in self._waits.items() if milli > 0]
        if span <= 0 or not waiting:
            return
        if self._parts is None:
            self._parts = self._divide()
        for tenant in waiting:
            part = self._parts[tenant]
            self._due[tenant] = self._due.get(tenant, 0.0) + span * part
            self._got[tenant] = self._got.get(tenant, 0.0) + span * min(self._held.get(tenant, 0), part)

    def jain(self) -> float:
        """Return Jain's index of the rates: 1 when all got the same part of what they were entitled to.

        Source: Jain, Chiu and Hawe, "A quantitative measure of fairness", DEC TR-301, 1984.
        """
        rates = [self._got[tenant] / due for tenant, due in self._due.items() if due > 0]
        squares = sum(rate * rate for rate in rates)
        return sum(rates) ** 2 / (len(rates) * squares) if squares else 1.0

    def _divide(self) -> dict[str, float]:
        asked = {
            tenant: self._held.get(tenant, 0) + self._waits.get(tenant, 0) for tenant in {*self._held, *self._waits}
        }
        parts: dict[str, float] = {}
        left, open_ = float(self._whole), sorted((milli, tenant) for tenant, milli in asked.items() if milli > 0)
        for number, (milli, tenant) in enumerate(open_):
            parts[tenant] = min(milli, left / (len(open_) - number))
            left -= parts[tenant]
        return parts
