"""Messages about the queue as a whole: what was in it, and what it is like now.

They travel as those of `mainspring.domain.messages` do, which knows them all.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command, Count, Time
from mainspring.domain.pools import Machine, Pool
from mainspring.domain.records import Attempt, Resources

FORETOLD_S = 20.0
"""Seconds that people are kept waiting while it is found out when a run will start."""


class Stay(msgspec.Struct, frozen=True):
    """A run that had a place: what it asked, when it came, where it was and how long.

    Attributes
    ----------
    place : str
        ``POOL/NODE`` of its last attempt.
    attempts : list of Attempt
        Those before the last.
    """

    id: str
    project: str
    principal: str
    kind: str
    name: str
    resources: Resources
    place: str
    state: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    attempts: list[Attempt]


class ListStays(Command):
    """The runs of all projects that had a place, in the order in which they came.

    Attributes
    ----------
    since : float
        Those that came after it.
    page : str
        Id of the last run before; empty: from `since` on.
    """

    since: Time = 0.0
    page: str = ""
    limit: Count = 1000


class Part(msgspec.Struct):
    """A tenant's part of the whole.

    Attributes
    ----------
    tenant : str
        ``PROJECT/USER``.
    running, waiting : int
        Runs.
    cpus, gpus : float
        What it holds.
    used, share : float
        Which part of the whole it has had lately, and which is its by weight among those that are there now.
    """

    tenant: str
    running: int = 0
    waiting: int = 0
    cpus: float = 0.0
    gpus: float = 0.0
    used: float = 0.0
    share: float = 0.0


class Holder(msgspec.Struct):
    """A run that has a place.

    Attributes
    ----------
    gpu_percent : float or None
        How busy the devices of its machine were when it told last; None: nobody knows.
    """

    run_id: str
    name: str
    tenant: str
    place: str
    cpus: float
    gpus: float
    since: float | None = None
    gpu_percent: float | None = None


class Candidate(msgspec.Struct):
    """A run that waits: its rank in line, from 1 on, and what for."""

    run_id: str
    name: str
    tenant: str
    rank: int
    cpus: float
    gpus: float
    since: float
    reason: str


class Load(msgspec.Struct):
    """What a machine is given, and what it does.

    Attributes
    ----------
    cpus, gpus : float
        That runs were given.
    busy_gpus : int or None
        Devices that did something when a run there told last; None: nobody knows.
    """

    place: str
    cpus: float = 0.0
    gpus: float = 0.0
    busy_gpus: int | None = None


class Queue(msgspec.Struct):
    """The queue now.

    Attributes
    ----------
    loads : list of Load
        Of `nodes`, in their order.
    parts : list of Part
        Who runs or waits; of all projects for who may read quotas, else of the project that was asked in.
    holding, waiting : list of Holder, list of Candidate
        Of the same projects; the first in line of those that wait.
    running, waits : int
        So many there are, of all projects.
    """

    pools: list[Pool]
    nodes: list[Machine]
    loads: list[Load]
    parts: list[Part]
    holding: list[Holder]
    waiting: list[Candidate]
    running: int
    waits: int


class GetQueue(Command):
    """The queue now: pools, machines, who holds what and who waits.

    Attributes
    ----------
    limit : int
        Runs that are told of those that hold a place, and of those that wait; at most 1,000.
    """

    limit: Count = 100


ANSWERS: dict[type[Command], Any] = {ListStays: list[Stay], GetQueue: Queue}
