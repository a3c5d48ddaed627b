"""Messages by which workers get runs.

They travel as those of `mainspring.domain.messages` do, which knows them all.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain import records
from mainspring.domain.command import Command, Seconds
from mainspring.domain.gangs import Port, Rank


class Study(msgspec.Struct, frozen=True):
    """What the owner must know to prune a trial of a study.

    Attributes
    ----------
    metric : str
        Key of the reported values.
    mode : str
        ``max`` or ``min``.
    pruner : str
        ``asha``, ``median`` or ``none``.
    """

    metric: str
    mode: str
    pruner: str


class LeaseRun(Command):
    """A worker asks for the run that the owner has placed on it.

    Attributes
    ----------
    rank : int
        Of the member of a gang that asks; others than the first wait until that has come.
    port : int
        Where the first is ready to meet the others; 0: it has none to offer.
    """

    worker_id: str
    pid: int
    token: str
    host: str = ""
    rank: Rank = 0
    port: Port = 0
    wait_s: Seconds = 0.0


class Lease(msgspec.Struct):
    """A run held by a worker until `lease_s` after its last heartbeat; None: nothing to do.

    Attributes
    ----------
    rank, port : int
        Of the member of a gang that has asked, and where they all meet. A rank without a run: the first has not
        come yet, ask again.
    """

    run: records.Run | None = None
    call: records.Call | None = None
    study: Study | None = None
    lease_s: float = 10.0
    rank: int = 0
    port: int = 0


ANSWERS: dict[type[Command], Any] = {LeaseRun: Lease}
