"""What starts now, where, and what gives way: a function of the state and the time alone."""

from __future__ import annotations

import msgspec

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.cluster import Free
from mainspring.compute.scheduling.demands import WHOLE, Demand, Spot
from mainspring.compute.scheduling.state import Running, State
from mainspring.compute.scheduling.turns import Turns


class Begin(msgspec.Struct, frozen=True):
    """The decision that a run starts."""

    run_id: str
    spots: tuple[Spot, ...]


class Decisions(msgspec.Struct, frozen=True):
    """What to do now.

    Attributes
    ----------
    preempted : tuple of Running
        Runs that give way: they are ended, and wait again.
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
        It is moved on by what is decided: what begins runs in it, what is preempted has left it, and the caller
        submits it again with what it has used.
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
    - With `skips` no run that would fit is left waiting, but for machines that are kept.
    - No run is preempted by one that is long, and what was preempted is long: nobody who gave way ever makes others
      give way, so preemption cannot go round in a circle.
    - With a `patience_s` every run that the cluster could hold starts: once it is the oldest and has waited so long,
      machines are kept for it, no earlier than so long after the last one that machines were kept for. No run on
      them is replaced, so that it starts after at most as many ends as there are runs on its machines, whatever else
      arrives; with n older ones before it, after n + 1 times both.

    Cost: of what has changed since the last decision, and one step for each line of the backlog.
    """
    begun: list[Begin] = []
    _serve_oldest(state, now, begun)
    _start_in_turn(state, now, begun)
    preempted = _preempt(state, now, begun) if state.policy.preempts and len(state.backlog) else []
    if preempted:
        _start_in_turn(state, now, begun)  # who gave way may have held more than was asked
    return Decisions(tuple(preempted), tuple(begun))


def _start_in_turn(state: State, now: float, begun: list[Begin]) -> None:
    """Start what fits, one after the other as the policy orders them."""
    passing = state.policy.skips
    demands = state.backlog.list_demands()
    turns = Turns(state, now, [demand for demand in demands if state.find(demand)] if passing else demands)
    while (job := turns.next()) is not None:
        spots = state.find(job.demand)
        if spots is not None:
            _begin(state, job, spots, now, begun)
            continue
        if not passing:
            break
        turns.close(job.demand)


def _begin(state: State, job: Job, spots: tuple[Spot, ...], now: float, begun: list[Begin]) -> None:
    state.start(job, spots, now)
    begun.append(Begin(job.run_id, spots))


def _serve_oldest(state: State, now: float, begun: list[Begin]) -> None:
    """Start the run that machines are kept for, or keep some for the run that has waited too long."""
    patience_s = state.policy.patience_s
    oldest = state.backlog.oldest() if patience_s else None
    if oldest is None or now - oldest.submitted_s <= patience_s:
        _let_go(state)
        return
    if state.kept is not None and state.kept[0] != oldest.run_id:
        _let_go(state)
    if state.kept is None:
        # Not one after the other: when all wait too long, the order of tenants would count for nothing.
        if now < state.turn_after_s:
            return
        _keep(state, oldest)
    spots = _find_kept(state, oldest)
    if spots is not None:
        _let_go(state)
        state.turn_after_s = now + patience_s
        _begin(state, oldest, spots, now, begun)


def _find_kept(state: State, job: Job) -> tuple[Spot, ...] | None:
    if state.kept is None:
        return None
    for name in state.kept[1]:
        state.cluster.drain(name, drained=False)
    spots = state.find(job.demand)
    for name in state.kept[1]:
        state.cluster.drain(name)
    return spots


def _keep(state: State, job: Job) -> None:
    """Keep the machines on which the least runs, of those that would hold the run when nothing ran there."""
    fitting = [free for free in state.cluster if Free(free.machine).holds(job.demand)]
    fitting.sort(key=lambda free: (_count_busy(free), free.machine.name))
    if len(fitting) < job.demand.nodes:
        return
    names = tuple(free.machine.name for free in fitting[: job.demand.nodes])
    for name in names:
        state.cluster.drain(name)
    state.kept = (job.run_id, names)


def _count_busy(free: Free) -> float:
    """Return how much of a machine is taken: of its devices, or of its cores where it has none."""
    if free.machine.gpus:
        return 1 - sum(free.devices) / (free.machine.gpus * WHOLE)
    return 1 - free.cpu_milli / free.machine.cpu_milli if free.machine.cpu_milli else 0.0


def _let_go(state: State) -> None:
    if state.kept is not None:
        for name in state.kept[1]:
            state.cluster.drain(name, drained=False)
        state.kept = None


def _preempt(state: State, now: float, begun: list[Begin]) -> list[Running]:
    """Let long runs give way to the first runs that are not, once in a while."""
    if now < state.calm_until_s:
        return []
    given: list[Running] = []
    long = _list_long(state, now)
    turns = Turns(state, now, state.backlog.list_demands() if long else ())
    while (job := turns.next()) is not None and not state.is_long(job.used_gpu_s):
        victims = _find_victims(state, job.demand, long)
        for victim in victims:
            state.stop(victim.job.run_id, now)
            for spot in victim.spots:
                long[spot.machine].remove(victim)
        given += victims
        spots = state.find(job.demand) if victims else None
        if spots is None:
            turns.close(job.demand)
        else:
            _begin(state, job, spots, now, begun)
    if given:
        state.calm_until_s = now + state.policy.calm_s
    return given


def _list_long(state: State, now: float) -> dict[str, list[Running]]:
    """Return by machine the runs that may be preempted, those that lose least first."""
    found: dict[str, list[Running]] = {}
    for running in state.running.values():
        calm = now - running.since_s >= state.policy.calm_s
        if calm and running.job.preemptible and state.is_long(running.used_gpu_s(now)):
            for spot in running.spots:
                found.setdefault(spot.machine, []).append(running)
    for runs in found.values():
        runs.sort(key=lambda running: (running.job.demand.gpu_total_milli, -running.since_s, running.job.run_id))
    return found


def _find_victims(state: State, demand: Demand, long: dict[str, list[Running]]) -> list[Running]:
    """Return the long runs whose end would make room on enough machines; none when it would not."""
    options = []
    for free in state.cluster:
        runs = long.get(free.machine.name, [])
        if not runs and demand.nodes == 1:
            continue  # it did not hold the run before, either
        victims = _free_machine(free, demand, runs)
        if victims is not None:
            cost = sum(each.job.demand.gpu_total_milli for each in victims)
            options.append((cost, free.machine.name, victims))
    if len(options) < demand.nodes:
        return []
    options.sort(key=lambda option: option[:2])
    chosen: dict[str, Running] = {}
    for _, _, victims in options[: demand.nodes]:
        chosen.update({each.job.run_id: each for each in victims})
    return [*chosen.values()]


def _free_machine(free: Free, demand: Demand, long: list[Running]) -> list[Running] | None:
    """Return which runs of a machine to end so that it holds a demand; None: ending all of them would not do."""
    if free.drained:
        return None
    left = Free(free.machine)
    left.cpu_milli, left.memory_bytes, left.devices = free.cpu_milli, free.memory_bytes, list(free.devices)
    taken: list[Running] = []
    for running in long:
        if left.holds(demand):
            break
        asked = running.job.demand
        left.cpu_milli += asked.cpu_milli
        left.memory_bytes += asked.memory_bytes
        for spot in running.spots:
            if spot.machine == free.machine.name:
                for device in spot.devices:
                    left.devices[device] += asked.gpu_milli
        taken.append(running)
    return taken if left.holds(demand) else None
