"""When a run that waits will start: the queue rolled forward many times, each time with other luck."""

from __future__ import annotations

import math
import time
from random import Random

import msgspec

from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.durations import Durations, Going
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.simulation import Arrival, Play
from mainspring.compute.scheduling.sketches import Sketch

HORIZON_S = 60 * 86_400.0
"""Nobody looks further."""

PART = 0.9
"""Of the starts that are to lie within what is foretold."""

_MOST_ARRIVALS = 1000
"""That are drawn for one course; in a longer one nobody comes any more."""

_MINUTE_S = 60.0


class Margin(msgspec.Struct, frozen=True):
    """By how much what is foretold is widened, on a scale of `stretch`."""

    before: float
    after: float


MARGIN = Margin(4.59, 0.88)
"""Found on the earlier part of a trace, and held on the later one (``python -m bench.intervals``)."""


class Forecast(msgspec.Struct, frozen=True):
    """When a run is likely to start.

    Attributes
    ----------
    low_s, half_s, high_s : float
        Seconds from now: 90 of 100 such runs start between the first and the last, 50 before the middle one.
    samples : int
        So many courses were rolled forward.
    """

    low_s: float
    half_s: float
    high_s: float
    samples: int


def forecast(
    sketch: Sketch, *, samples: int = 60, budget_s: float = math.inf, margin: Margin = MARGIN, seed: int = 0
) -> Forecast | None:
    """Foretell when a run starts.

    Parameters
    ----------
    sketch : Sketch
        The state, with the run that is asked about.
    samples : int, default 60
        Courses to roll forward.
    budget_s : float, default inf
        CPU seconds after which no further course is begun.
    margin : Margin, optional
        By how much it is widened; default: what a trace has taught.
    seed : int, default 0
        Of what is left to chance.

    Returns
    -------
    Forecast or None
        None where it starts in hardly any course: nothing that can be foretold makes room for it.

    Notes
    -----
    Each course draws how long what runs and waits will take from what is alike in the past (`Durations`; of what runs,
    from what lasted longer), and what comes from a stretch of the past that begins anywhere in it; then `decide`
    goes on as it would. The quantiles are widened by a margin found on held-out starts (split conformal prediction:
    Romano, Patterson and Candes, "Conformalized Quantile Regression", NeurIPS 2019).
    """
    typical, durations = sketch.count_typical(), Durations(sketch.past, _list_going(sketch))
    began, waits = time.process_time(), []
    for number in range(samples):
        waits.append(_roll(sketch, typical, durations, Random(f"{seed}/{number}")))
        if time.process_time() - began > budget_s:
            break
    waits.sort()
    if math.isinf(_quantile(waits, 0.5)):
        return None
    low, half, high = (_quantile(waits, part) for part in ((1 - PART) / 2, 0.5, (1 + PART) / 2))
    low, high = shrink(stretch(low) - margin.before), shrink(stretch(min(high, HORIZON_S)) + margin.after)
    return Forecast(min(low, half), half, max(high, half), len(waits))


def stretch(wait_s: float) -> float:
    """Return a wait on the scale on which errors are alike: logarithmic from about a minute on.

    Examples
    --------
    >>> round(shrink(stretch(3600.0)))
    3600
    """
    return math.log1p(wait_s / _MINUTE_S)


def shrink(stretched: float) -> float:
    """Return the wait of a place on the scale of `stretch`; before now: now."""
    return max(0.0, math.expm1(stretched) * _MINUTE_S)


def _roll(sketch: Sketch, typical: Mix, durations: Durations, randomness: Random) -> float:
    """Return after how long the run starts in one course; infinite: not within sight."""
    state = sketch.restore(typical, seed=randomness.randrange(1 << 30))
    play = Play(state, _draw_arrivals(sketch, durations, randomness), now=sketch.now)
    for each in list(state.running.values()):
        lasted_s = max(0.0, sketch.now - each.since_s)
        name = sketch.names.get(each.job.run_id, "")
        lasts_s = durations.draw(each.job.tenant, name, each.job.demand, randomness, after_s=lasted_s)
        play.go_on(each, max(0.0, lasts_s - lasted_s))
    for job in sketch.waiting:
        name = sketch.names.get(job.run_id, "")
        play.wait(job, durations.draw(job.tenant, name, job.demand, randomness))
    while sketch.run_id not in state.running:
        if not play.step() or play.now - sketch.now > HORIZON_S:
            return math.inf
    return play.now - sketch.now


def _list_going(sketch: Sketch) -> list[Going]:
    return [
        Going(each.job.tenant, sketch.names.get(each.job.run_id, ""), each.job.demand, sketch.now - each.since_s)
        for each in sketch.running
        if each.since_s < sketch.now
    ]


def _draw_arrivals(sketch: Sketch, durations: Durations, randomness: Random) -> list[Arrival]:
    """Let come again what came in the past, from anywhere in it on, and then from its beginning."""
    past = sketch.past
    if len(past) < 2:
        return []
    first = past[0].submitted_s
    span_s = sketch.now - first
    begin_s = first + randomness.random() * span_s
    arrivals = []
    for number, each in enumerate(past):
        at_s = each.submitted_s - begin_s
        at_s += span_s if at_s < 0 else 0.0
        lasts_s = durations.draw(each.tenant, each.name, each.demand, randomness)
        arrivals.append(Arrival(f"later{number}", each.tenant, each.demand, sketch.now + at_s, lasts_s))
    arrivals.sort(key=lambda each: each.at_s)
    return arrivals[:_MOST_ARRIVALS]


def _quantile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def starts_now(sketch: Sketch, typical: Mix) -> bool:
    """Tell whether the run that is asked about starts at once in a state."""
    state = sketch.restore(typical)
    for job in sketch.waiting:
        state.submit(job)
    return any(each.run_id == sketch.run_id for each in decide(state, sketch.now).begun)
