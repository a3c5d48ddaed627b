"""How often runs start within what was foretold; on demand, never in CI.

    python -m bench.intervals --to docs/benchmarks/intervals.md

A part of the Philly trace is played on few machines by the policy of the live queue. Now and then a run that waits is
asked about: when will it start? Its forecast knows the queue at that moment and what ended before, nothing
else. On the earlier half of those moments the margin is found by which forecasts are widened, on the later half it is
held.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench.philly import PER_NODE, read_arrivals
from mainspring.compute.scheduling.demands import Machine
from mainspring.compute.scheduling.durations import Past
from mainspring.compute.scheduling.forecasts import MARGIN, PART, Forecast, Margin, forecast, shrink, stretch
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.line import list_in_line
from mainspring.compute.scheduling.policies import LIVE
from mainspring.compute.scheduling.simulation import Arrival, Play
from mainspring.compute.scheduling.sketches import Sketch, sketch
from mainspring.compute.scheduling.state import State

_PAST = 600
"""Runs that are known of; the live queue looks at as many."""

BUDGET_S = 1.0
"""CPU seconds of one forecast; the owner allows two."""

_BARE = Margin(0.0, 0.0)


class Asked(NamedTuple):
    """A run that was asked about: what was known, what history alone says, and how long it still waited."""

    sketch: Sketch
    history: tuple[float, float]
    wait_s: float


class Told(NamedTuple):
    """An interval, and what came true; seconds."""

    low_s: float
    high_s: float
    wait_s: float


def ask(arrivals: Sequence[Arrival], nodes: int, count: int, seed: int) -> list[Asked]:
    """Play a trace, and ask about runs that wait at moments drawn by chance."""
    machines = [Machine(f"node{number:03d}", 0, 0, PER_NODE) for number in range(nodes)]
    play = Play(State(machines, LIVE, Mix.of(each.demand for each in arrivals)), arrivals)
    came = {each.run_id: each for each in arrivals}
    randomness, found = Random(seed), []
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    order: list[str] = []
    moments = 0
    while play.step():
        for run_id in play.state.running:
            if run_id not in began:
                began[run_id] = play.now
                order.append(run_id)
        for run_id in order[-5 * _PAST :]:
            if run_id not in play.state.running and run_id not in ended and run_id not in play.state.backlog:
                ended[run_id] = play.now
        if len(order) > _PAST and len(play.state.backlog) and randomness.random() < 0.02:
            moments += 1
            run_id = randomness.choice([job.run_id for job in play.state.backlog])
            past = sorted(
                (
                    Past(came[each].tenant, "", came[each].demand, came[each].at_s, began[each], ended.get(each))
                    for each in order[-_PAST:]
                ),
                key=lambda each: each.submitted_s,
            )
            line = list_in_line(play.state, play.now)
            known = sketch(play.state, run_id, play.now, line=line, past=past, most=500)
            job = next(job for job in line if job.run_id == run_id)
            found.append((known, _read_history(past, job.demand.gpus, play.now - job.submitted_s), run_id))
    kept = [each for each in found if each[2] in began]
    chosen = sorted(randomness.sample(range(len(kept)), min(count, len(kept))))
    return [Asked(kept[n][0], kept[n][1], began[kept[n][2]] - kept[n][0].now) for n in chosen]


def _read_history(past: Sequence[Past], gpus: int, waited_s: float) -> tuple[float, float]:
    """Return what history alone says: the quantiles of waits of runs with as many devices that waited longer."""
    waits = sorted(each.began_s - each.submitted_s for each in past if each.demand.gpus == gpus)
    longer = [each - waited_s for each in waits if each > waited_s] or list(waits[-1:]) or [0.0]
    low, high = (longer[min(len(longer) - 1, int(part * len(longer)))] for part in ((1 - PART) / 2, (1 + PART) / 2))
    return max(0.0, low), max(0.0, high)


def fit(told: Sequence[Told]) -> Margin:
    """Return the margins with which so many of these starts lie within: each side for itself (split conformal)."""
    missed = [sorted(stretch(each.low_s) - stretch(each.wait_s) for each in told)]
    missed.append(sorted(stretch(each.wait_s) - stretch(each.high_s) for each in told))
    rank = min(len(told) - 1, math.ceil((len(told) + 1) * (1 + PART) / 2) - 1)
    return Margin(*(side[rank] for side in missed))


def widen(told: Told, margin: Margin) -> Told:
    """Return an interval with a margin."""
    low, high = shrink(stretch(told.low_s) - margin.before), shrink(stretch(told.high_s) + margin.after)
    return Told(low, max(low, high), told.wait_s)


def row(name: str, told: Sequence[Told]) -> str:
    """Return how often the starts lay within, and how wide it was."""
    within = statistics.fmean(each.low_s <= each.wait_s <= each.high_s for each in told)
    widths = sorted(each.high_s - each.low_s for each in told)
    return (
        f"| {name} | {within:.1%} | {widths[len(widths) // 2] / 60:.0f} min | {statistics.fmean(widths) / 60:.0f} min |"
    )


def _tell(samples: int, asked: Asked) -> tuple[Forecast | None, float]:
    began = time.process_time()
    return forecast(asked.sketch, samples=samples, margin=_BARE, budget_s=BUDGET_S), time.process_time() - began


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--keep", type=float, default=0.06, help="part of the jobs, drawn by chance")
    parser.add_argument("--jobs", type=int, default=3000, help="so many of them at most")
    parser.add_argument("--asked", type=int, default=300)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    randomness = Random(options.seed)
    kept = [each for each in read_arrivals() if randomness.random() < options.keep]
    asked = ask(kept[: options.jobs], options.nodes, options.asked, options.seed)
    found = [_tell(options.samples, each) for each in asked]
    pairs = [
        (Told(told.low_s, told.high_s, each.wait_s), Told(*each.history, each.wait_s))
        for (told, _), each in zip(found, asked, strict=True)
        if told is not None
    ]
    half = len(pairs) // 2
    margin = fit([ours for ours, _ in pairs[:half]])
    later = pairs[half:]
    costs = sorted(cpu_s for _, cpu_s in found)
    lines = [
        _HEAD.format(
            asked=len(pairs), half=half, nodes=options.nodes, jobs=len(kept[: options.jobs]), margin=margin,
            silent=len(found) - len(pairs), cpu_s=costs[len(costs) // 2], samples=options.samples,
            wait=statistics.median(each.wait_s for each in asked) / 60,
        ),
        row("rolled forward, with the margin found before", [widen(ours, margin) for ours, _ in later]),
        row("rolled forward, with the margin that is built in", [widen(ours, MARGIN) for ours, _ in later]),
        row("rolled forward, as it is", [ours for ours, _ in later]),
        row("quantiles of past waits", [history for _, history in later]),
        row("quantiles of past waits, with a margin found before",
            [widen(history, fit([each for _, each in pairs[:half]])) for _, history in later]),
    ]  # fmt: skip
    print("\n".join(lines))
    if options.to:
        options.to.write_text("\n".join(lines) + "\n", "utf-8")


_HEAD = """# When a run will start

{jobs:,} jobs of the Philly trace on {nodes} machines of 8 devices, played by the policy of the live queue. {asked} runs
that waited were asked about ({silent} more could not be told anything); half of them waited {wait:.0f} minutes or more
from then on. Each forecast rolls the queue forward {samples} times with durations and arrivals drawn from the {past}
runs before it; {cpu_s:.2f} CPU s for one on the median. The margin was found on the {half} earlier ones (before:
{margin.before:.2f}, after: {margin.after:.2f} on a logarithmic scale) and is held here on the later ones. Written by
`python -m bench.intervals --to FILE`.

| 90 % interval | starts within | width, median | width, mean |
|---|---|---|---|""".replace("{past}", str(_PAST))


if __name__ == "__main__":
    main()
