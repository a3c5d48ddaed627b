"""All that a decision looks at, kept up as runs come and go."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random

import msgspec

from mainspring.compute.scheduling.backlog import Backlog, Job, Rank
from mainspring.compute.scheduling.cluster import Cluster, Free, Score
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Spot
from mainspring.compute.scheduling.entitlements import Entitlement
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.placements import descend, find_at_random, fit_best
from mainspring.compute.scheduling.policies import Policy
from mainspring.compute.scheduling.renting import Renting
from mainspring.compute.scheduling.shares import Shares

Key = tuple[bool, bool, int, float, tuple[float, ...], Rank]
"""Of a run among those of all tenants, the least first: not urgent, beyond what is guaranteed, less than the greatest
priority, how long it is, what its tenant has had, and its rank."""


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
    saved_s : float or None
        When it made its last checkpoint, where somebody knows.
    gives_way : str
        To which run, or why, it gives way: it was told to end, and keeps its place until it has. Empty: it does not.
    """

    job: Job
    spots: tuple[Spot, ...]
    since_s: float
    saved_s: float | None = None
    gives_way: str = ""

    def used_gpu_s(self, now: float) -> float:
        """Return the device seconds of all its attempts."""
        return self.job.used_gpu_s + max(0.0, now - self.since_s) * self.job.demand.gpu_total_milli / WHOLE

    def lost_gpu_s(self, now: float) -> float:
        """Return the device seconds that would be done again; 0 when it has checkpoints and nobody knows of when."""
        if self.job.saves and self.saved_s is None:
            return 0.0
        since_s = max(self.since_s, self.saved_s or 0.0)
        return max(0.0, now - since_s) * self.job.demand.gpu_total_milli / WHOLE


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
    agreed : mapping of str to Entitlement, optional
        Tenant -> what was agreed about its part.
    seed : int, default 0
        Of what is left to chance, with placement ``random``.

    Attributes
    ----------
    running : dict of str to Running
        By run.
    kept : tuple of str or None
        The run that machines are kept for, with their names.
    promised : dict of str to tuple of str
        Run that waits -> machines on which others give way to it.
    held : set of str
        Machines of which something is held until the next decision.
    lent : set of str
        Runs whose cores others may use.
    renting : Renting
        What costs something, and whose money is spent.
    room : dict of str to int
        Pool -> how many more runs may start there, where that is bounded.
    calm_until_s, turn_after_s : float
        No long run is preempted before; for no other run machines are kept before.
    calm_tenants : dict of str to float
        Tenant -> before when it makes no others give way.
    planned_s : float
        When was last looked what could give way.

    Notes
    -----
    The same object serves the live queue and the simulator; time is only ever given to it. Not thread-safe.
    """

    def __init__(
        self,
        machines: Sequence[Machine],
        policy: Policy,
        typical: Mix | None = None,
        agreed: Mapping[str, Entitlement] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.policy = policy
        self.agreed = dict(agreed or {})
        self.machines = {machine.name: machine for machine in machines}
        score: Score = descend(typical or Mix({})) if policy.placement == "mainspring" else fit_best(machines)
        self.cluster = Cluster(machines, score)
        self.find = self.cluster.find
        if policy.placement == "random":
            self.find = partial(find_at_random, self.cluster, randomness=Random(seed))
        half_life_s = policy.half_life_s if policy.tenants == "remembered" else 0.0
        self.shares = Shares(list(machines), half_life_s, self.agreed)
        self.backlog = Backlog()
        self.running: dict[str, Running] = {}
        self.kept: tuple[str, tuple[str, ...]] | None = None
        self.promised: dict[str, tuple[str, ...]] = {}
        self.held: set[str] = set()
        self._kept_back: set[str] = set()
        self.lent: set[str] = set()
        self.renting = Renting(machines)
        self.room: dict[str, int] = {}
        self.calm_until_s = 0.0
        self.calm_tenants: dict[str, float] = {}
        self.planned_s = -math.inf
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
        self.backlog.add(job, self.rank(job))

    def start(self, job: Job, spots: tuple[Spot, ...], now: float) -> None:
        """Give a run that waits its place."""
        rented = self.renting.find_pool(spots)
        self.cluster.place(job.run_id, job.demand._replace(pool=rented) if rented else job.demand, spots)
        self.renting.start(spots)
        pool = self.machines[spots[0].machine].pool
        if pool in self.room:
            self.room[pool] -= 1
            if not self.room[pool]:
                self._close(pool, closed=True)
        self.backlog.remove(job.run_id)
        self.shares.start(job.tenant, job.demand, now)
        self.running[job.run_id] = Running(job, spots, now)

    def note(self, job: Job, spots: tuple[Spot, ...], since_s: float, now: float) -> None:
        """Count a run that was given its place before this state was made."""
        self.resume(Running(job, spots, since_s), now)

    def resume(self, running: Running, now: float) -> None:
        """Count a run as it was before it was stopped."""
        job = running.job
        self.cluster.note(job.run_id, job.demand, running.spots)
        self.renting.start(running.spots)
        self.shares.start(job.tenant, job.demand, now)
        self.running[job.run_id] = running

    def stop(self, run_id: str, now: float) -> Running | None:
        """Take out a run that has ended, was cancelled or preempted; None when it neither waits nor runs."""
        self.backlog.remove(run_id)
        self.lend(run_id, now, lent=False)
        running = self.running.pop(run_id, None)
        if running is not None:
            self.cluster.release(run_id)
            self.renting.end(running.spots, now)
            self.shares.end(running.job.tenant, running.job.demand, now)
        return running

    def lend(self, run_id: str, now: float, *, lent: bool = True) -> None:
        """Let others use the cores of a run that only waits for them, or no longer."""
        if run_id in self.running and lent != (run_id in self.lent):
            self.lent ^= {run_id}
            self.cluster.lend(run_id, lent=lent)
            job = self.running[run_id].job
            cores = Demand(job.demand.cpu_milli, nodes=job.demand.nodes)
            (self.shares.end if lent else self.shares.start)(job.tenant, cores, now)

    def allow(self, room: Mapping[str, int]) -> None:
        """Say in which pools how many more runs may start; elsewhere as many as fit."""
        for pool in {*self.room, *room}:
            closed = room.get(pool, 1) <= 0
            if closed != (self.room.get(pool, 1) <= 0):
                self._close(pool, closed=closed)
        self.room = dict(room)

    def bars(self, job: Job) -> bool:
        """Tell whether its tenant's limit or budget forbids a run to start."""
        return bool(self.find_limit(job)) or self.renting.bars(job)

    def find_limit(self, job: Job) -> str:
        """Return whose limit a run would exceed; empty: nobody's."""
        return self.shares.find_limit(job.tenant, job.demand) if self.agreed else ""

    def keep(self, name: str, demand: Demand) -> None:
        """Leave to others of a machine only what a demand does not ask, until the next decision."""
        self._kept_back.add(name)
        self.cluster.keep(name, demand)

    def hold(self, free: Free, demand: Demand) -> None:
        """Leave to others nothing of what a demand lacks on a machine, until the next decision."""
        if free.machine.name in self._kept_back:
            return
        self.held.add(free.machine.name)
        self.cluster.keep(free.machine.name, free.list_lacking(demand))

    def reserve(self, free: Free, demand: Demand) -> None:
        """Leave to others of a machine nothing of what a demand asks, until the next decision."""
        if free.machine.name in self._kept_back:
            return
        before = free.kept or Demand(0)
        self.held.add(free.machine.name)
        asked = (before.cpu_milli + demand.cpu_milli, before.memory_bytes + demand.memory_bytes)
        self.cluster.keep(free.machine.name, Demand(*asked, before.gpus + demand.gpus))

    def promise(self, run_id: str, spots: tuple[Spot, ...]) -> None:
        """Hold for a run that waits what others leave to it on the machines of some spots."""
        self.promised[run_id] = tuple({*self.promised.get(run_id, ()), *(spot.machine for spot in spots)})

    def remember(self, before: State) -> None:
        """Take over what tenants have had, and what was promised, from a state of the same cluster before."""
        self.shares.recall(before.shares.tell_used())
        self.renting.used_at, self.renting.spent = {**before.renting.used_at}, before.renting.spent
        self.promised = dict(before.promised)
        self.calm_until_s, self.calm_tenants = before.calm_until_s, dict(before.calm_tenants)

    def let_go(self) -> None:
        """Leave everything to everybody again."""
        for name in self._kept_back:
            self.cluster.keep(name, None)
        self._kept_back.clear()
        self.let_go_held()

    def let_go_held(self) -> None:
        """Leave to everybody again what was held."""
        for name in self.held:
            self.cluster.keep(name, None)
        self.held.clear()

    def _close(self, pool: str, *, closed: bool) -> None:
        for name, machine in self.machines.items():
            if machine.pool == pool:
                self.cluster.drain(name, drained=closed)

    def is_long(self, used_gpu_s: float) -> bool:
        """Tell whether a run that has used so much counts as long."""
        return self.policy.order == "attained" and used_gpu_s >= self.policy.threshold_gpu_s

    def key(self, job: Job, now: float) -> Key:
        """Return by what runs of different tenants are compared, the least first."""
        rank, shares = self.rank(job), self.shares
        alone = self.policy.tenants == "alone"
        return (
            rank[0],
            not (self.agreed and shares.is_due(job.tenant, job.demand)),
            -shares.rank(job.tenant) if self.agreed else 0,
            rank[1] if self.policy.order == "attained" else 0.0,
            () if alone else shares.score(job.tenant, now),
            rank,
        )

    def rank(self, job: Job) -> Rank:
        """Return by what the runs of one tenant are compared, the least first."""
        length = float(self.is_long(job.used_gpu_s))
        if self.policy.order == "duration":
            length = job.expected_s if job.expected_s is not None else float("inf")
        return (not job.urgent, length, job.submitted_s, job.run_id)
