"""The answer to `GetStatus`: the home at a glance."""

from __future__ import annotations

import msgspec

from mainspring.domain.records import Service
from mainspring.domain.sinks import Lag


class Aim(msgspec.Struct, frozen=True):
    """How a model that an alias points at stands to its goal.

    Attributes
    ----------
    model : str
        Its reference, ``name@number``.
    metric : str
        By which the goal is measured.
    target : float or None
        What it should reach; None: no number was set.
    value : float or None
        What its gate found on unseen data; None: it did not measure it.
    met : bool or None
        Whether the value reaches the target; None where one of them is missing.
    """

    model: str
    text: str
    metric: str
    target: float | None = None
    value: float | None = None
    met: bool | None = None


class Waiter(msgspec.Struct, frozen=True):
    """The run that has been queued longest, and what it waits for."""

    run_id: str
    name: str
    reason: str
    since: float


class Status(msgspec.Struct):
    """The answer: what `mainspring status` prints."""

    home: str
    record: str
    size_bytes: int
    schema: str
    pid: int
    started_at: float
    runs: dict[str, int]
    workers: int
    services: list[Service]
    alarms: int
    network_home: bool = False
    used_bytes: int = 0
    quota_bytes: int = 0
    sinks: list[Lag] = []
    goals: list[Aim] = []
    waits: Waiter | None = None
    failed: str | None = None
    """The newest run, when it failed."""
