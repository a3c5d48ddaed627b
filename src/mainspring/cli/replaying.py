"""The queue's past and its machines, read from the owner page by page: what `simulate` and `plan` play."""

from __future__ import annotations

import time

from mainspring.cli.asking import ask
from mainspring.compute.engine import Node
from mainspring.compute.scheduling.demands import Machine
from mainspring.compute.scheduling.fitting import make_machine
from mainspring.compute.scheduling.replays import Replay, make_replay
from mainspring.domain.errors import Invalid
from mainspring.domain.lists import read_all
from mainspring.domain.planning import ListStays
from mainspring.domain.pools import ListNodes, ListPools, Pool
from mainspring.domain.pools import Machine as Told


def read_replay(last_s: float) -> Replay:
    """Read the runs of the last seconds as a trace.

    Parameters
    ----------
    last_s : float
        Seconds, > 0.

    Raises
    ------
    Invalid
        SIM-002 when no run had a place in that time.
    """
    now = time.time()
    replay = make_replay(read_all(ask, ListStays(since=now - last_s)), now)
    if not replay.arrivals:
        raise Invalid("SIM-002", "the record has no run that had a place in that time")
    return replay


def read_cluster() -> list[Machine]:
    """Read the machines that answer now, drained ones too.

    Raises
    ------
    Invalid
        SIM-002 when none does.
    """
    told: list[Told] = ask(ListNodes())
    pools: dict[str, Pool] = {each.name: each for each in ask(ListPools())}
    if not told:
        raise Invalid("SIM-002", "no machine of any pool answers")
    return [
        make_machine(Node(each.place, each.cpus, each.memory_bytes, each.gpus, each.gpu_type), pools.get(each.pool))
        for each in told
    ]
