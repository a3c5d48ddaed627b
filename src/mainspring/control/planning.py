"""Use cases of the queue as a whole: what was in it, and what it is like now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.demands import WHOLE
from mainspring.compute.scheduling.fitting import explain_wait
from mainspring.compute.scheduling.line import list_in_line
from mainspring.compute.scheduling.state import Running, State
from mainspring.control.backlog import find_state
from mainspring.control.pools import list_nodes, list_pools
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import Invalid
from mainspring.domain.planning import Candidate, GetQueue, Holder, ListStays, Load, Part, Queue, Stay
from mainspring.domain.pools import ListNodes, ListPools
from mainspring.domain.tracking import OWN
from mainspring.store import runs, stays
from mainspring.store.series import read_latest

MOST_TOLD = 1000
"""Runs of each kind that one answer tells of."""

_BUSY_PERCENT = 5.0
"""A device that does less is idle."""


@handles(ListStays, action="quotas.read", reads=True)
def find_stays(turn: Turn, command: ListStays) -> list[Stay]:
    """Answer with runs that had a place, in the order in which they came."""
    return stays.list_stays(turn.connection, command.since, command.page, command.limit)


@handles(GetQueue, action="pools.read", reads=True)
def get_queue(turn: Turn, command: GetQueue) -> Queue:
    """Answer with the queue now; of other projects only sums, but to who may read quotas.

    Raises
    ------
    Invalid
        API-025 when more is asked for than one answer tells.
    """
    if command.limit > MOST_TOLD:
        what = f"GetQueue asks for {command.limit:,} at once; up to {MOST_TOLD:,} are given"
        raise Invalid("API-025", what, limit=command.limit, most=MOST_TOLD)
    pools, nodes = list_pools(turn, ListPools()), list_nodes(turn, ListNodes())
    state = find_state(turn.home)
    if state is None:
        return Queue(pools, nodes, [Load(each.place) for each in nodes], [], [], [], 0, 0)
    line = list_in_line(state, turn.now())
    shown = "" if turn.may("quotas.read") else f"{turn.project}/"
    holding = [each for each in state.running.values() if each.job.tenant.startswith(shown)][: command.limit]
    waiting = [(rank, job) for rank, job in enumerate(line, 1) if job.tenant.startswith(shown)][: command.limit]
    told = read_latest(turn.connection, [each.job.run_id for each in state.running.values() if each.job.demand.gpus])
    names = runs.read_names(turn.connection, [each.job.run_id for each in holding] + [job.run_id for _, job in waiting])
    return Queue(
        pools,
        nodes,
        _list_loads([each.place for each in nodes], state, told),
        _list_parts(state, shown, turn.now()),
        [_make_holder(each, names, told) for each in holding],
        [_make_candidate(state, rank, job, names) for rank, job in waiting],
        len(state.running),
        len(line),
    )


def _list_loads(places: Sequence[str], state: State, told: Mapping[str, Mapping[str, float]]) -> list[Load]:
    given: dict[str, Counter[str]] = defaultdict(Counter)
    busy: dict[str, int] = {}
    for run_id, running in state.running.items():
        for spot in running.spots:
            given[spot.machine]["cpus"] += running.job.demand.cpu_milli
            given[spot.machine]["gpus"] += running.job.demand.gpus * running.job.demand.gpu_milli
            percents = _list_percents(told.get(run_id, {}))
            if percents:
                busy[spot.machine] = sum(each >= _BUSY_PERCENT for each in percents)
    return [
        Load(place, given[place]["cpus"] / WHOLE, given[place]["gpus"] / WHOLE, busy.get(place)) for place in places
    ]


def _list_parts(state: State, shown: str, now: float) -> list[Part]:
    parts: dict[str, Part] = {}
    for job in state.backlog:
        parts.setdefault(job.tenant, Part(job.tenant)).waiting += 1
    for running in state.running.values():
        part, demand = parts.setdefault(running.job.tenant, Part(running.job.tenant)), running.job.demand
        part.running += 1
        part.cpus += demand.cpu_milli * demand.nodes / WHOLE
        part.gpus += demand.gpu_total_milli / WHOLE
    for part in parts.values():
        part.used = state.shares.read_part(part.tenant, now)
        part.share = state.shares.read_share(part.tenant, parts)
    return sorted(
        (part for part in parts.values() if part.tenant.startswith(shown)),
        key=lambda part: (-part.gpus, -part.cpus, part.tenant),
    )


def _make_holder(running: Running, names: Mapping[str, str], told: Mapping[str, Mapping[str, float]]) -> Holder:
    job = running.job
    percents = sorted(_list_percents(told.get(job.run_id, {})), reverse=True)[: job.demand.gpus]
    return Holder(
        job.run_id,
        names.get(job.run_id, ""),
        job.tenant,
        ", ".join(spot.machine for spot in running.spots),
        job.demand.cpu_milli * job.demand.nodes / WHOLE,
        job.demand.gpu_total_milli / WHOLE,
        running.since_s,
        sum(percents) / len(percents) if percents else None,
    )


def _list_percents(told: Mapping[str, float]) -> list[float]:
    """Return how busy the devices of a machine are, as a run there has told."""
    return [value for key, value in told.items() if key.startswith(f"{OWN}gpu") and key.endswith("_percent")]


def _make_candidate(state: State, rank: int, job: Job, names: Mapping[str, str]) -> Candidate:
    return Candidate(
        job.run_id,
        names.get(job.run_id, ""),
        job.tenant,
        rank,
        job.demand.cpu_milli * job.demand.nodes / WHOLE,
        job.demand.gpu_total_milli / WHOLE,
        job.submitted_s,
        explain_wait(state, job),
    )
