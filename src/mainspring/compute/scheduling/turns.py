"""Whose turn it is among those that wait: one run after the other, while a decision is taken."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.demands import Demand
from mainspring.compute.scheduling.state import Key, State


class Turns:
    """The order in which the runs that wait are looked at.

    Urgent ones go first, then who is within its guarantee, then the greater priority. Then who has used little goes
    before who has used much, whoever's they are, where the policy tells them apart: so one tenant's many short runs do
    not wait for another's long ones. Among equals the tenant goes first that has had the least of its share, and of a
    tenant the first of its runs.

    Parameters
    ----------
    state : State
        What is decided on.
    now : float
        Seconds.
    demands : iterable of Demand
        Runs that ask anything else are passed over.

    Notes
    -----
    While a decision is taken shares and ranks only grow, so a tenant's place in the order is found anew only when its
    turn comes: a turn costs the lines of one tenant.
    """

    def __init__(self, state: State, now: float, demands: Iterable[Demand]) -> None:
        self._state = state
        self._now = now
        self._open = set(demands)
        self._closed: dict[str, set[Demand]] = {}
        self._heap: list[tuple[Key, str]] = []
        if self._open:
            tenants = state.backlog.list_tenants()
            self._heap = [(found[0], tenant) for tenant in tenants if (found := self._find(tenant)) is not None]
            heapify(self._heap)

    def next(self) -> Job | None:
        """Return the run whose turn it is; the same one until it has left the backlog or its demand was closed."""
        while self._heap:
            key, tenant = self._heap[0]
            found = self._find(tenant)
            if found is None:
                heappop(self._heap)
            elif found[0] > key:
                heappop(self._heap)
                heappush(self._heap, (found[0], tenant))
            else:
                return found[1]
        return None

    def close(self, demand: Demand, tenant: str | None = None) -> None:
        """Pass over the runs that ask so much from now on, of a tenant or of all."""
        if tenant is None:
            self._open.discard(demand)
        else:
            self._closed.setdefault(tenant, set()).add(demand)

    def _find(self, tenant: str) -> tuple[Key, Job] | None:
        closed = self._closed.get(tenant)
        found = self._state.backlog.first(tenant, self._open - closed if closed else self._open)
        if found is None:
            return None
        return self._state.key(found[1], self._now), found[1]
