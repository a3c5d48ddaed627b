"""Runs that wait, in lines of those that ask the same of the same tenant."""

from __future__ import annotations

from collections.abc import Container, Iterator
from heapq import heapify, heappop, heappush
from itertools import count

import msgspec

from mainspring.compute.scheduling.demands import Demand


class Job(msgspec.Struct):
    """A run, as decisions see it.

    Attributes
    ----------
    run_id : str
        Unique.
    tenant : str
        Path of who pays for it.
    demand : Demand
        What it asks.
    submitted_s : float
        When it came.
    expected_s : float or None
        How long it will run, where somebody knows.
    preemptible : bool
        It goes on from a checkpoint when it is ended.
    used_gpu_s : float
        Device seconds of its earlier attempts.
    """

    run_id: str
    tenant: str
    demand: Demand
    submitted_s: float
    expected_s: float | None = None
    preemptible: bool = True
    used_gpu_s: float = 0.0


Rank = tuple[float, float, str]
_Entry = tuple[Rank, int, Job]


class Backlog:
    """What waits.

    Notes
    -----
    Within a line runs are in order of their rank, so only the heads of lines are compared: a decision costs what the
    lines are, not the runs. A run that leaves is forgotten when its line comes to it.
    """

    def __init__(self) -> None:
        self._numbers = count()
        self._lines: dict[str, dict[Demand, list[_Entry]]] = {}
        self._waiting: dict[str, Job] = {}
        self._counts: dict[Demand, int] = {}
        self._oldest: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._waiting

    def __iter__(self) -> Iterator[Job]:
        return iter(self._waiting.values())

    def add(self, job: Job, rank: Rank) -> None:
        """Let a run wait; the least rank is the first of its line."""
        self._waiting[job.run_id] = job
        self._counts[job.demand] = self._counts.get(job.demand, 0) + 1
        heappush(self._lines.setdefault(job.tenant, {}).setdefault(job.demand, []), (rank, next(self._numbers), job))
        heappush(self._oldest, (job.submitted_s, job.run_id))

    def remove(self, run_id: str) -> Job | None:
        """Take a run out, wherever it stands; None when it does not wait."""
        job = self._waiting.pop(run_id, None)
        if job is not None:
            self._counts[job.demand] -= 1
            if not self._counts[job.demand]:
                del self._counts[job.demand]
        return job

    def list_demands(self) -> list[Demand]:
        """Return what those that wait ask, each once."""
        return [*self._counts]

    def list_tenants(self) -> list[str]:
        """Return who has, or lately had, runs that wait."""
        return [*self._lines]

    def first(self, tenant: str, demands: Container[Demand]) -> tuple[Rank, Job] | None:
        """Return the first run of a tenant that asks one of some demands."""
        found: _Entry | None = None
        lines = self._lines.get(tenant, {})
        gone = []
        for demand, line in lines.items():
            if demand in demands:
                while line and self._waiting.get(line[0][2].run_id) is not line[0][2]:
                    heappop(line)  # it has left; an entry is that of a run only while it is the same job
                if not line:
                    gone.append(demand)
                elif found is None or line[0] < found:
                    found = line[0]
        for demand in gone:
            del lines[demand]
        if not lines:
            self._lines.pop(tenant, None)
        return None if found is None else (found[0], found[2])

    def oldest(self) -> Job | None:
        """Return the run that came first."""
        if len(self._oldest) > 2 * len(self._waiting) + 64:
            self._oldest = [(job.submitted_s, job.run_id) for job in self._waiting.values()]
            heapify(self._oldest)
        while self._oldest:
            job = self._waiting.get(self._oldest[0][1])
            if job is not None:
                return job
            heappop(self._oldest)
        return None
