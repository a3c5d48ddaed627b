"""How long runs take, as far as those before them tell."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from random import Random
from typing import NamedTuple

import msgspec

from mainspring.compute.scheduling.demands import Demand

_ENOUGH = 8
"""So many runs must be alike before less alike ones are left out."""

_UNKNOWN_S = 600.0
"""What is taken for usual where nothing ever ran."""


class Past(msgspec.Struct, frozen=True):
    """A run that had its place.

    Attributes
    ----------
    tenant, name, demand : str, str, Demand
        Whose it was, what it is called and what it asked.
    submitted_s, began_s : float
        When it came, and when it first had its place.
    ended_s : float or None
        None: it goes on.
    """

    tenant: str
    name: str
    demand: Demand
    submitted_s: float
    began_s: float
    ended_s: float | None = None


Alike = tuple[str | int, ...]
"""What runs have in common, from all three of tenant, name and devices down to nothing."""


class Going(NamedTuple):
    """A run that goes on: whose it is, what it is called, what it asked, and how long it has lasted."""

    tenant: str
    name: str
    demand: Demand
    lasted_s: float


class Durations:
    """Durations that were seen, of runs that are alike.

    Parameters
    ----------
    past : iterable of Past
        Those that go on are left out.
    going : iterable of Going, optional
        Those that go on: they last longer than they have.

    Notes
    -----
    Runs of the same tenant, name and devices are looked at first, then those of the same tenant and name, of the same
    tenant and devices, of the same devices, and all: the first of these of which there are enough. On shared machines
    this tells nearly as much as knowing the durations (Weng and others, "MLaaS in the Wild", NSDI 2022). What goes on
    stands for something longer that was seen (redistribution to the right, Efron 1967), or else long runs, which are
    the last to end, would seem rare.
    """

    def __init__(self, past: Iterable[Past], going: Iterable[Going] = ()) -> None:
        self._seen: dict[Alike, list[tuple[float, bool]]] = {}
        for each in past:
            if each.ended_s is not None:
                self._note(each.tenant, each.name, each.demand, max(0.0, each.ended_s - each.began_s), ended=True)
        for run in going:
            self._note(*run, ended=False)
        for seen in self._seen.values():
            seen.sort()

    def draw(self, tenant: str, name: str, demand: Demand, randomness: Random, *, after_s: float = 0.0) -> float:
        """Draw how long a run takes in all, of one that runs already so long.

        Parameters
        ----------
        tenant, name, demand : str, str, Demand
            The run.
        randomness : random.Random
            Where chance is drawn.
        after_s : float, default 0
            It has not ended before; only longer durations are drawn.

        Returns
        -------
        float
            Seconds, at least `after_s`. Where nothing ran so long the chance to go on falls as one by the time.
        """
        for least in (_ENOUGH, 1):
            for alike in _list_alike(tenant, name, demand):
                seen = self._seen.get(alike, ())
                first = bisect_right(seen, (after_s, True)) if after_s else 0
                if len(seen) - first >= least:
                    lasts_s, ended = seen[first + int(randomness.random() * (len(seen) - first))]
                    return lasts_s if ended else self.draw(tenant, name, demand, randomness, after_s=lasts_s)
        if after_s:
            return after_s / max(randomness.random(), 0.01)
        return _UNKNOWN_S * math.exp(randomness.gauss(0.0, 1.5))

    def _note(self, tenant: str, name: str, demand: Demand, lasted_s: float, *, ended: bool) -> None:
        for alike in _list_alike(tenant, name, demand):
            self._seen.setdefault(alike, []).append((lasted_s, ended))


def _list_alike(tenant: str, name: str, demand: Demand) -> tuple[Alike, ...]:
    gpus = demand.gpu_total_milli
    return (tenant, name, gpus), (tenant, name), (tenant, "", gpus, ""), (gpus,), ()
