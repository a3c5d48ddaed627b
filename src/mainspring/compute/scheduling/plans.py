"""What would have been: the queue's past played as it was and with a change, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from mainspring.compute.scheduling.demands import Machine
from mainspring.compute.scheduling.entitlements import Entitlement
from mainspring.compute.scheduling.figures import Figures, sum_up
from mainspring.compute.scheduling.policies import LIVE
from mainspring.compute.scheduling.simulation import Arrival, Simulated, simulate
from mainspring.domain.units import format_span

_POINTS = 200
"""Of a curve."""


class Played(msgspec.Struct, frozen=True):
    """The past, played once.

    Attributes
    ----------
    machines, gpus : int
        Machines, and devices on them.
    cpus : float
        Cores.
    figures : Figures
        What came of it.
    waits : list of (float, float)
        Seconds, and which part of the runs had started after so long.
    """

    machines: int
    gpus: int
    cpus: float
    figures: Figures
    waits: list[tuple[float, float]]


class Plan(msgspec.Struct, frozen=True):
    """The past as it was decided today, and with a change.

    Attributes
    ----------
    change : str
        ``2 gpus more in lab``.
    answer : str
        What the change does, in a sentence.
    since_s : float
        Over how long; seconds.
    waited_p50_s : float or None
        What half of the runs really waited at most: how far the first course is from what was.
    notes : list of str
        What had to be mended in the record.
    """

    change: str
    answer: str
    since_s: float
    today: Played
    planned: Played
    waited_p50_s: float | None
    notes: list[str]


def play(
    machines: Sequence[Machine],
    arrivals: Sequence[Arrival],
    agreed: Mapping[str, Entitlement],
    *,
    told: Callable[[int], object] = lambda _: None,
) -> Played:
    """Play the past by the policy of the live queue.

    Parameters
    ----------
    machines : sequence of Machine
        The cluster.
    arrivals : sequence of Arrival
        What came.
    agreed : mapping of str to Entitlement
        Tenant -> what was agreed about its part.
    told : callable, optional
        Called with the number of runs that have ended, now and then.
    """
    simulated = simulate(machines, arrivals, LIVE, agreed=agreed, told=told)
    gpus = sum(machine.gpus for machine in machines)
    return Played(
        len(machines),
        gpus,
        sum(machine.cpu_milli for machine in machines) / 1000,
        sum_up(simulated, gpus, LIVE.name, 0),
        _draw(simulated),
    )


def tell_answer(change: str, today: Figures, planned: Figures) -> str:
    """Say what a change does to the wait: to its median, or mean or 99th percentile where that is the same.

    Where the longest waits move the other way, that is said, too.
    """
    if planned.refused > today.refused:
        return f"with {change} {planned.refused - today.refused:,} of the runs could never start"
    moves = [_tell_move(today, planned, field) for field in ("wait_p50_s", "wait_mean_s", "wait_p99_s")]
    told = next(((name, move) for name, move in zip(("median", "mean", "longest"), moves, strict=True) if move), None)
    if told is None:
        return f"with {change} runs wait as long as they do: {format_span(today.wait_mean_s)} on the mean"
    name, move = told
    longest = moves[-1] if moves[-1][:5] != move[:5] else ""
    also = f", that of the longest hundredth {longest}" if longest else ""
    return f"with {change} the {name} wait {move}{also}"


def _tell_move(today: Figures, planned: Figures, field: str) -> str:
    """Say how a figure moves; empty: it is told alike."""
    before, after = getattr(today, field), getattr(planned, field)
    told = format_span(before), format_span(after)
    return f"{'falls' if after < before else 'rises'} from {told[0]} to {told[1]}" if told[0] != told[1] else ""


def _draw(simulated: Simulated) -> list[tuple[float, float]]:
    waits = sorted(each.began_s - each.arrival.at_s for each in simulated.courses)
    if not waits:
        return []
    places = [round(number * (len(waits) - 1) / (_POINTS - 1)) for number in range(_POINTS)]
    return [(waits[place], (place + 1) / len(waits)) for place in dict.fromkeys(places)]
