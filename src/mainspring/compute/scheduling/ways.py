"""What gives way to what: runs that are ended before they are done, so that others have their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.cluster import Free, take_together
from mainspring.compute.scheduling.demands import Demand
from mainspring.compute.scheduling.state import Running, State
from mainspring.compute.scheduling.turns import Turns

_MOST_LEVELLED = 16
"""For so many runs is looked in one decision whether others hold more of their share."""

Giving = dict[str, list[Running]]
"""Machine -> the runs on it that may be ended, those that lose least first."""


class _Rule(NamedTuple):
    """Who may make others give way, and which.

    Attributes
    ----------
    may : callable
        Tells of a run that waits.
    list_giving : callable
        Returns what may be ended for it; if all of it were, all that is promised below would hold.
    alike : bool
        For everybody the same may be ended.
    calm : bool
        No tenant does so again before it has been calm.
    """

    may: Callable[[Job], bool]
    list_giving: Callable[[Job], Giving]
    alike: bool = True
    calm: bool = True


class Ways:
    """The choice, in one decision, of the runs that give way.

    Parameters
    ----------
    state : State
        What is decided on.
    now : float
        Seconds.

    Attributes
    ----------
    begun : list of Running
        Runs that have taken the places of others; none with `plan`.

    Notes
    -----
    The rules, each of which comes to an end:

    - Who is within its guarantee, and stays so, may end what others hold above theirs. Whom it ends is not due again
      before something else of its tenant ends.
    - Short runs may end long ones, which stay long. Not with `Policy.graceful`: it would undo what the next rule does.
    - With `Policy.graceful`, a tenant that would still hold no more of its share than another one has left may end
      what that one holds above its guarantee, and has saved. The greater share falls and the lesser stays at or below
      it, so that the shares, the greatest first, only fall in lexical order.

    Candidates are taken out of their tenants one after the other before any is chosen: whichever are ended, every
    guarantee still holds. Nothing gives way that has run for less than `Policy.calm_s`, that others wait for, or whose
    engine has a queue of its own; what has a checkpoint goes first, then what loses the least.
    """

    def __init__(self, state: State, now: float) -> None:
        self.begun: list[Running] = []
        self._state = state
        self._now = now
        self._given: list[Running] = []
        self._going: set[str] = set()
        self._left = _MOST_LEVELLED

    def make(self) -> list[Running]:
        """End what gives way, and start at once what it gives way to."""
        state, now = self._state, self._now
        if not state.agreed and now < state.calm_until_s:
            return []
        state.let_go_held()
        if state.agreed and (giving := self._spare_all(self._list_candidates())):
            self._apply(_Rule(lambda job: state.shares.is_due(job.tenant, job.demand), lambda _: giving))
        if state.policy.graceful:
            if found := [each for each in self._list_candidates() if each.job.saves]:
                self._apply(_Rule(self._may_level, lambda job: self._list_above(job, found), alike=False))
        elif state.policy.order == "attained" and now >= state.calm_until_s:
            before = len(self._given)
            if long := self._spare_all(self._list_candidates(long=True)):
                rule = _Rule(lambda job: not state.is_long(job.used_gpu_s), lambda _: long, calm=False)
                self._apply(rule)
            if self._given[before:]:
                state.calm_until_s = now + state.policy.calm_s
        return self._given

    def plan(self) -> list[Running]:
        """Choose what gives way as if what does so already had ended; all keep their places until they have."""
        state, now = self._state, self._now
        if now < state.planned_s + min(1.0, state.policy.calm_s):
            return []
        state.planned_s = now
        going = [running for running in state.running.values() if running.gives_way]
        self._going = {spot.machine for running in going for spot in running.spots}
        for running in going:
            state.stop(running.job.run_id, now)
        for run_id in state.promised:
            job = state.backlog.get(run_id)
            spots = state.find(job.demand) if job is not None else None
            if job is not None and spots is not None:
                state.start(job, spots, now)
                self.begun.append(state.running[run_id])
        given = self.make()
        for running in self.begun:
            state.stop(running.job.run_id, now)
            state.submit(running.job)
        self.begun.clear()
        for running in (*going, *given):
            state.resume(running, now)
        return given

    def _apply(self, rule: _Rule) -> None:
        """Start in turn what may make others give way, where the end of those would make room for it."""
        state, now = self._state, self._now
        calm = {tenant for tenant, until in state.calm_tenants.items() if now < until} if rule.calm else ()
        turns = Turns(state, now, state.backlog.list_demands())
        while (job := turns.next()) is not None:
            if job.tenant in calm or not rule.may(job) or state.bars(job):
                turns.close(job.demand, job.tenant)
                continue
            # What others leave already may do; other room that is free is held for somebody.
            spots = state.find(job.demand) if self._going else None
            victims: list[Running] = []
            if spots is None or not self._going.intersection(spot.machine for spot in spots):
                victims = self._find_victims(job.demand, rule.list_giving(job))
                for victim in victims:
                    victim.gives_way = job.run_id
                    state.stop(victim.job.run_id, now)
                self._given += victims
                spots = state.find(job.demand) if victims else None
            if spots is None:
                turns.close(job.demand, None if rule.alike else job.tenant)
                continue
            state.start(job, spots, now)
            self.begun.append(state.running[job.run_id])
            if victims and rule.calm:
                state.calm_tenants[job.tenant] = now + state.policy.calm_s
            if victims and state.policy.graceful:
                state.promise(job.run_id, spots)

    def _list_candidates(self, *, long: bool = False) -> list[Running]:
        """Return the runs that may be ended, those that lose least first; with `long` the long ones."""
        state, now, found = self._state, self._now, []
        for running in state.running.values():
            job = running.job
            if not job.preemptible or job.run_id in state.lent or now - running.since_s < state.policy.calm_s:
                continue
            if any(state.machines[spot.machine].delegated for spot in running.spots):
                continue
            if not long or state.is_long(running.used_gpu_s(now)):
                found.append(running)
        return sorted(found, key=lambda running: _measure_loss(running, now))

    def _spare_all(self, found: list[Running]) -> Giving:
        """Return those that, if all of them were ended, would leave every tenant what is guaranteed to it."""
        if self._state.agreed:
            found = [running for running in found if self._spare(running)]
            for running in found:
                self._state.shares.start(running.job.tenant, running.job.demand, self._now)
        return _group(found)

    def _spare(self, running: Running) -> bool:
        """Take a run out of what its tenant holds, where that is more than what is guaranteed to it."""
        job, shares = running.job, self._state.shares
        if not shares.can_spare(job.tenant, job.demand):
            return False
        shares.end(job.tenant, job.demand, self._now)
        return True

    def _may_level(self, _: Job) -> bool:
        self._left -= 1
        return self._left >= 0

    def _list_above(self, job: Job, found: list[Running]) -> Giving:
        """Return the runs of tenants that, without them, hold no less of their share than who asks with its run."""
        shares, ended = self._state.shares, []
        asked: dict[str, float | None] = {}
        below: set[str] = set()
        for running in found:
            other = running.job
            if other.tenant in below or self._state.running.get(other.run_id) is not running:
                continue
            if other.tenant not in asked:
                asked[other.tenant] = shares.read_parting(job.tenant, other.tenant, job.demand)
            wants, before = asked[other.tenant], shares.read_parting(other.tenant, job.tenant)
            if wants is None or before is None or before <= wants:
                below.add(other.tenant)
                continue
            if not self._spare(running):
                continue
            left = shares.read_parting(other.tenant, job.tenant)
            assert left is not None
            if wants <= left < before:
                ended.append(running)
            else:
                shares.start(other.tenant, other.demand, self._now)
        for running in ended:
            shares.start(running.job.tenant, running.job.demand, self._now)
        return _group(ended)

    def _find_victims(self, demand: Demand, giving: Giving) -> list[Running]:
        """Return the runs whose end would make room on enough machines; none when it would not."""
        options, now = [], self._now
        for free in self._state.cluster:
            runs = [each for each in giving.get(free.machine.name, ()) if each.job.run_id in self._state.running]
            if not runs and demand.nodes == 1:
                continue  # it did not hold the run before, either
            victims = _free_machine(free, demand, runs)
            if victims is not None:
                saved = all(each.job.saves for each in victims)
                lost = sum(each.lost_gpu_s(now) for each in victims)
                cost = sum(each.job.demand.gpu_total_milli for each in victims)
                options.append(((not saved, lost, cost, free.machine.name), victims, free.machine.pool))
        options.sort(key=lambda option: option[0])
        chosen: dict[str, Running] = {}
        for _, victims, _ in take_together(options, demand.nodes, lambda option: option[2]):
            chosen.update({each.job.run_id: each for each in victims})
        return [*chosen.values()]


def _measure_loss(running: Running, now: float) -> tuple[bool, float, int, float, str]:
    """Return by what runs are compared that may be ended: with a checkpoint first, then by the work they lose."""
    job = running.job
    return not job.saves, running.lost_gpu_s(now), job.demand.gpu_total_milli, -running.since_s, job.run_id


def _group(found: list[Running]) -> Giving:
    giving: Giving = {}
    for running in found:
        for spot in running.spots:
            giving.setdefault(spot.machine, []).append(running)
    return giving


def _free_machine(free: Free, demand: Demand, giving: list[Running]) -> list[Running] | None:
    """Return which runs of a machine to end so that it holds a demand; None: ending all of them would not do."""
    if free.drained or free.kept is not None or not free.suits(demand):
        return None
    left = Free(free.machine)
    left.cpu_milli, left.memory_bytes, left.devices = free.cpu_milli, free.memory_bytes, list(free.devices)
    taken: list[Running] = []
    for running in giving:
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
