"""What a search may spend, what it has spent, and for how long the rest lasts: pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from mainspring.domain.errors import Invalid


class Budget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A hard stop: what is under way when a limit is reached is cancelled.

    Attributes
    ----------
    trials : int or None
        At most so many runs of the function, those on fresh seeds included.
    hours : float or None
        At most so long by the clock, all attempts at the same search together.
    gpu_hours : float or None
        At most so many hours of devices, as the trials asked for them.
    cost : float or None
        At most so much, in the currency of MAINSPRING_CPU_HOUR_COST and
        MAINSPRING_GPU_HOUR_COST.

    Examples
    --------
    >>> Budget(trials=30, hours=1).trials
    30
    """

    trials: int | None = None
    hours: float | None = None
    gpu_hours: float | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) is not None}
        if not given or not all(_is_limit(limit) for limit in given.values()):
            raise Invalid("TUNE-005", f"{self!r} allows nothing")
        if self.trials is not None and not isinstance(self.trials, int):
            raise Invalid("TUNE-005", f"trials={self.trials!r} is no whole number")


class Prices(NamedTuple):
    """What an hour costs, in one currency."""

    cpu_hour: float = 0.0
    gpu_hour: float = 0.0


class Use(NamedTuple):
    """What a run has used so far.

    Attributes
    ----------
    cpus, gpus : float
        What it holds.
    seconds : float
        For how long it has held them.
    live : bool
        It has not ended, and may hold them from now on even if it has not begun.
    """

    cpus: float
    gpus: float
    seconds: float
    live: bool


class Spent(NamedTuple):
    """What a search has used so far, in the units of its budget."""

    trials: int = 0
    hours: float = 0.0
    gpu_hours: float = 0.0
    cost: float = 0.0


def add_up(uses: Iterable[Use], prices: Prices, *, hours: float) -> Spent:
    """Return what runs have used; `hours` have passed by the clock."""
    trials, gpu_hours, cost = 0, 0.0, 0.0
    for use in uses:
        trials += 1
        gpu_hours += use.gpus * use.seconds / 3600
        cost += _price(use, prices) * use.seconds / 3600
    return Spent(trials, hours, gpu_hours, cost)


def find_reached(budget: Budget, spent: Spent) -> str | None:
    """Return the name of a limit of time or money that was reached, None while there is some left."""
    for name in ("hours", "gpu_hours", "cost"):
        limit = getattr(budget, name)
        if limit is not None and getattr(spent, name) >= limit:
            return name
    return None


def lasts_s(budget: Budget, spent: Spent, uses: Iterable[Use], prices: Prices) -> float:
    """Return for how many seconds nothing can be overdrawn.

    Notes
    -----
    Guarantees: whoever looks again after so long, and cancels what lives once a limit is reached,
    has not spent more than the budget, whenever the live runs began.
    """
    live = [use for use in uses if use.live]
    rates = {
        "hours": 1.0,
        "gpu_hours": sum(use.gpus for use in live),
        "cost": sum(_price(use, prices) for use in live),
    }
    left = [
        (limit - getattr(spent, name)) / rate * 3600
        for name, rate in rates.items()
        if rate > 0 and (limit := getattr(budget, name)) is not None
    ]
    return max(0.0, min(left, default=math.inf))


def _price(use: Use, prices: Prices) -> float:
    return use.cpus * prices.cpu_hour + use.gpus * prices.gpu_hour


def _is_limit(limit: object) -> bool:
    return isinstance(limit, int | float) and not isinstance(limit, bool) and 0 < limit < math.inf
