"""CMA-ES by the package that Optuna's sampler wraps: here as a fold, without state kept between trials."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import cmaes
import numpy as np

from mainspring.domain.errors import Invalid
from mainspring.tuning.space import Entry, Range, Space, draw_one, walk
from mainspring.tuning.trials import Trial, sign_of

_SIGMA = 1 / 6
"""Of the unit cube, as Optuna begins."""


class CmaesSearcher:
    """Covariance matrix adaptation over the ranges that every point has; the rest is drawn evenly.

    Source: Hansen, "The CMA Evolution Strategy: A Tutorial", arXiv 1604.00772. Trials in order of
    their number make up generations. Who was pruned ranks behind who finished, and before who
    failed.
    """

    def ask(
        self, space: Space, trials: Sequence[Trial], *, count: int, modes: Sequence[str], seed: int
    ) -> list[dict[str, Any]]:
        """Return the next points.

        Raises
        ------
        Invalid
            TUNE-007 without a range, or with several metrics.
        """
        ranges = {name: entry for name, entry in space.items() if isinstance(entry, Range)}
        if not ranges or len(modes) > 1:
            what = "moves through ranges, and the space has none" if not ranges else "searches by one metric"
            raise Invalid("TUNE-007", f"searcher 'cmaes' {what}", fix='searcher="tpe"', setting="searcher")
        size = 4 + math.floor(3 * math.log(len(ranges)))
        cube = np.tile([0.0, 1.0], (len(ranges), 1))
        middle = np.full(len(ranges), 0.5)
        optimizer = cmaes.CMA(mean=middle, sigma=_SIGMA, bounds=cube, population_size=size, seed=seed % 2**32)
        for first in range(0, len(trials) - size + 1, size):
            optimizer.tell(_judge(ranges, trials[first : first + size], modes[0]))
        optimizer.reseed_rng((seed * 100_003 + len(trials)) % 2**32)
        points = []
        for number in range(count):
            place = dict(zip(ranges, optimizer.ask(), strict=True))
            chance = random.Random(f"{seed}:{len(trials) + number}")

            def choose(_path: str, name: str, entry: Entry, place: Any = place, chance: Any = chance) -> Any:
                known = name in place and entry is ranges.get(name)
                return _from_unit(ranges[name], float(place[name])) if known else draw_one(entry, chance)

            points.append(walk(space, choose))
        return points


def _judge(ranges: dict[str, Range], trials: Sequence[Trial], mode: str) -> list[tuple[Any, float]]:
    """Return each trial's place in the unit cube, and its rank: only order counts."""

    def badness(trial: Trial) -> tuple[int, float, int]:
        kind = {"succeeded": 0, "pruned": 1}.get(trial.state, 2)
        return kind, -sign_of(mode) * (trial.value or 0.0), trial.number

    ordered = sorted(trials, key=badness)
    return [
        (np.array([_to_unit(entry, trial.params[name]) for name, entry in ranges.items()]), float(rank))
        for rank, trial in enumerate(ordered)
    ]


def _to_unit(entry: Range, value: float) -> float:
    low, high, at = (math.log(each) if entry.log else float(each) for each in (entry.low, entry.high, value))
    return (at - low) / (high - low)


def _from_unit(entry: Range, place: float) -> int | float:
    low, high = (math.log(each) if entry.log else float(each) for each in (entry.low, entry.high))
    value = low + min(max(place, 0.0), 1.0) * (high - low)
    value = math.exp(value) if entry.log else value
    step = entry.step or (1 if entry.whole and not entry.log else None)
    if step is not None:
        value = entry.low + round((value - entry.low) / step) * step
        value = value if value <= entry.high else value - step
    value = min(max(value, entry.low), entry.high)
    return round(value) if entry.whole else float(value)
