"""Runs that wait, in lines of those that ask the same of the same tenant."""

from __future__ import annotations

from collections.abc import Container, Iterator
from heapq import heappop, heappush
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
        It may be ended and begun again.
    used_gpu_s : float
        Device seconds of its earlier attempts.
    saves : bool
        It has a checkpoint to go on from, as far as is known.
    urgent : bool
        Others wait for it, so that it goes before all that are not.
    """

    run_id: str
    tenant: str
    demand: Demand
    submitted_s: float
    expected_s: float | None = None
    preemptible: bool = True
    used_gpu_s: float = 0.0
    saves: bool = True
    urgent: bool = False


Rank = tuple[bool, float, float, str]
"""Of a run among those of its tenant, the least first: not urgent, how long it is, when it came, its id."""

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
        self._oldest: dict[str, list[tuple[float, str]]] = {}

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
        oldest = self._oldest.setdefault(job.tenant, [])
        if len(oldest) > 2 * len(self._waiting) + 64:
            oldest[:] = sorted(entry for entry in {*oldest} if entry[1] in self._waiting)
        heappush(oldest, (job.submitted_s, job.run_id))

    def remove(self, run_id: str) -> Job | None:
        """Take a run out, wherever it stands; None when it does not wait."""
        job = self._waiting.pop(run_id, None)
        if job is not None:
            self._counts[job.demand] -= 1
            if not self._counts[job.demand]:
                del self._counts[job.demand]
        return job

    def get(self, run_id: str) -> Job | None:
        """Return a run that waits; None when it does not."""
        return self._waiting.get(run_id)

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

    def list_oldest(self) -> list[Job]:
        """Return of each tenant the run that came first, that of all first."""
        found = [job for tenant in [*self._oldest] if (job := self._find_oldest(tenant)) is not None]
        return sorted(found, key=lambda job: (job.submitted_s, job.run_id))

    def _find_oldest(self, tenant: str) -> Job | None:
        line = self._oldest[tenant]
        while line:
            job = self._waiting.get(line[0][1])
            if job is not None:
                return job
            heappop(line)
        del self._oldest[tenant]
        return None
