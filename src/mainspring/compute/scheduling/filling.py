"""The published protocol of placement: runs arrive and never leave, until more was asked than there is.

Of "Beware of Fragmentation" (Weng and others, USENIX ATC 2023): the demands of a trace are shuffled
and, once all have come, drawn again, until the devices that were asked for are so many per cent of
those that there are. What cannot be placed is turned away. The figure is how much of the devices is
allocated in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import msgspec

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.demands import Demand, Machine
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.policies import POLICIES
from mainspring.compute.scheduling.state import State
from mainspring.domain.errors import Invalid

PLACEMENTS = ("mainspring", "best-fit", "random")
"""Rules by which machines are chosen."""


class Filled(msgspec.Struct, frozen=True):
    """How full a cluster became.

    Attributes
    ----------
    policy, seed : str, int
        How it was filled.
    arrived, placed : int
        Runs that came, and those that got a place.
    arrived_percent, allocated_percent : float
        Devices asked for and devices given, of those that there are.
    curve : list of (float, float)
        Both, after each per cent that arrived.
    """

    policy: str
    seed: int
    arrived: int
    placed: int
    arrived_percent: float
    allocated_percent: float
    curve: list[tuple[float, float]]


def fill(
    machines: Sequence[Machine],
    demands: Sequence[Demand],
    policy: str,
    seed: int,
    percent: float = 130.0,
    *,
    told: Callable[[tuple[float, float]], object] = lambda _: None,
) -> Filled:
    """Fill a cluster until so much was asked for.

    Parameters
    ----------
    machines : sequence of Machine
        With devices.
    demands : sequence of Demand
        Of a trace; at least one asks for devices.
    policy : str
        One of `PLACEMENTS`. Ours takes the whole trace for what is typical.
    seed : int
        Of the order, and of what is left to chance.
    percent : float, default 130
        Of the devices of the cluster, > 0.
    told : callable, optional
        Called with each point of the curve.

    Returns
    -------
    Filled
        The same for the same arguments.

    Raises
    ------
    Invalid
        SIM-002 for machines or demands without devices: there would be no end.
    """
    # Nobody ends and nobody waits, so the machine is all that is left to decide.
    rules = msgspec.structs.replace(POLICIES[policy], preempts=False, patience_s=0.0)
    state = State(machines, rules, Mix.of(demands), seed=seed + 1)
    capacity = state.cluster.gpu_milli
    _check_devices(capacity, demands)
    order = Random(seed)
    shuffled = list(demands)
    order.shuffle(shuffled)
    arrived, asked_milli, placed = 0, 0, 0
    curve: list[tuple[float, float]] = []
    while asked_milli < capacity * percent / 100:
        demand = shuffled[arrived] if arrived < len(shuffled) else order.choice(shuffled)
        arrived += 1
        asked_milli += demand.gpu_total_milli
        state.submit(Job(str(arrived), "", demand, 0.0))
        if decide(state, 0.0).begun:
            placed += 1
        else:
            state.stop(str(arrived), 0.0)
        if asked_milli >= capacity * (len(curve) + 1) / 100:
            curve.append((100 * asked_milli / capacity, 100 * state.cluster.allocated_gpu_milli / capacity))
            told(curve[-1])
    allocated = 100 * state.cluster.allocated_gpu_milli / capacity
    return Filled(policy, seed, arrived, placed, 100 * asked_milli / capacity, allocated, curve)


def _check_devices(capacity: int, demands: Sequence[Demand]) -> None:
    if not capacity or not any(demand.gpus for demand in demands):
        what = "no run of the trace asks for a device" if capacity else "no machine has a device"
        raise Invalid("SIM-002", f"{what}, so nothing is ever full")
