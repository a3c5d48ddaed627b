"""What runs ask and nodes have, as decisions see it, and what is said where the one does not fit the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from mainspring.compute.engine import Node
from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.cluster import Free
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Rent
from mainspring.compute.scheduling.entitlements import KINDS
from mainspring.compute.scheduling.shares import measure
from mainspring.compute.scheduling.state import State
from mainspring.domain.pools import LOCAL_POOL, Pool, split_place
from mainspring.domain.records import Resources
from mainspring.domain.units import format_size

# These spend their time waiting for children; a core that they held, a child would miss.
_WAITING_KINDS = frozenset({"pipeline", "study"})

SITE = "site"
"""The zone of the machines that may hold what is sensitive."""

_TRAVELLING_KINDS = frozenset({"step", "trial", "command"})
"""Kinds that any pool may take; the others work with what lies here."""


def make_demand(kind: str, asked: Resources) -> Demand:
    """Return what a run of a kind is counted with; one that only waits takes no cores.

    Examples
    --------
    >>> make_demand("trial", Resources(cpus=2, gpus=0.5))
    Demand(cpu_milli=2000, memory_bytes=0, gpus=1, gpu_milli=500, gpu_types=(), nodes=1, pool='', zone='', owners=())
    >>> make_demand("pipeline", Resources()).cpu_milli
    0
    """
    # Rounded down: as many as may run by what they ask must fit.
    cpu_milli = 0 if kind in _WAITING_KINDS else max(1, int(asked.cpus * 1000 + 1e-6))
    part = 0 < asked.gpus < 1
    gpu_milli = max(1, int(asked.gpus * WHOLE + 1e-6)) if part else WHOLE
    gpus = 1 if part else math.ceil(asked.gpus)
    zone, types = SITE if asked.sensitive else "", tuple(sorted(asked.gpu_types)) if gpus else ()
    pool = find_pool(kind, asked)
    return Demand(cpu_milli, asked.memory_bytes or 0, gpus, gpu_milli, types, asked.nodes, pool, zone)


def find_pool(kind: str, asked: Resources) -> str:
    """Return the only pool in which a run may be placed; empty: any, those at home first.

    Examples
    --------
    >>> find_pool("step", Resources()), find_pool("gate", Resources()), find_pool("step", Resources(pool="lab"))
    ('', 'local', 'lab')
    """
    return asked.pool or ("" if kind in _TRAVELLING_KINDS else LOCAL_POOL)


def make_machine(node: Node, pool: Pool | None = None, *, delegated: bool = False) -> Machine:
    """Return a node, named by its place, as decisions see it; of a pool of which nothing is known it is nobody's.

    With `delegated` its engine has a queue of its own.
    """
    told = pool or Pool(split_place(node.name)[0], "")
    return Machine(
        node.name,
        round(node.cpus * 1000),
        node.memory_bytes,
        int(node.gpus),
        node.gpu_type,
        pool=told.name,
        away=told.name != LOCAL_POOL,
        zone=SITE if told.may_hold_sensitive else "",
        owner=told.owner,
        rent=Rent(told.price, told.burst_after_s, told.idle_s) if told.price else None,
        delegated=delegated,
        alone=node.alone,
    )


def find_misfit(nodes: Sequence[Node], kind: str, asked: Resources) -> str:
    """Tell why no node could ever hold a run, of whichever pool they are.

    Returns
    -------
    str
        What it asks and what the largest node has; empty when one can hold it.

    Examples
    --------
    >>> find_misfit([Node("local", 2, 8_000_000_000)], "step", Resources(cpus=4))
    'it asks 4 cpus; the largest node, local, has 2'
    >>> find_misfit([Node("hpc/n1", 2, 8_000_000_000, alone=True)], "step", Resources(nodes=2))
    'it asks 2 nodes; the engine of hpc/n1 has no nodes begin together'
    """
    if not nodes:
        return "the pool has no node"
    if asked.gpus > 1 and asked.gpus % 1:
        return f"it asks {asked.gpus:g} gpus; whole devices are given, or a part of one"
    demand, machines = make_demand(kind, asked), [make_machine(node) for node in nodes]
    if demand.nodes > 1:
        machines = [machine for machine in machines if not machine.alone]
        if not machines:
            return f"it asks {demand.nodes} nodes; the engine of {nodes[0].name} has no nodes begin together"
    if demand.gpus and not any(machine.gpus and demand.takes(machine.gpu_type) for machine in machines):
        if any(machine.gpus for machine in machines):
            return f"it asks gpus of type {' or '.join(asked.gpu_types)}; there are {_list_types(machines)}"
    elif demand.gpus:
        machines = [machine for machine in machines if machine.gpus and demand.takes(machine.gpu_type)]
    lacks = [Free(machine).find_lack(demand) for machine in machines]
    if "" in lacks:
        return _find_short_gang(demand, [each for each, lack in zip(machines, lacks, strict=True) if not lack])
    if lacks[0] == "cpus":
        most = max(machines, key=lambda machine: machine.cpu_milli)
        has = f"{most.cpu_milli / 1000:g}"
        return f"it asks {count(demand.cpu_milli / 1000, 'cpu')}; the largest node, {most.name}, has {has}"
    if lacks[0] == "gpus":
        most = max(machines, key=lambda machine: machine.gpus)
        return f"it asks {count(asked.gpus, 'gpu')}; the largest node, {most.name}, has {most.gpus}"
    most = max(machines, key=lambda machine: machine.memory_bytes)
    asked_memory, has = format_size(demand.memory_bytes), format_size(most.memory_bytes)
    return f"it asks {asked_memory} of memory; the largest node, {most.name}, has {has}"


def _find_short_gang(demand: Demand, fitting: Sequence[Machine]) -> str:
    """Tell why no pool has so many machines as a gang asks, of those that could each hold a member."""
    pool, most = Counter(machine.pool for machine in fitting).most_common(1)[0]
    if most >= demand.nodes:
        return ""
    each = [count(demand.cpu_milli / 1000, "cpu")]
    each += [count(demand.gpus * demand.gpu_milli / WHOLE, "gpu")] if demand.gpus else []
    each += [format_size(demand.memory_bytes)] if demand.memory_bytes else []
    has = f"{pool}, the nearest, has {count(most, 'such node')}"
    return f"it asks {demand.nodes} nodes of one pool with {', '.join(each)} each; {has}"


def _list_types(machines: Sequence[Machine]) -> str:
    """Return which devices there are, and where the first of each type is."""
    places: dict[str, str] = {}
    for machine in machines:
        if machine.gpus:
            places.setdefault(machine.gpu_type or "some of unknown type", machine.name)
    return ", ".join(f"{gpu_type} ({place})" for gpu_type, place in sorted(places.items()))


def explain_wait(state: State, job: Job) -> str:
    """Say what a run waits for.

    Returns
    -------
    str
        ``waiting for 1 of 2 cpus on local``: on the machine that lacks the least.
    """
    demand, limit = job.demand, state.find_limit(job)
    if limit:
        return f"waiting for the quota of {limit}: {_tell_limit(state, limit, demand)}"
    if state.renting.bars(job):
        return f"waiting for the pool {demand.pool}: the budget of {state.renting.find_spent(job.tenant)} is spent"
    fitting = [free for free in state.cluster if not free.drained and Free(free.machine).holds(demand)]
    together = _group_by_pool(fitting) if demand.nodes > 1 else [fitting]
    together = [group for group in together if len(group) >= demand.nodes]
    if not together and not demand.pool and state.renting.rents:
        return "waiting for a rented machine: those at home could not hold it"
    if not together:
        pool = demand.pool or LOCAL_POOL
        if state.room.get(pool, 1) <= 0:
            return f"waiting for the pool {pool}: as many runs as may be wait in its own queue"
        takes = "too few of its machines take" if demand.nodes > 1 else "none of its machines takes"
        return f"waiting for the pool {pool}: {takes} runs now"
    where = fitting[0].machine.name if len(fitting) == 1 else f"{len(fitting)} nodes"
    where = f"{demand.nodes} nodes at once" if demand.nodes > 1 else where
    part, text = min(sorted(_find_lacks(free, demand) for free in group)[demand.nodes - 1] for group in together)
    return f"waiting for {text} on {where}" if part else "waiting its turn: a larger run before it starts first"


def _group_by_pool(found: Sequence[Free]) -> list[list[Free]]:
    pools: dict[str, list[Free]] = {}
    for free in found:
        pools.setdefault(free.machine.pool, []).append(free)
    return [*pools.values()]


def count(number: float, noun: str) -> str:
    """Return ``1 cpu``, ``2 cpus``."""
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"


def _tell_limit(state: State, path: str, demand: Demand) -> str:
    """Return what of its limit a tenant holds, of what a run asks and would exceed."""
    held, limit, asked = state.shares.read_held(path), state.agreed[path].limit, measure(demand)
    kind = next(kind for kind in range(KINDS) if asked[kind] and held[kind] + asked[kind] > limit[kind])
    return f"it holds {format_amount(kind, held[kind])} of {format_amount(kind, limit[kind])}"


def format_amount(kind: int, amount: float) -> str:
    """Return an amount of one kind, in the order of `measure`, for people.

    Examples
    --------
    >>> format_amount(0, 1500), format_amount(1, 2e9), format_amount(2, 1000)
    ('1.5 cpus', '2 GB memory', '1 gpu')
    """
    if kind == 1:
        return f"{format_size(int(amount))} memory"
    return count(amount / WHOLE, "cpu" if kind == 0 else "gpu")


def _find_lacks(free: Free, demand: Demand) -> tuple[float, str]:
    """Return which part of what it lacks first is missing of a machine, and in words; what is kept back is there."""
    cpu_milli = demand.cpu_milli - max(free.cpu_milli, 0)
    if demand.cpu_milli and cpu_milli > 0:
        return cpu_milli / demand.cpu_milli, f"{cpu_milli / 1000:g} of {count(demand.cpu_milli / 1000, 'cpu')}"
    if demand.gpus:
        asked = demand.gpus * demand.gpu_milli
        has = max(free.devices) if demand.shares else free.devices.count(WHOLE) * WHOLE
        if has < asked:
            missing = asked - max(has, 0)
            return missing / asked, f"{missing / WHOLE:g} of {count(asked / WHOLE, 'gpu')}"
    memory = demand.memory_bytes - max(free.memory_bytes, 0)
    if demand.memory_bytes and memory > 0:
        return memory / demand.memory_bytes, f"{format_size(memory)} of {format_size(demand.memory_bytes)} memory"
    return 0.0, ""
