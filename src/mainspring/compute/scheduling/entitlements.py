"""What was agreed about a tenant's part of the whole."""

from __future__ import annotations

import math
from typing import NamedTuple

from mainspring.compute.scheduling.demands import WHOLE
from mainspring.domain.quotas import Amounts, Quota

KINDS = 3
"""Cores in thousandths, memory in bytes, devices in thousandths; always in this order."""


class Entitlement(NamedTuple):
    """What a tenant may count on, and what it may not exceed.

    Attributes
    ----------
    weight : float
        Of its share among those beside it, > 0.
    priority : int or None
        The greater goes first; None: that of the tenant above it, or 0.
    guarantee : tuple of int
        So much it gets before those that hold more than what is guaranteed to them.
    limit : tuple of float
        So much it holds at most, with all below it.
    """

    weight: float = 1.0
    priority: int | None = None
    guarantee: tuple[int, ...] = (0,) * KINDS
    limit: tuple[float, ...] = (math.inf,) * KINDS


FREE = Entitlement()
"""Of whom nothing was agreed about."""


def make_entitlement(quota: Quota) -> Entitlement:
    """Return what was agreed, as decisions count it."""
    sure, most = _count(quota.guarantee, 0), _count(quota.most, math.inf)
    return Entitlement(quota.weight, quota.priority, tuple(map(int, sure)), most)


def _count(amounts: Amounts, nothing: float) -> tuple[float, ...]:
    """Return amounts in the order of kinds; `nothing` stands for what is not said."""
    told = ((amounts.cpus, 1000), (amounts.memory_bytes, 1), (amounts.gpus, WHOLE))
    return tuple(nothing if amount is None else amount * unit for amount, unit in told)
