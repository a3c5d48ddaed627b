"""The place of each run that waits, if they all could start one after the other."""

from __future__ import annotations

from collections import defaultdict
from heapq import heapify, heappop, heappush, nsmallest

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.state import State


def list_in_line(state: State, now: float, limit: int | None = None) -> list[Job]:
    """Return the runs that wait in the order in which they would be looked at.

    Parameters
    ----------
    state : State
        It is as it was when this returns.
    now : float
        Seconds.
    limit : int, optional
        So many of them; None: all.

    Returns
    -------
    list of Job
        The first in line first; what each would take is counted for its tenant before the next is chosen.

    Notes
    -----
    Cost: sorting what waits.
    """
    waiting: dict[str, list[Job]] = defaultdict(list)
    for job in state.backlog:
        waiting[job.tenant].append(job)
    most = len(state.backlog) if limit is None else min(limit, len(state.backlog))
    lines = {tenant: nsmallest(most, jobs, key=state.rank)[::-1] for tenant, jobs in waiting.items()}
    heap = [(state.key(line[-1], now), tenant) for tenant, line in lines.items()]
    heapify(heap)
    found: list[Job] = []
    try:
        while heap and len(found) < most:
            key, tenant = heappop(heap)
            line = lines[tenant]
            now_key = state.key(line[-1], now)
            if now_key > key and heap and now_key > heap[0][0]:
                heappush(heap, (now_key, tenant))
                continue
            found.append(line.pop())
            state.shares.start(tenant, found[-1].demand, now)
            if line:
                heappush(heap, (state.key(line[-1], now), tenant))
    finally:
        for job in found:
            state.shares.end(job.tenant, job.demand, now)
    return found
