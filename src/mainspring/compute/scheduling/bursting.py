"""When runs go to rented machines: where home has nothing free, after a wait, as long as there is money."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.cluster import Cluster, Free
from mainspring.compute.scheduling.demands import WHOLE, Demand, Spot
from mainspring.compute.scheduling.state import State
from mainspring.domain.units import format_duration


class Home(NamedTuple):
    """What is there anyway of what a demand asks.

    Attributes
    ----------
    free, whole : int
        Devices of the types asked that nobody holds, and all of them; of a demand without devices: machines that hold
        it now, and those that could.
    could_hold : bool
        If nothing ran, it would be held.
    """

    free: int
    whole: int
    could_hold: bool


def look_at_home(cluster: Cluster, demand: Demand) -> Home:
    """Count what is free at home of what a demand asks; what is kept for somebody is free."""
    free = whole = 0
    could: Counter[str] = Counter()
    for each in cluster:
        if each.machine.rent is not None or each.drained or not each.suits(demand):
            continue
        fits = not Free(each.machine).find_lack(demand)
        could[each.machine.pool] += fits
        if demand.gpus:
            whole += each.machine.gpus
            free += sum(milli >= demand.gpu_milli for milli in each.devices)
        elif fits:
            whole += 1
            free += each.cpu_milli >= demand.cpu_milli and each.memory_bytes >= demand.memory_bytes
    return Home(free, whole, max(could.values(), default=0) >= demand.nodes)


class Offer(NamedTuple):
    """A place on rented machines, or why there is none."""

    spots: tuple[Spot, ...]
    refusal: str


def judge(state: State, job: Job, pool: str, now: float) -> Offer:
    """Decide whether a run is placed in a rented pool.

    Parameters
    ----------
    state : State
        Nothing of it is changed.
    job : Job
        It waits, and asks for no pool.
    pool : str
        One of `Renting.rents`.
    now : float
        Seconds.

    Returns
    -------
    Offer
        With a place, or the one reason why not.

    Notes
    -----
    Guarantees: no place while a device at home that the run might use is free, however little of one that is asked
    for; none on a machine that nobody rents yet before the run has waited as long as the pool says: a run is taken
    to wait at least as long as it has. So do those that home could not hold, for an engine at home may only be late
    with its answer. What is rented already takes others without a wait until it has been idle for as long as the pool
    says, so that machines are not given back and rented again in turns.
    """
    renting, demand = state.renting, job.demand
    spent = renting.find_spent(job.tenant)
    if spent:
        return Offer((), f"the budget of {spent} is spent")
    home = look_at_home(state.cluster, demand)
    if home.could_hold and home.free:
        return Offer((), f"home has {home.free} of {home.whole} {_name(demand)} free")
    spots = state.find(demand._replace(pool=pool))
    if spots is None:
        return Offer((), _find_why(state, demand._replace(pool=pool)))
    waited, after_s = now - job.submitted_s, renting.rents[pool].after_s
    if waited < after_s and not all(renting.is_open(spot.machine, now) for spot in spots):
        return Offer((), f"waits {_tell(waited)}, bursts after {format_duration(after_s)}")
    return Offer(spots, "")


def explain_rents(state: State, job: Job, now: float) -> list[str]:
    """Return for each rented pool why a run that waits, and asks for no pool, is not placed there."""
    if job.demand.pool:
        return []
    return [
        f"{pool}: {offer.refusal}" for pool in state.renting.rents if (offer := judge(state, job, pool, now)).refusal
    ]


def find_due_s(state: State, now: float) -> float:
    """Return when the next run has waited long enough for a rented machine; infinite: none will."""
    due = [
        job.submitted_s + rent.after_s
        for rent in state.renting.rents.values()
        for job in state.backlog
        if job.submitted_s + rent.after_s > now
    ]
    return min(due, default=float("inf"))


def _find_why(state: State, demand: Demand) -> str:
    """Tell why no machine of a pool takes a demand now."""
    there = [free for free in state.cluster if free.machine.pool == demand.pool]
    if demand.zone and all(free.machine.zone != demand.zone for free in there):
        return "it may not hold what is sensitive"
    if all(free.machine.owner and free.machine.owner not in demand.owners for free in there):
        return f"it takes runs of {there[0].machine.owner} alone"
    could = sum(Free(free.machine).holds(demand) for free in there) >= demand.nodes
    return "it is full" if could else "none of its machines could hold it"


def _name(demand: Demand) -> str:
    if not demand.gpus:
        return "machines that hold it"
    return "/".join(demand.gpu_types) or ("parts of a gpu" if demand.gpu_milli < WHOLE else "gpus")


def _tell(waited_s: float) -> str:
    """Return whole minutes, or seconds of less than one.

    Examples
    --------
    >>> _tell(190), _tell(20.4)
    ('3min', '20s')
    """
    return f"{waited_s // 60:.0f}min" if waited_s >= 60 else f"{max(0.0, waited_s):.0f}s"
