"""The port to searchers, and those that need no library."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol

from mainspring.domain.errors import Invalid
from mainspring.tuning.space import Choice, Entry, Space, draw
from mainspring.tuning.trials import Trial


class Searcher(Protocol):
    """Chooses the next points of a search.

    A searcher has no state of its own: its answer MUST be a function of its arguments, so that
    a search goes on after any process died.
    """

    def ask(
        self, space: Space, trials: Sequence[Trial], *, count: int, modes: Sequence[str], seed: int
    ) -> list[dict[str, Any]]:
        """Return the next `count` points, given all ended trials in order of their number.

        `modes` holds ``max`` or ``min`` for each metric. Fewer points, or none, end the search.
        """
        ...


class RandomSearcher:
    """Draws every point evenly and independently."""

    def ask(
        self, space: Space, trials: Sequence[Trial], *, count: int, modes: Sequence[str], seed: int
    ) -> list[dict[str, Any]]:
        """Return `count` points that depend on the seed and the number of trials only."""
        del modes
        return [draw(space, f"{seed}:{len(trials) + number}") for number in range(count)]


class GridSearcher:
    """Goes through all points, in strides, so that a search that ends early has seen all parts."""

    def ask(
        self, space: Space, trials: Sequence[Trial], *, count: int, modes: Sequence[str], seed: int
    ) -> list[dict[str, Any]]:
        """Return the next points of the grid; none when all were tried.

        Raises
        ------
        Invalid
            TUNE-001 for a range that has no step.
        """
        del modes
        total = count_points(space)
        stride = next(each for each in range(max(1, round(total * 0.618)), total + 2) if math.gcd(each, total) == 1)
        first = random.Random(seed).randrange(total)
        tried = {repr(trial.params) for trial in trials}
        found: list[dict[str, Any]] = []
        for at in range(total):
            point = find_point(space, (first + at * stride) % total)
            if repr(point) not in tried:
                found.append(point)
            if len(found) == count:
                break
        return found


def count_points(space: Space) -> int:
    """Return how many points a grid has.

    Raises
    ------
    Invalid
        TUNE-001 for a range that has no step.
    """
    return math.prod(_count(name, entry) for name, entry in space.items())


def find_point(space: Space, number: int) -> dict[str, Any]:
    """Return a point of a grid by its number, from 0."""
    point: dict[str, Any] = {}
    for name, entry in space.items():
        number, place = divmod(number, _count(name, entry))
        if not isinstance(entry, Choice):
            value = entry.low + (entry.step or 1) * place
            point[name] = int(value) if entry.whole else min(value, entry.high)
            continue
        for value, below in zip(entry.values, entry.below or ({},) * len(entry.values), strict=True):
            if place < (size := count_points(below)):
                point |= {name: value} | find_point(below, place)
                break
            place -= size
    return point


def find_searcher(name: str) -> Searcher:
    """Return a searcher by its entry point in the group ``mainspring.searchers``.

    Raises
    ------
    Invalid
        TUNE-002 when no searcher has that name or its library is missing.
    """
    found = {point.name: point for point in entry_points(group="mainspring.searchers")}
    if name not in found:
        raise Invalid("TUNE-002", f"no searcher is called {name!r}", fix=f"use one of {', '.join(sorted(found))}")
    try:
        searcher: Searcher = found[name].load()()
    except ImportError as missing:
        raise Invalid(
            "TUNE-002", f"searcher {name!r} needs {missing.name}", fix="pip install 'mainspring[search]'"
        ) from None
    return searcher


def _count(name: str, entry: Entry) -> int:
    if isinstance(entry, Choice):
        return sum(map(count_points, entry.below)) if entry.below else len(entry.values)
    if entry.step is None and (not entry.whole or entry.log):
        what = f"{name} has no end of values between {entry.low} and {entry.high}, and a grid goes through all"
        raise Invalid("TUNE-001", what, fix=f"{name}=ms.between({entry.low}, {entry.high}, step=...), or a list")
    return int((entry.high - entry.low) / (entry.step or 1) + 1e-9) + 1
