"""What waits and what runs at this owner's node, as decisions see it, kept up from turn to turn."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from pathlib import Path

from msgspec.structs import replace

from mainspring.compute.engine import Handle
from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Spot
from mainspring.compute.scheduling.entitlements import Entitlement, make_entitlement
from mainspring.compute.scheduling.fitting import make_demand
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.policies import LIVE
from mainspring.compute.scheduling.state import State
from mainspring.control import placement
from mainspring.control.costs import read_spent
from mainspring.control.settings import read_calm_s
from mainspring.control.sites import is_within
from mainspring.control.turn import Turn
from mainspring.control.usecases import adopts, ends
from mainspring.domain.home import Home
from mainspring.domain.pools import list_places, split_place
from mainspring.domain.quotas import name_tenant
from mainspring.domain.records import Attempt, Resources
from mainspring.domain.states import URGENT, YIELDING
from mainspring.store import calls, quotas
from mainspring.store.usages import put_usages, read_usages

_CHECKED_S = 5.0
"""Seconds between two looks whether as many runs wait as are known of."""

_MOST_QUEUED = 16

_KEPT_S = 60.0
"""Seconds between two times that it is kept what tenants have had."""

_FEW, _TOLD_S = 64, 1.0
"""When more wait, they are told for what so many seconds after the last time."""


class Backlog:
    """The state that decisions are taken on, and how far the record has been read into it.

    Parameters
    ----------
    machines : sequence of Machine
        Where runs can be placed.
    typical : Mix
        What is usually asked.
    agreed : mapping of str to Entitlement
        Tenant -> what was agreed about its part.
    before : State, optional
        What tenants have had is taken over from it.

    Attributes
    ----------
    state : State
        Moved on by `decide`.
    sure : bool
        What was last done to it is on disk. What is not sure is made anew from the record.
    told : dict of str to str
        What the first in line were told that they wait for.

    Notes
    -----
    New runs are known by their number. A run that is no longer held has ended or waits again, which is looked up. One
    that was cancelled while it waited is found when it is to start, or because fewer wait than are known.
    """

    def __init__(
        self, machines: Sequence[Machine], typical: Mix, agreed: Mapping[str, Entitlement], before: State | None
    ) -> None:
        self.state = State(machines, replace(LIVE, calm_s=read_calm_s()), typical, agreed)
        if before is not None:
            self.state.remember(before)
        self._owners = sorted({machine.owner for machine in machines if machine.owner})
        self.sure = False
        self._seq = -1
        self._delayed: list[tuple[float, str]] = []
        self._later: dict[str, calls.Waiting] = {}
        self._ending: set[str] = set()
        self._checked_at = self._kept_at = 0.0
        self._held: set[str] = set()
        self._told_at = 0.0
        self.told: dict[str, str] = {}

    def follow(self, turn: Turn) -> None:
        """Bring the state up to the record."""
        now = turn.now()
        self.state.renting.spent = read_spent(turn) if self.state.renting.rents else frozenset()
        held = {each.id: each for each in calls.list_held(turn.connection, turn.node)}
        gone = [run_id for run_id in self.state.running if run_id not in held]
        for run_id in gone:
            self.state.stop(run_id, now)
        for each in held.values():
            if each.id not in self.state.running:
                self.state.stop(each.id, now)
                self._note(each, now)
            self._follow_course(each)
            self.state.lend(each.id, now, lent=each.waits)
        self._follow_ending(placement.list_ending(turn))
        self._follow_queues(turn, held.values())
        if gone:
            self._add(calls.list_waiting_again(turn.connection, turn.node, gone), now)
        new = calls.list_waiting(turn.connection, turn.node, self._seq)
        self._add(new, now)
        self._seq = new[-1].seq if new else self._seq
        while self._delayed and self._delayed[0][0] <= now:
            waiting = self._later.pop(heappop(self._delayed)[1], None)
            if waiting is not None:
                self._submit(waiting)

    def go_on_from(self, before: Backlog) -> None:
        """Know what the state before this one had not kept yet."""
        self._held, self._kept_at = before._held, before._kept_at

    def keep_usages(self, turn: Turn) -> None:
        """Keep what tenants have had: once in a while, and when the last run has ended."""
        now, held = turn.clock.monotonic(), {running.job.tenant for running in self.state.running.values()}
        if self._held and (not held or now - self._kept_at >= _KEPT_S):
            shares = self.state.shares
            shares.move_on(turn.now())
            used = {
                path: told
                for path, told in shares.tell_used().items()
                if any(is_within(each, path) for each in self._held)
            }
            put_usages(turn.connection, turn.node, used)
            self._held, self._kept_at = set(), now
        self._held |= held

    def is_known(self, turn: Turn) -> bool:
        """Tell whether as many wait as are known of, and what was agreed holds; looked up once in a while."""
        if turn.clock.monotonic() - self._checked_at < _CHECKED_S:
            return True
        self._checked_at = turn.clock.monotonic()
        if read_agreed(turn) != self.state.agreed:
            return False
        return calls.count_waiting(turn.connection, turn.node) == len(self.state.backlog) + len(self._later)

    def is_to_tell(self, now: float) -> bool:
        """Tell whether those that wait are told for what: at once where they are few."""
        if len(self.state.backlog) > _FEW and now - self._told_at < _TOLD_S:
            return False
        self._told_at = now
        return True

    def confirm(self) -> None:
        """What was done is on disk."""
        self.sure = True

    def _add(self, found: Sequence[calls.Waiting], now: float) -> None:
        for waiting in found:
            if waiting.id in self.state.backlog or waiting.id in self.state.running:
                continue
            if waiting.due_at is not None and waiting.due_at > now:
                self._later[waiting.id] = waiting
                heappush(self._delayed, (waiting.due_at, waiting.id))
            else:
                self._submit(waiting)

    def _submit(self, waiting: calls.Waiting) -> None:
        self.state.submit(self._make_job(waiting, self._is_urgent(waiting)))

    def _is_urgent(self, waiting: calls.Waiting) -> bool:
        above = self.state.running.get(waiting.parent_id or "")
        # What a run waits for that holds more than cores: whoever is to get that would wait for it, too.
        return waiting.kind in URGENT or (
            above is not None and bool(above.job.demand.gpus or above.job.demand.memory_bytes)
        )

    def _make_job(self, run: calls.Waiting | calls.Held, urgent: bool) -> Job:
        demand = make_demand(run.kind, run.resources)
        gpus = run.resources.gpus * run.resources.nodes
        used_gpu_s = gpus * sum(map(_measure, run.attempts)) if gpus else 0.0
        tenant = name_tenant(run.project, run.principal)
        if self._owners:
            demand = demand._replace(owners=tuple(path for path in self._owners if is_within(tenant, path)))
        job = Job(run.id, tenant, demand, run.created_at, used_gpu_s=used_gpu_s, urgent=urgent)
        job.saves, job.preemptible = run.saved_at is not None, run.kind in YIELDING and not urgent
        return job

    def _note(self, held: calls.Held, now: float) -> None:
        job = self._make_job(held, held.kind in URGENT)
        spots = self._find_spots(job.demand, held.place)
        self.state.note(job, spots, min(held.started_at or now, now), now)

    def _find_spots(self, demand: Demand, place: str) -> tuple[Spot, ...]:
        return tuple(self._find_spot(demand, each) for each in list_places(place) if each in self.state.machines)

    def _find_spot(self, demand: Demand, place: str) -> Spot:
        """Return a place with the devices that a run was likely given there: which ones is not in the record.

        Whole ones are the freest; a part is of the fullest that still has it, as engines give it.
        """
        devices = self.state.cluster.read_devices(place)
        freest = sorted(range(len(devices)), key=lambda number: (-devices[number], number))
        fitting = [number for number in freest if devices[number] >= demand.gpu_milli]
        if demand.gpu_milli < WHOLE and fitting:
            freest = sorted(fitting, key=lambda number: (devices[number], number))
        return Spot(place, tuple(sorted(freest[: demand.gpus])))

    def _follow_queues(self, turn: Turn, held: Iterable[calls.Held]) -> None:
        """Give engines that have queues of their own no more than a few runs beyond those that run there."""
        delegated = placement.list_delegated(turn)
        if delegated or self.state.room:
            count = Counter((split_place(each.place)[0], each.state) for each in held)
            most = read_most_queued()
            room = {pool: max(most, count[pool, "running"]) - count[pool, "starting"] for pool in delegated}
            self.state.allow(room)

    def _follow_course(self, held: calls.Held) -> None:
        """Bring up to the record what a run has saved, and whether it gives way."""
        running = self.state.running[held.id]
        running.saved_s, running.job.saves = held.saved_at, held.saved_at is not None
        if held.gives_way and not running.gives_way:
            self.state.promise(held.gives_way, running.spots)
        running.gives_way = held.gives_way

    def _follow_ending(self, ending: dict[Handle, placement.Ending]) -> None:
        known = {f"{handle.run_id}/{handle.attempt}": each for handle, each in ending.items()}
        for name in self._ending - known.keys():
            self.state.cluster.release(name)
        for name in known.keys() - self._ending:
            demand = make_demand(known[name].kind, known[name].resources)
            spots = self._find_spots(demand, known[name].place)
            self.state.cluster.note(name, demand._replace(nodes=len(spots)), spots)
        self._ending = {*known}


_backlogs: dict[Path, Backlog] = {}


def read_backlog(turn: Turn, machines: Sequence[Machine]) -> Backlog:
    """Return the state of this owner's node, brought up to the record.

    Parameters
    ----------
    turn : Turn
        What is done to the state stays done only if this turn does.
    machines : sequence of Machine
        Where runs can be placed.
    """
    backlog = _backlogs.get(turn.home.root)
    if backlog is None or not backlog.sure or not _is_same(backlog, machines) or not backlog.is_known(turn):
        backlog = make_backlog(turn, machines)
    backlog.sure = False
    turn.after_commit(backlog.confirm)
    backlog.follow(turn)
    return backlog


def make_backlog(turn: Turn, machines: Sequence[Machine]) -> Backlog:
    """Make the state of this owner's node anew."""
    before = _backlogs.get(turn.home.root)
    asked: list[tuple[str, Resources]] = [
        (each.kind, each.resources) for each in calls.list_waiting(turn.connection, turn.node)
    ]
    asked += [(each.kind, each.resources) for each in calls.list_held(turn.connection, turn.node)]
    typical = Mix.of(make_demand(*each) for each in asked)
    backlog = _backlogs[turn.home.root] = Backlog(
        machines, typical, read_agreed(turn), before.state if before else None
    )
    if before is None:
        backlog.state.shares.recall(read_usages(turn.connection, turn.node))
    else:
        backlog.go_on_from(before)
    return backlog


def read_most_queued() -> int:
    """Return how many runs may wait in the queue of an engine that has its own; what is no number is not heard."""
    text = os.environ.get("MAINSPRING_MOST_QUEUED", "")
    return max(1, int(text)) if text.isdecimal() else _MOST_QUEUED


def read_agreed(turn: Turn) -> dict[str, Entitlement]:
    """Return tenant -> what was agreed about its part."""
    return {each.tenant: make_entitlement(each) for each in quotas.list_quotas(turn.connection)}


def doubt_backlog(home: Home) -> None:
    """Have the state made anew at the next decision."""
    if home.root in _backlogs:
        _backlogs[home.root].sure = False


def find_state(home: Home) -> State | None:
    """Return the state as it was after the last decision; None before the first."""
    backlog = _backlogs.get(home.root)
    return backlog.state if backlog is not None and backlog.sure else None


@adopts
def forget_backlog(turn: Turn) -> None:
    """Know nothing of what an earlier owner of this process has decided."""
    _backlogs.pop(turn.home.root, None)


@ends
def close_backlog(home: Home) -> None:
    """Let the state go."""
    _backlogs.pop(home.root, None)


def _is_same(backlog: Backlog, machines: Sequence[Machine]) -> bool:
    return [*backlog.state.machines.values()] == [*machines]


def _measure(attempt: Attempt) -> float:
    return max(0.0, attempt.ended_at - attempt.started_at) if attempt.started_at is not None else 0.0
