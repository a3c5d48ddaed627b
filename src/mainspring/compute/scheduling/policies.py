"""The policies by which what waits is ordered and placed: ours, and those it is measured beside."""

from __future__ import annotations

from typing import Literal

import msgspec


class Policy(msgspec.Struct, frozen=True):
    """How a decision is taken.

    Attributes
    ----------
    name : str
        Under which it is chosen.
    order : str
        Of the runs of a tenant, or of all: ``submitted`` (first come), ``duration`` (shortest first, by what is
        known beforehand), ``attained`` (those that have used less than `threshold_gpu_s` first, then first come).
    tenants : str
        ``alone``: all runs stand in one line. ``held``: the tenant with the least dominant share goes first.
        ``remembered``: what it held before counts, too.
    skips : bool
        A run that fits goes before one that does not.
    placement : str
        ``mainspring``, ``best-fit`` or ``random``.
    threshold_gpu_s : float
        Device seconds after which a run counts as long; with `order` ``attained``.
    preempts : bool
        A run that is not yet long takes the place of long ones that cannot be shown to end.
    graceful : bool
        Who gives way keeps its place until it has ended; what is free then is held for whom it gave way to. Not long
        runs give way to short ones, but those of tenants that hold more of their share to those of others.
    calm_s : float
        Seconds that a run keeps its place at least, and between two times that a tenant, or short runs, make others
        give way.
    patience_s : float
        Seconds after which machines are kept free for the run that has waited longest; 0: never.
    hold_s : float
        Seconds after which what a run lacks is not given to those behind it in the order; 0: never.
    half_life_s : float
        Of what tenants held, with `tenants` ``remembered``.
    """

    name: str
    order: Literal["submitted", "duration", "attained"] = "submitted"
    tenants: Literal["alone", "held", "remembered"] = "alone"
    skips: bool = True
    placement: Literal["mainspring", "best-fit", "random"] = "best-fit"
    threshold_gpu_s: float = 16 * 3600.0
    preempts: bool = False
    graceful: bool = False
    calm_s: float = 600.0
    patience_s: float = 0.0
    hold_s: float = 0.0
    half_life_s: float = 7 * 86_400.0


POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy(
            "mainspring",
            order="attained",
            tenants="remembered",
            placement="mainspring",
            preempts=True,
            patience_s=86_400.0,
        ),
        Policy("fifo", skips=False),
        Policy("sjf", order="duration"),
        Policy("drf", tenants="held"),
        Policy("las", order="attained", preempts=True),
        Policy("best-fit"),
        Policy("random", placement="random"),
    )
}
"""By name; ``best-fit`` and ``random`` take who came first and fits, and differ in where."""

LIVE = msgspec.structs.replace(POLICIES["mainspring"], hold_s=30.0, graceful=True)
"""Of the live queue: ours, where a run that is larger than those behind it is not passed over for long."""
