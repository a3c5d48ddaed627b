"""Messages about quotas: what tenants may count on, and what they may not exceed.

They travel as those of `mainspring.domain.messages` do, which knows them all.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec

from mainspring.domain.command import Command, Count

MOST = 1e9
"""Of cores, devices and money."""

Much = Annotated[float, msgspec.Meta(ge=0, le=MOST)]

_TENANT = re.compile(r"[a-z][a-z0-9_-]{0,49}(/[^/\s]{1,100})?\Z")


class Amounts(msgspec.Struct, frozen=True):
    """So much of each kind; None: nothing is said of it.

    Attributes
    ----------
    sessions : int or None
        Shells and notebooks at once; only a limit says so.
    """

    cpus: Much | None = None
    memory_bytes: Count | None = None
    gpus: Much | None = None
    sessions: Count | None = None


class Money(msgspec.Struct, frozen=True):
    """What may be spent, in the currency of the prices of pools; None: nothing is said of it.

    Attributes
    ----------
    month : float or None
        In each month of the calendar, in UTC.
    """

    month: Much | None = None


class Quota(msgspec.Struct):
    """What was agreed about a tenant's part of the home.

    Attributes
    ----------
    tenant : str
        A project, ``air``, or a user in it, ``air/anna``.
    weight : float
        Of its share among those beside it, > 0.
    priority : int or None
        The greater goes first; None: that of the project, or 0.
    guarantee : Amounts
        So much it gets before those that hold more than what is guaranteed to them.
    most : Amounts
        So much it holds at most, with all below it.
    preempted : int
        How often its runs gave way to others.
    lost_gpu_s : float
        Device seconds of work that they lost by it.
    budget : Money
        So much it spends at most on rented machines, with all below it.
    spent, rate : float
        What it has spent this month, and spends an hour now.
    spent_at : float or None
        When the budget will be spent if all goes on as it does now; None: not in this month, or there is none.
    """

    tenant: str
    weight: float = 1.0
    priority: int | None = None
    guarantee: Amounts = Amounts()
    most: Amounts = Amounts()
    budget: Money = Money()
    set_by: str = ""
    set_at: float = 0.0
    preempted: int = 0
    lost_gpu_s: float = 0.0
    spent: float = 0.0
    rate: float = 0.0
    spent_at: float | None = None


def name_tenant(project: str, principal: str) -> str:
    """Return the path of who pays for a run.

    Examples
    --------
    >>> name_tenant("air", "user:anna")
    'air/anna'
    """
    return f"{project}/{principal.partition(':')[2] or principal}"


class SetQuota(Command):
    """Agree about a tenant's part; what is not given stays as it was."""

    tenant: str
    weight: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] | None = None
    priority: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] | None = None
    guarantee: Amounts | None = None
    most: Amounts | None = None
    budget: Money | None = None


class RemoveQuota(Command):
    """Agree about nothing any more."""

    tenant: str


class ListQuotas(Command):
    """What was agreed, by tenant."""


ANSWERS: dict[type[Command], Any] = {SetQuota: Quota, RemoveQuota: Quota, ListQuotas: list[Quota]}


def is_tenant(path: str) -> bool:
    """Tell whether a path can be a tenant's: a project, or a user in it.

    Examples
    --------
    >>> is_tenant("air"), is_tenant("air/anna"), is_tenant("../air")
    (True, True, False)
    """
    return _TENANT.match(path) is not None
