"""Whose turn it is among those that wait: one run after the other, while a decision is taken."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

from mainspring.compute.scheduling.backlog import Job, Rank
from mainspring.compute.scheduling.demands import Demand
from mainspring.compute.scheduling.state import State

_Key = tuple[float, tuple[float, ...], Rank]


class Turns:
    """The order in which the runs that wait are looked at.

    Who has used little goes before who has used much, whoever's they are, where the policy tells them apart: so one
    tenant's many short runs do not wait for another's long ones. Among equals the tenant goes first that has had the
    least of its share, and of a tenant the first of its runs.

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
        self._by_length = state.policy.order == "attained"
        self._alone = state.policy.tenants == "alone"
        self._open = set(demands)
        self._heap: list[tuple[_Key, str]] = []
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

    def close(self, demand: Demand) -> None:
        """Pass over the runs that ask so much from now on."""
        self._open.discard(demand)

    def _find(self, tenant: str) -> tuple[_Key, Job] | None:
        found = self._state.backlog.first(tenant, self._open)
        if found is None:
            return None
        rank, job = found
        score = () if self._alone else self._state.shares.score(tenant, self._now)
        return (rank[0] if self._by_length else 0.0, score, rank), job
