"""A trace of runs, played through `decide` as the live queue would, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush

import msgspec

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.bursting import find_due_s
from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine
from mainspring.compute.scheduling.entitlements import Entitlement
from mainspring.compute.scheduling.fairness import Fairness
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.policies import Policy
from mainspring.compute.scheduling.state import Running, State
from mainspring.compute.scheduling.watching import Watch


class Arrival(msgspec.Struct, frozen=True):
    """One run of a trace.

    Attributes
    ----------
    run_id, tenant, demand : str, str, Demand
        Who asks what.
    at_s : float
        When it comes.
    duration_s : float
        How long it runs when it has its place, >= 0.
    waited_s : float or None
        How long it waited where it comes from; None: nobody knows.
    """

    run_id: str
    tenant: str
    demand: Demand
    at_s: float
    duration_s: float
    waited_s: float | None = None


class Course(msgspec.Struct):
    """What became of one run of a trace.

    Attributes
    ----------
    began_s, ended_s : float
        Its first start and its end; NaN: it never did.
    attempts : int
        Starts.
    lost_gpu_s : float
        Device seconds that were done twice.
    """

    arrival: Arrival
    began_s: float = math.nan
    ended_s: float = math.nan
    attempts: int = 0
    lost_gpu_s: float = 0.0
    done_s: float = 0.0


class Simulated(msgspec.Struct, frozen=True):
    """A trace that was played to its end.

    Attributes
    ----------
    courses : list of Course
        In the order of arrival; without those that were refused.
    refused : int
        Runs that the cluster could never hold.
    preemptions, decisions : int
        How often a run gave way, and how often was decided.
    gpu_s_held, gpu_s_wanted, span_s : float
        Device seconds that were given out; that were idle while runs waited that asked for them; and from the first
        arrival to the last end.
    jain : float
        Of tenants, see `Fairness`.
    off_site, idle_bursts, cost : int, int, float
        See `Watch`.
    """

    courses: list[Course]
    refused: int
    preemptions: int
    decisions: int
    gpu_s_held: float
    gpu_s_wanted: float
    span_s: float
    jain: float
    off_site: int = 0
    idle_bursts: int = 0
    cost: float = 0.0


def simulate(
    machines: Sequence[Machine],
    arrivals: Sequence[Arrival],
    policy: Policy,
    *,
    seed: int = 0,
    checkpoint_s: float = 600.0,
    restart_s: float = 60.0,
    agreed: Mapping[str, Entitlement] | None = None,
    told: Callable[[int], object] = lambda _: None,
) -> Simulated:
    """Play a trace.

    Parameters
    ----------
    machines : sequence of Machine
        The cluster.
    arrivals : sequence of Arrival
        In any order.
    policy : Policy
        How decisions are taken.
    seed : int, default 0
        Of what is left to chance.
    checkpoint_s : float, default 600
        A run that gives way loses what it did since the last multiple of this; 0: nothing.
    restart_s : float, default 60
        What it takes to go on from a checkpoint.
    agreed : mapping of str to Entitlement, optional
        Tenant -> what was agreed about its part.
    told : callable, optional
        Called with the number of runs that have ended, now and then.

    Returns
    -------
    Simulated
        The same for the same arguments.
    """
    state = State(machines, policy, Mix.of(each.demand for each in arrivals), agreed, seed=seed)
    play = Play(state, arrivals, checkpoint_s=checkpoint_s, restart_s=restart_s)
    while play.step():
        if not play.ended % 1000:
            told(play.ended)
    return play.result()


class Play:
    """One course of a trace; `step` goes on to the next moment at which anything happens.

    Parameters
    ----------
    state : State
        What is decided on; runs that it holds or lets wait already are told of by `go_on` and `wait`.
    arrivals : sequence of Arrival
        What comes, in any order.
    checkpoint_s, restart_s : float
        See `simulate`.
    now : float, optional
        When it begins; default: with the first that comes.
    """

    def __init__(
        self,
        state: State,
        arrivals: Sequence[Arrival],
        *,
        checkpoint_s: float = 600.0,
        restart_s: float = 60.0,
        now: float | None = None,
    ) -> None:
        self.state = state
        self.fairness = Fairness(self.state)
        self.watch = Watch(self.state)
        self.ended = 0
        self._checkpoint_s, self._restart_s = checkpoint_s, restart_s
        self._fits: dict[Demand, bool] = {}
        ordered = sorted(arrivals, key=lambda each: (each.at_s, each.run_id))
        kept = [each for each in ordered if self._could_hold(each.demand)]
        self._refused = len(ordered) - len(kept)
        self._courses = {each.run_id: Course(each) for each in kept}
        self._events: list[tuple[float, int, str, int]] = [(each.at_s, 1, each.run_id, 0) for each in kept]
        self._preemptions = self._decisions = 0
        self._held_gpu_s = self._wanted_gpu_s = 0.0
        self._again_s = math.inf
        self.now = self._first = now if now is not None else kept[0].at_s if kept else 0.0

    def go_on(self, running: Running, left_s: float) -> None:
        """Let a run that has its place in the state go on for so long."""
        job = running.job
        lasts_s = self.now - running.since_s + left_s
        arrival = Arrival(job.run_id, job.tenant, job.demand, job.submitted_s, lasts_s)
        self._courses[job.run_id] = Course(arrival, running.since_s, attempts=1)
        heappush(self._events, (self.now + left_s, 0, job.run_id, 1))
        self.fairness.wait(job)
        self.fairness.start(job)

    def wait(self, job: Job, lasts_s: float) -> None:
        """Let one more run wait that will last so long."""
        self._courses[job.run_id] = Course(Arrival(job.run_id, job.tenant, job.demand, job.submitted_s, lasts_s))
        self._submit(job)
        self._again_s = self.now

    def step(self) -> bool:
        """Let everything of one moment happen, and decide; False once nothing is left."""
        due = min(self._events[0][0] if self._events else math.inf, self._again_s)
        if math.isinf(due):
            return False
        self.fairness.pass_to(due)
        self._held_gpu_s += (due - self.now) * self.state.cluster.allocated_gpu_milli / WHOLE
        idle_milli = self.state.cluster.gpu_milli - self.state.cluster.allocated_gpu_milli
        self._wanted_gpu_s += (due - self.now) * min(idle_milli, self.fairness.wanted_milli) / WHOLE
        self.now = due
        while self._events and self._events[0][0] <= due:
            _, kind, run_id, attempt = heappop(self._events)
            if kind:
                arrival = self._courses[run_id].arrival
                self._submit(Job(run_id, arrival.tenant, arrival.demand, arrival.at_s, arrival.duration_s))
            else:
                self._end(run_id, attempt)
        self._decide()
        return True

    def result(self) -> Simulated:
        """Return what came of it."""
        return Simulated(
            [*self._courses.values()],
            self._refused,
            self._preemptions,
            self._decisions,
            self._held_gpu_s,
            self._wanted_gpu_s,
            self.now - self._first,
            self.fairness.jain(),
            self.watch.off_site,
            self.watch.idle_bursts,
            self.watch.cost,
        )

    def _decide(self) -> None:
        decisions = decide(self.state, self.now)
        self._decisions += 1
        for victim in decisions.preempted:
            course = self._courses[victim.job.run_id]
            worked = self.now - victim.since_s - (self._restart_s if course.attempts > 1 else 0.0)
            saved = worked - math.fmod(worked, self._checkpoint_s) if self._checkpoint_s else worked
            course.done_s += max(0.0, saved)
            gpus = victim.job.demand.gpu_total_milli / WHOLE
            course.lost_gpu_s += (self.now - victim.since_s - max(0.0, saved)) * gpus
            used = victim.used_gpu_s(self.now)
            self.fairness.end(victim.job)
            if self.state.policy.graceful:
                self.state.stop(victim.job.run_id, self.now)  # here it needs no time to end
            self.watch.end(victim, self.now)
            self._submit(msgspec.structs.replace(victim.job, used_gpu_s=used))
            self._preemptions += 1
        for begun in decisions.begun:
            running = self.state.running[begun.run_id]
            course = self._courses[begun.run_id]
            course.attempts += 1
            if course.attempts == 1:
                course.began_s = self.now
            left = course.arrival.duration_s - course.done_s + (self._restart_s if course.attempts > 1 else 0.0)
            heappush(self._events, (self.now + left, 0, begun.run_id, course.attempts))
            self.fairness.start(running.job)
            self.watch.begin(running)
        waits = self.state.policy.preempts and len(self.state.backlog)
        self._again_s = max(self.now, self.state.calm_until_s) + self.state.policy.calm_s if waits else math.inf
        if decisions.preempted and self.state.policy.graceful:
            self._again_s = self.now
        if self.state.renting.rents:
            self._again_s = min(self._again_s, find_due_s(self.state, self.now))

    def _submit(self, job: Job) -> None:
        self.state.submit(job)
        self.fairness.wait(job)

    def _end(self, run_id: str, attempt: int) -> None:
        course = self._courses[run_id]
        if course.attempts == attempt and run_id in self.state.running:
            running = self.state.stop(run_id, self.now)
            assert running is not None
            self.fairness.end(running.job)
            self.watch.end(running, self.now)
            course.ended_s = self.now
            self.ended += 1

    def _could_hold(self, demand: Demand) -> bool:
        if demand not in self._fits:
            self._fits[demand] = self.state.cluster.could_hold(demand)
        return self._fits[demand]
