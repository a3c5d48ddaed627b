"""All that a decision looks at, kept up as runs come and go."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from random import Random

import msgspec

from mainspring.compute.scheduling.backlog import Backlog, Job, Rank
from mainspring.compute.scheduling.cluster import Cluster, Score
from mainspring.compute.scheduling.demands import WHOLE, Machine, Spot
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.placements import descend, find_at_random, fit_best
from mainspring.compute.scheduling.policies import Policy
from mainspring.compute.scheduling.shares import Shares


class Running(msgspec.Struct):
    """A run that has its place.

    Attributes
    ----------
    job : Job
        The run.
    spots : tuple of Spot
        Where.
    since_s : float
        Since when, in this attempt.
    """

    job: Job
    spots: tuple[Spot, ...]
    since_s: float

    def used_gpu_s(self, now: float) -> float:
        """Return the device seconds of all its attempts."""
        return self.job.used_gpu_s + max(0.0, now - self.since_s) * self.job.demand.gpu_total_milli / WHOLE


class State:
    """A cluster, who waits, who runs, and what each tenant has had.

    Parameters
    ----------
    machines : sequence of Machine
        The cluster.
    policy : Policy
        How decisions are taken.
    typical : Mix, optional
        What is usually asked; a placement that looks at fragments needs it.
    seed : int, default 0
        Of what is left to chance, with placement ``random``.

    Attributes
    ----------
    running : dict of str to Running
        By run.
    kept : tuple of str or None
        The run that machines are kept for, with their names.
    calm_until_s, turn_after_s : float
        No run is preempted before; for no other run machines are kept before.

    Notes
    -----
    The same object serves the live queue and the simulator; time is only ever given to it. Not thread-safe.
    """

    def __init__(
        self, machines: Sequence[Machine], policy: Policy, typical: Mix | None = None, *, seed: int = 0
    ) -> None:
        self.policy = policy
        self.machines = {machine.name: machine for machine in machines}
        score: Score = descend(typical or Mix({})) if policy.placement == "mainspring" else fit_best(machines)
        self.cluster = Cluster(machines, score)
        self.find = self.cluster.find
        if policy.placement == "random":
            self.find = partial(find_at_random, self.cluster, randomness=Random(seed))
        half_life_s = policy.half_life_s if policy.tenants == "remembered" else 0.0
        self.shares = Shares(list(machines), half_life_s)
        self.backlog = Backlog()
        self.running: dict[str, Running] = {}
        self.kept: tuple[str, tuple[str, ...]] | None = None
        self.calm_until_s = 0.0
        self.turn_after_s = 0.0

    def submit(self, job: Job) -> None:
        """Let a run wait.

        Raises
        ------
        ValueError
            It waits or runs already.
        """
        if job.run_id in self.backlog or job.run_id in self.running:
            raise ValueError(f"run {job.run_id} is there already")
        self.backlog.add(job, self._rank(job))

    def start(self, job: Job, spots: tuple[Spot, ...], now: float) -> None:
        """Give a run that waits its place."""
        self.cluster.place(job.run_id, job.demand, spots)
        self.backlog.remove(job.run_id)
        self.shares.start(job.tenant, job.demand, now)
        self.running[job.run_id] = Running(job, spots, now)

    def stop(self, run_id: str, now: float) -> Running | None:
        """Take out a run that has ended, was cancelled or preempted; None when it neither waits nor runs."""
        self.backlog.remove(run_id)
        running = self.running.pop(run_id, None)
        if running is not None:
            self.cluster.release(run_id)
            self.shares.end(running.job.tenant, running.job.demand, now)
        return running

    def is_long(self, used_gpu_s: float) -> bool:
        """Tell whether a run that has used so much counts as long."""
        return self.policy.order == "attained" and used_gpu_s >= self.policy.threshold_gpu_s

    def _rank(self, job: Job) -> Rank:
        if self.policy.order == "duration":
            return (job.expected_s if job.expected_s is not None else float("inf"), job.submitted_s, job.run_id)
        return (float(self.is_long(job.used_gpu_s)), job.submitted_s, job.run_id)
