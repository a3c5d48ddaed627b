"""Runs that wait, in lines of those that ask the same of the same tenant."""

from __future__ import annotations

from collections.abc import Iterator
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
        heappush(self._lines.setdefault(job.tenant, {}).setdefault(job.demand, []), (rank, next(self._numbers), job))
        heappush(self._oldest, (job.submitted_s, job.run_id))

    def remove(self, run_id: str) -> Job | None:
        """Take a run out, wherever it stands; None when it does not wait."""
        return self._waiting.pop(run_id, None)

    def list_tenants(self) -> list[str]:
        """Return who has runs that wait."""
        for tenant in [tenant for tenant in self._lines if not self._sweep(tenant)]:
            del self._lines[tenant]
        return [*self._lines]

    def first(self, tenant: str, blocked: set[Demand]) -> tuple[Rank, Job] | None:
        """Return the first run of a tenant that asks none of what is blocked."""
        found: _Entry | None = None
        for demand, line in self._lines.get(tenant, {}).items():
            if demand in blocked:
                continue
            self._trim(line)
            if line and (found is None or line[0] < found):
                found = line[0]
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

    def _sweep(self, tenant: str) -> bool:
        lines = self._lines[tenant]
        for demand in [demand for demand, line in lines.items() if not self._trim(line)]:
            del lines[demand]
        return bool(lines)

    def _trim(self, line: list[_Entry]) -> bool:
        """Drop those that left from the head of a line; an entry is that of a run only while it is the same job."""
        while line and self._waiting.get(line[0][2].run_id) is not line[0][2]:
            heappop(line)
        return bool(line)
