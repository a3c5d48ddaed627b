"""The one change with which a run that waits would start now."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine
from mainspring.compute.scheduling.entitlements import FREE, KINDS, Entitlement
from mainspring.compute.scheduling.fitting import count, format_amount
from mainspring.compute.scheduling.forecasts import starts_now
from mainspring.compute.scheduling.shares import measure
from mainspring.compute.scheduling.sketches import Sketch
from mainspring.compute.scheduling.state import State
from mainspring.domain.units import format_size

_AWAY = "extra"
"""The name of a machine that is not there."""


def find_remedy(sketch: Sketch) -> str:
    """Find the smallest change with which the run starts now.

    Parameters
    ----------
    sketch : Sketch
        The state, with the run that is asked about.

    Returns
    -------
    str
        ``resume node lab/n3``; empty when the run starts anyway, or no single change is enough.

    Notes
    -----
    Each is tried on the state by `decide` before it is told. Tried are, in this order: a quota that is larger, a
    machine that is resumed, a run that asks less, any pool, precedence by a guarantee, and more machines.
    """
    typical = sketch.count_typical()
    if starts_now(sketch, typical):
        return ""
    state = sketch.restore(typical)
    for text, changed in _list_changes(sketch, state):
        if starts_now(changed, typical):
            return text
    return ""


def _list_changes(sketch: Sketch, state: State) -> Iterator[tuple[str, Sketch]]:
    """Yield what may be changed, and the state with it."""
    job, demand = sketch.job, sketch.job.demand
    limit = state.find_limit(job)
    if limit:
        yield _raise_limit(sketch, state, limit)
        yield from _ask_less(sketch)
        return
    for machine in sketch.drained:
        yield f"resume node {machine.name}", msgspec.structs.replace(sketch, machines=[*sketch.machines, machine])
    yield from _ask_less(sketch)
    if demand.pool and any(machine.pool != demand.pool for machine in sketch.machines):
        yield f"ask for any pool instead of {demand.pool}", _change_demand(sketch, demand._replace(pool=""))
    yield _guarantee(sketch, state)
    yield _add_machines(sketch)


def _raise_limit(sketch: Sketch, state: State, path: str) -> tuple[str, Sketch]:
    held, agreed, asked = state.shares.read_held(path), sketch.agreed[path], measure(sketch.job.demand)
    limit = list(agreed.limit)
    more = []
    for kind in range(KINDS):
        lacks = held[kind] + asked[kind] - limit[kind]
        if asked[kind] and lacks > 0:
            more.append(format_amount(kind, lacks))
            limit[kind] += lacks
    text = f"a quota of {' and '.join(more)} more for {path}"
    return text, _agree(sketch, path, agreed._replace(limit=tuple(limit)))


def _ask_less(sketch: Sketch) -> Iterator[tuple[str, Sketch]]:
    demand = sketch.job.demand
    for nodes in range(demand.nodes - 1, 0, -1):
        yield (
            f"ask for {count(nodes, 'node')} instead of {demand.nodes}",
            _change_demand(sketch, demand._replace(nodes=nodes)),
        )
    for gpus in range(demand.gpus - 1, 0, -1):
        text = f"ask for {count(gpus, 'gpu')} instead of {demand.gpus}"
        yield text, _change_demand(sketch, demand._replace(gpus=gpus))
    if demand.gpu_types:
        yield "ask for any type of gpu", _change_demand(sketch, demand._replace(gpu_types=()))
    for cpu_milli in _halve(demand.cpu_milli, 1000):
        text = f"ask for {count(cpu_milli / WHOLE, 'cpu')} instead of {demand.cpu_milli / WHOLE:g}"
        yield text, _change_demand(sketch, demand._replace(cpu_milli=cpu_milli))
    for memory_bytes in _halve(demand.memory_bytes, 1 << 28):
        text = f"ask for {format_size(memory_bytes)} of memory instead of {format_size(demand.memory_bytes)}"
        yield text, _change_demand(sketch, demand._replace(memory_bytes=memory_bytes))


def _halve(amount: int, least: int) -> Iterator[int]:
    """Yield half of an amount, a quarter, an eighth, down to the least."""
    while amount // 2 >= least:
        amount //= 2
        yield amount


def _guarantee(sketch: Sketch, state: State) -> tuple[str, Sketch]:
    """Let the run go before all others, where there is room for it but not its turn."""
    job = sketch.job
    held, asked = state.shares.read_held(job.tenant), measure(job.demand)
    kinds = [KINDS - 1] if asked[-1] else [kind for kind in range(KINDS) if asked[kind]]
    sure = tuple(int(held[kind]) + asked[kind] if kind in kinds else 0 for kind in range(KINDS))
    told = " and ".join(format_amount(kind, sure[kind]) for kind in kinds)
    agreed = sketch.agreed.get(job.tenant, FREE)._replace(guarantee=sure)
    return f"a guarantee of {told} for {job.tenant}", _agree(sketch, job.tenant, agreed)


def _add_machines(sketch: Sketch) -> tuple[str, Sketch]:
    demand = sketch.job.demand
    pool = demand.pool or next((machine.pool for machine in sketch.machines), "")
    kind = demand.gpu_types[0] if demand.gpu_types else ""
    machines = [
        Machine(f"{_AWAY}{number}", demand.cpu_milli, demand.memory_bytes, max(1, demand.gpus), kind, pool)
        if demand.gpus
        else Machine(f"{_AWAY}{number}", demand.cpu_milli, demand.memory_bytes, 0, "", pool)
        for number in range(demand.nodes)
    ]
    asked = count(math.ceil(demand.gpu_total_milli / WHOLE), "gpu") if demand.gpus else ""
    asked = asked or count(demand.cpu_milli * demand.nodes / WHOLE, "cpu")
    where = f" in the pool {pool}" if pool else ""
    return f"{asked} more{where}", msgspec.structs.replace(sketch, machines=[*sketch.machines, *machines])


def _agree(sketch: Sketch, path: str, agreed: Entitlement) -> Sketch:
    return msgspec.structs.replace(sketch, agreed={**sketch.agreed, path: agreed})


def _change_demand(sketch: Sketch, demand: Demand) -> Sketch:
    waiting = [
        msgspec.structs.replace(job, demand=demand) if job.run_id == sketch.run_id else job for job in sketch.waiting
    ]
    return msgspec.structs.replace(sketch, waiting=waiting)
