"""What starts now, where, and what gives way: a function of the state and the time alone."""

from __future__ import annotations

import msgspec

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.bursting import judge
from mainspring.compute.scheduling.cluster import Free, take_together
from mainspring.compute.scheduling.demands import WHOLE, Demand, Spot
from mainspring.compute.scheduling.state import Running, State
from mainspring.compute.scheduling.turns import Turns
from mainspring.compute.scheduling.ways import Ways

_MOST_HELD = 16
"""So many machines are held in one decision."""


class Begin(msgspec.Struct, frozen=True):
    """The decision that a run starts."""

    run_id: str
    spots: tuple[Spot, ...]


class Decisions(msgspec.Struct, frozen=True):
    """What to do now.

    Attributes
    ----------
    preempted : tuple of Running
        Runs that give way: they are ended, and wait again. With `Policy.graceful` they keep their places until the
        caller stops them.
    begun : tuple of Begin
        Runs that start, in order.
    """

    preempted: tuple[Running, ...]
    begun: tuple[Begin, ...]


def decide(state: State, now: float) -> Decisions:
    """Choose what starts now, and what gives way to it.

    Parameters
    ----------
    state : State
        It is moved on by what is decided: what begins runs in it, what is preempted has left it, or gives way in it,
        and the caller submits it again with what it has used.
    now : float
        Seconds, of the same clock as all times of the state.

    Returns
    -------
    Decisions
        The same for equal states and times; nothing but the state is read.

    Notes
    -----
    Guarantees:

    - Nothing of a machine is given twice, and a gang gets all of its machines or none.
    - With `skips` no run that would fit is left waiting, but for what is kept back or held (see `Policy.hold_s`) for
      one before it.
    - An urgent run never waits for one that is not.
    - Nothing leaves its zone, nor is placed on a machine whose owner its tenant does not lie below.
    - A machine that costs something is rented only where home has nothing free of what a run asks, after the wait that
      its pool says, for a tenant with money left (`bursting.judge`).
    - No tenant exceeds its limit, and none loses by preemption what is guaranteed to it.
    - Preemption cannot go round in a circle, see `Ways`.
    - With a `patience_s` every run that the cluster could hold starts: once it is the oldest and has waited so long,
      machines are kept for it, no earlier than so long after the last one that machines were kept for. Others get
      there only what it does not ask, and urgent runs what they ask; so it starts after at most as many ends as
      there are runs on its machines, whatever else arrives that is not urgent; with n older ones before it, after
      n + 1 times both.

    Cost: of what has changed since the last decision, and one step for each line of the backlog.
    """
    begun: list[Begin] = []
    state.let_go()
    _serve_promised(state, now, begun)
    if state.kept is not None:
        _start_in_turn(state, now, begun, urgent=True)
    _serve_oldest(state, now, begun)
    _start_in_turn(state, now, begun)
    preempted = _preempt(state, now, begun) if state.policy.preempts and len(state.backlog) else []
    if preempted and not state.policy.graceful:
        _start_in_turn(state, now, begun)  # who gave way may have held more than was asked
    if state.renting.rents and len(state.backlog):
        _burst(state, now, begun)
    return Decisions(tuple(preempted), tuple(begun))


def _start_in_turn(state: State, now: float, begun: list[Begin], *, urgent: bool = False) -> None:
    """Start what fits, one after the other as the policy orders them; of what does not, hold what it lacks."""
    passing, hold_s = state.policy.skips, state.policy.hold_s
    demands = state.backlog.list_demands()
    fit = [demand for demand in demands if state.find(demand)] if passing and not hold_s else demands
    turns = Turns(state, now, fit)
    while (job := turns.next()) is not None and (job.urgent or not urgent):
        if state.bars(job):
            turns.close(job.demand, job.tenant)
            continue
        spots = state.find(job.demand)
        if spots is not None:
            _begin(state, job, spots, now, begun)
            continue
        if not passing:
            break
        turns.close(job.demand)
        if hold_s and now - job.submitted_s > hold_s and len(state.held) < _MOST_HELD:
            _hold(state, job.demand)


def _burst(state: State, now: float, begun: list[Begin]) -> None:
    """Rent machines, in turn, for what home does not take; the cheapest that will do."""
    demands = [demand for demand in state.backlog.list_demands() if not demand.pool]
    turns = Turns(state, now, demands)
    while (job := turns.next()) is not None:
        # For whom others give way already, nothing is rented.
        waits = state.bars(job) or job.run_id in state.promised
        offers = () if waits else (judge(state, job, pool, now) for pool in state.renting.rents)
        spots = next((offer.spots for offer in offers if offer.spots), None)
        if spots is None:
            turns.close(job.demand, job.tenant)
        else:
            _begin(state, job, spots, now, begun)


def _hold(state: State, demand: Demand) -> None:
    """Let nobody behind a run take of what it lacks, on the machines on which the least runs."""
    for free in _list_emptiest(state, demand)[: demand.nodes]:
        state.hold(free, demand)


def _begin(state: State, job: Job, spots: tuple[Spot, ...], now: float, begun: list[Begin]) -> None:
    state.start(job, spots, now)
    begun.append(Begin(job.run_id, spots))


def _serve_oldest(state: State, now: float, begun: list[Begin]) -> None:
    """Start the run that machines are kept for, or keep some for the run that has waited too long."""
    patience_s = state.policy.patience_s
    found = state.backlog.list_oldest() if patience_s else []
    oldest = next((job for job in found if not state.bars(job) and _could_start(state, job)), None)
    if oldest is None or now - oldest.submitted_s <= patience_s:
        state.kept = None
        return
    if state.kept is not None and state.kept[0] != oldest.run_id:
        state.kept = None
    if state.kept is None:
        # Not one after the other: when all wait too long, the order of tenants would count for nothing.
        if now < state.turn_after_s:
            return
        fitting = _list_emptiest(state, oldest.demand)
        if len(fitting) < oldest.demand.nodes:
            return
        state.kept = (oldest.run_id, tuple(free.machine.name for free in fitting[: oldest.demand.nodes]))
    spots = state.find(oldest.demand)
    if spots is None:
        for name in state.kept[1]:
            state.keep(name, oldest.demand)
        return
    state.kept = None
    state.turn_after_s = now + patience_s
    _begin(state, oldest, spots, now, begun)


def _could_start(state: State, job: Job) -> bool:
    """Tell whether machines can be kept for a run, and not only be rented."""
    return not state.renting.rents or len(_list_emptiest(state, job.demand)) >= job.demand.nodes


def _list_emptiest(state: State, demand: Demand) -> list[Free]:
    """Return the machines that would hold a demand when nothing ran there, those on which the least runs first.

    For a gang they are as many as it asks, of one pool.
    """
    fitting = [free for free in state.cluster if not free.drained and Free(free.machine).holds(demand)]
    fitting.sort(key=lambda free: (_count_busy(free), free.machine.name))
    return fitting if demand.nodes == 1 else take_together(fitting, demand.nodes, lambda free: free.machine.pool)


def _count_busy(free: Free) -> float:
    """Return how much of a machine is taken: of its devices, or of its cores where it has none."""
    if free.machine.gpus:
        return 1 - sum(free.devices) / (free.machine.gpus * WHOLE)
    return 1 - free.cpu_milli / free.machine.cpu_milli if free.machine.cpu_milli else 0.0


def _preempt(state: State, now: float, begun: list[Begin]) -> list[Running]:
    ways = Ways(state, now)
    preempted = ways.plan() if state.policy.graceful else ways.make()
    begun += [Begin(running.job.run_id, running.spots) for running in ways.begun]
    return preempted


def _serve_promised(state: State, now: float, begun: list[Begin]) -> None:
    """Start the runs that others have given way to; what is free already is held for those that must wait on."""
    going = {spot.machine for running in state.running.values() if running.gives_way for spot in running.spots}
    for run_id, names in [*state.promised.items()]:
        job = state.backlog.get(run_id)
        spots = state.find(job.demand) if job is not None and not state.bars(job) else None
        if job is not None and spots is not None:
            _begin(state, job, spots, now, begun)
        elif job is not None and going.intersection(names):
            for free in state.cluster:
                if free.machine.name in names:
                    state.reserve(free, job.demand)
            continue
        del state.promised[run_id]
