"""What must not happen in a played trace, counted, and what its rented machines cost."""

from __future__ import annotations

from mainspring.compute.scheduling.bursting import look_at_home
from mainspring.compute.scheduling.renting import price
from mainspring.compute.scheduling.state import Running, State


class Watch:
    """Looks at what has begun once a decision was taken.

    Parameters
    ----------
    state : State
        What is watched.

    Attributes
    ----------
    off_site : int
        Starts outside the zone that a run may not leave.
    idle_bursts : int
        Starts on rented machines while home had something free of what was asked.
    cost : float
        Of rented machines, for the time that runs had them.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.off_site = self.idle_bursts = 0
        self.cost = 0.0

    def begin(self, running: Running) -> None:
        """Look at a run that has begun in the decision that was just taken."""
        demand = running.job.demand
        machines = [self._state.machines[spot.machine] for spot in running.spots]
        self.off_site += any(demand.zone not in {"", machine.zone} for machine in machines)
        if not demand.pool and any(machine.rent is not None for machine in machines):
            home = look_at_home(self._state.cluster, demand)
            self.idle_bursts += home.could_hold and home.free > 0

    def end(self, running: Running, now: float) -> None:
        """Pay for a run that has left its place."""
        machines = [self._state.machines[spot.machine] for spot in running.spots]
        rate = sum(price(machine, running.job.demand) for machine in machines)
        self.cost += rate * (now - running.since_s) / 3600
