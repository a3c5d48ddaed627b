"""What a simulated trace is told by: how long runs took and waited, how even it was, what was lost."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import msgspec

from mainspring.compute.scheduling.demands import WHOLE
from mainspring.compute.scheduling.simulation import Course, Simulated

_HOUR_S = 3600.0
_FAIR = 1.05


class Figures(msgspec.Struct, frozen=True):
    """The figures of a simulated trace; times in seconds, from arrival.

    Attributes
    ----------
    policy, seed : str, int
        How it was played.
    runs, refused : int
        Those that ended, and those that the cluster could never hold.
    completion_mean_s, completion_p50_s, completion_p99_s : float
        From arrival to end.
    wait_mean_s, wait_p50_s, wait_p99_s, wait_max_s : float
        From arrival to the first start.
    makespan_s : float
        From the first arrival to the last end.
    utilisation, goodput : float
        Part of the devices that was given out, and part that did work that lasted, on the mean over the makespan.
    jain : float
        How evenly tenants got what they were entitled to while they waited, at most 1.
    preemptions, lost_gpu_hours : int, float
        Runs that gave way, and device hours that were done twice.
    slowdown_p99 : float
        From arrival to end, by the run's own duration, at least a minute; of 100 runs the second worst.
    decisions : int
        How often was decided.
    off_site, idle_bursts : int
        Starts outside the zone that a run may not leave, and on rented machines while home had something free of what
        was asked: both are 0, or something is wrong.
    cost : float
        Of rented machines, for the time that runs had them.
    fragmentation : float
        Part of the devices that lay idle while runs waited that asked for so many, on the mean over the makespan: what
        it costs that cores, memory or devices side by side are lacking, or that the order is kept.
    finish_time_p99, unfair : float
        From arrival to end, by what the run would have taken on a part of its own, which is the devices by the tenants
        that were there meanwhile (finish-time fairness: Mahajan and others, NSDI 2020); 99 % of the runs are below the
        first, and the second is the part that is above 1.05.
    notes : list of str
        What was mended in the trace.
    """

    policy: str
    seed: int
    runs: int
    refused: int
    completion_mean_s: float
    completion_p50_s: float
    completion_p99_s: float
    wait_mean_s: float
    wait_p50_s: float
    wait_p99_s: float
    wait_max_s: float
    makespan_s: float
    utilisation: float
    goodput: float
    jain: float
    preemptions: int
    lost_gpu_hours: float
    slowdown_p99: float
    decisions: int
    off_site: int
    idle_bursts: int
    cost: float
    fragmentation: float = 0.0
    finish_time_p99: float = 0.0
    unfair: float = 0.0
    notes: list[str] = []


def sum_up(simulated: Simulated, gpus: int, policy: str, seed: int, notes: Sequence[str] = ()) -> Figures:
    """Compute the figures of a simulated trace.

    Parameters
    ----------
    simulated : Simulated
        The trace, at its end.
    gpus : int
        Devices of the cluster.
    policy, seed : str, int
        How it was played.
    notes : sequence of str, optional
        What was mended in the trace.
    """
    courses = simulated.courses
    completions = sorted(each.ended_s - each.arrival.at_s for each in courses)
    waits = sorted(each.began_s - each.arrival.at_s for each in courses)
    slowdowns = sorted((each.ended_s - each.arrival.at_s) / max(each.arrival.duration_s, 60.0) for each in courses)
    useful = sum(each.arrival.duration_s * each.arrival.demand.gpu_total_milli / WHOLE for each in courses)
    rhos = _measure_finish(courses, gpus)
    room = gpus * simulated.span_s or math.inf
    return Figures(
        policy,
        seed,
        len(courses),
        simulated.refused,
        _mean(completions),
        _quantile(completions, 0.5),
        _quantile(completions, 0.99),
        _mean(waits),
        _quantile(waits, 0.5),
        _quantile(waits, 0.99),
        _quantile(waits, 1.0),
        simulated.span_s,
        simulated.gpu_s_held / room,
        useful / room,
        simulated.jain,
        simulated.preemptions,
        sum(each.lost_gpu_s for each in courses) / _HOUR_S,
        _quantile(slowdowns, 0.99),
        simulated.decisions,
        simulated.off_site,
        simulated.idle_bursts,
        simulated.cost,
        simulated.gpu_s_wanted / room,
        _quantile(rhos, 0.99),
        sum(rho > _FAIR for rho in rhos) / len(rhos) if rhos else 0.0,
        [*notes],
    )


def _measure_finish(courses: Sequence[Course], gpus: int) -> list[float]:
    """Return how much longer each run took than it would have on a part of its own, in order.

    A run that asks more devices than its part has takes as much longer there as its part is smaller.
    """
    here: dict[str, tuple[float, float]] = {}
    for each in courses:
        first, last = here.get(each.arrival.tenant, (math.inf, -math.inf))
        here[each.arrival.tenant] = (min(first, each.arrival.at_s), max(last, each.ended_s))
    starts, ends = sorted(first for first, _ in here.values()), sorted(last for _, last in here.values())
    rhos = []
    for each in courses:
        asked, lasts_s = each.arrival.demand.gpu_total_milli / WHOLE, each.arrival.duration_s
        if asked and lasts_s:
            tenants = max(1, bisect_right(starts, each.ended_s) - bisect_left(ends, each.arrival.at_s))
            alone_s = lasts_s * max(1.0, asked * tenants / gpus)
            rhos.append((each.ended_s - each.arrival.at_s) / max(alone_s, 60.0))
    return sorted(rhos)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0
