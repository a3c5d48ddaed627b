"""The port to searchers, and the one that needs no library."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol

from mainspring.domain.errors import Invalid
from mainspring.tuning.space import Space, draw
from mainspring.tuning.trials import Trial


class Searcher(Protocol):
    """Chooses the next points of a search.

    A searcher has no state of its own: its answer MUST be a function of its arguments, so that
    a search goes on after any process died.
    """

    def ask(self, space: Space, trials: Sequence[Trial], *, count: int, mode: str, seed: int) -> list[dict[str, Any]]:
        """Return the next `count` points, given all finished trials in order of their number."""
        ...


class RandomSearcher:
    """Draws every point evenly and independently."""

    def ask(self, space: Space, trials: Sequence[Trial], *, count: int, mode: str, seed: int) -> list[dict[str, Any]]:
        """Return `count` points that depend on the seed and the number of trials only."""
        del mode
        return [draw(space, f"{seed}:{len(trials) + number}") for number in range(count)]


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
