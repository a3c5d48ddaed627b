"""The queue's past as a trace, and what is changed of it to see what would have been."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from mainspring.compute.scheduling.demands import Machine
from mainspring.compute.scheduling.fitting import make_demand
from mainspring.compute.scheduling.simulation import Arrival
from mainspring.compute.scheduling.traces import close_gaps
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.planning import Stay
from mainspring.domain.quotas import name_tenant

_HOUR_S = 3600.0


class Replay(NamedTuple):
    """Runs of the record as a trace, and what had to be mended, in words."""

    arrivals: list[Arrival]
    notes: list[str]


def make_replay(stays: Iterable[Stay], now: float) -> Replay:
    """Make a trace of runs that had a place.

    Parameters
    ----------
    stays : iterable of Stay
        From the record.
    now : float
        Seconds since 1970 UTC; what goes on is counted until then.

    Returns
    -------
    Replay
        Times are from the first that came. A run lasts as long as all its attempts together. One whose times
        contradict each other is left out, a gap is shortened; both are told.
    """
    arrivals, jumps, open_ = [], 0, 0
    for each in stays:
        if each.started_at is None:
            continue
        ended_at = each.ended_at if each.ended_at is not None else now
        spans = [(tried.started_at, tried.ended_at) for tried in each.attempts if tried.started_at is not None]
        spans.append((each.started_at, ended_at))
        began_at = spans[0][0]
        if any(end < begin for begin, end in spans) or began_at < each.created_at:
            jumps += 1
            continue
        open_ += each.ended_at is None
        lasts_s = math.fsum(end - begin for begin, end in spans)
        demand, tenant = make_demand(each.kind, each.resources), name_tenant(each.project, each.principal)
        arrivals.append(Arrival(each.id, tenant, demand, each.created_at, lasts_s, began_at - each.created_at))
    closed, notes = close_gaps(arrivals)
    if jumps:
        notes.append(f"{_count(jumps)} ended before it began or began before it came: a clock was set; left out")
    if open_:
        notes.append(f"{_count(open_)} not ended yet, and counts with what it has run")
    first = closed[0].at_s if closed else 0.0
    return Replay([replace(each, at_s=each.at_s - first) for each in closed], notes)


def change_machines(machines: Sequence[Machine], pool: str, *, gpus: int = 0, nodes: int = 0) -> list[Machine]:
    """Return the machines with more or fewer of one pool.

    Parameters
    ----------
    machines : sequence of Machine
        Those that there are.
    pool : str
        Which pool.
    gpus : int, default 0
        So many devices more: with as much of cores and memory as there is beside each device of the pool now. Below 0:
        so many fewer, of the machines that have the most.
    nodes : int, default 0
        So many machines more, each like the largest of the pool; below 0: so many fewer.

    Raises
    ------
    NotFound
        POOL-001 when no machine is of the pool.
    Invalid
        PLAN-001 when more is to be taken away than there is.
    """
    mine = [machine for machine in machines if machine.pool == pool]
    others = [machine for machine in machines if machine.pool != pool]
    if not mine:
        raise NotFound("POOL-001", f"no machine of a pool {pool!r} answers", name=pool)
    largest = max(mine, key=lambda machine: (machine.gpus, machine.cpu_milli))
    if -nodes > len(mine) or -gpus > sum(machine.gpus for machine in mine):
        what = f"{-nodes} machines" if -nodes > len(mine) else f"{-gpus} gpus"
        raise Invalid("PLAN-001", f"{what} are to be taken from the pool {pool}, which has fewer", pool=pool)
    mine += [largest._replace(name=f"{pool}/more{number + 1}") for number in range(max(0, nodes))]
    mine = sorted(mine, key=lambda machine: (machine.gpus, machine.cpu_milli, machine.name))[max(0, -nodes) :]
    for _ in range(max(0, -gpus)):
        most = max(range(len(mine)), key=lambda number: mine[number].gpus)
        mine[most] = mine[most]._replace(gpus=mine[most].gpus - 1)
    return [*others, *mine, *_add_devices(largest, pool, max(0, gpus))]


def _add_devices(like: Machine, pool: str, gpus: int) -> list[Machine]:
    """Return machines with so many devices in all, none with more than there are on one like it."""
    beside, most = max(1, like.gpus), like.gpus or gpus or 1
    found: list[Machine] = []
    while gpus > 0:
        here = min(gpus, most)
        part = here / beside if like.gpus else 1.0
        found.append(
            like._replace(
                name=f"{pool}/gpus{len(found) + 1}",
                gpus=here,
                cpu_milli=math.ceil(like.cpu_milli * part),
                memory_bytes=math.ceil(like.memory_bytes * part),
            )
        )
        gpus -= here
    return found


def change_demand(arrivals: Sequence[Arrival], factor: float, seed: int = 0) -> list[Arrival]:
    """Return the runs with so many times as many of them, by chance.

    Parameters
    ----------
    arrivals : sequence of Arrival
        What came.
    factor : float
        > 0; 1.2: a fifth of the runs comes twice, up to an hour apart. 0.8: a fifth does not come.
    seed : int, default 0
        Of the choice.
    """
    randomness, found = Random(seed), []
    for each in arrivals:
        times = int(factor) + (randomness.random() < factor % 1)
        for number in range(times):
            later_s = randomness.uniform(0.0, _HOUR_S) if number else 0.0
            name = f"{each.run_id}+{number}" if number else each.run_id
            found.append(replace(each, run_id=name, at_s=each.at_s + later_s))
    return found


def _count(runs: int) -> str:
    return "1 run has" if runs == 1 else f"{runs:,} runs have"
