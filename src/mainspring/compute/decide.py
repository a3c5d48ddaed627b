"""What starts now, and why the rest waits: pure, no input or output."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mainspring.compute.engine import Node
from mainspring.domain.pools import LOCAL_POOL, split_place
from mainspring.domain.records import Resources
from mainspring.domain.states import URGENT
from mainspring.domain.units import format_size

# A run that has been passed over for so long closes the door behind it until it starts.
PATIENCE_S = 30.0

# These spend their time waiting for children; a core that they held, a child would miss.
_WAITING_KINDS = frozenset({"pipeline", "study"})

_TRAVELLING_KINDS = frozenset({"step", "trial", "command"})
"""Kinds that any pool may take; the others work with what lies here."""

_SLACK = 1e-9


class Queued(msgspec.Struct, frozen=True):
    """A run that waits for a place.

    Attributes
    ----------
    run_id : str
        Sorts by the time of submission.
    kind : str
        ``step``, ``trial``, ``gate`` ...
    resources : Resources
        What it asks for.
    since : float
        Wall time of its submission.
    """

    run_id: str
    kind: str
    resources: Resources
    since: float


class Placed(msgspec.Struct, frozen=True):
    """A run that holds its resources on a node.

    Attributes
    ----------
    waits : bool
        It has children that have not ended, so its cores are lent to them.
    """

    run_id: str
    kind: str
    resources: Resources
    node: str
    waits: bool = False


class State(msgspec.Struct, frozen=True):
    """All that a decision looks at."""

    nodes: tuple[Node, ...]
    queued: tuple[Queued, ...]
    placed: tuple[Placed, ...] = ()


class Start(msgspec.Struct, frozen=True):
    """The decision that a run starts on a node."""

    run_id: str
    node: str


class Wait(msgspec.Struct, frozen=True):
    """The decision that a run waits.

    Attributes
    ----------
    rank : int
        Its place in line, from 1.
    reason : str
        What it waits for.
    """

    run_id: str
    rank: int
    reason: str


class Decisions(msgspec.Struct, frozen=True):
    """What to do now, in this order."""

    starts: tuple[Start, ...]
    waits: tuple[Wait, ...]


class _Free(msgspec.Struct):
    node: Node
    pool: str
    cpus: float
    memory_bytes: int
    gpus: float

    def lacks(self, kind: str, asked: Resources) -> tuple[str, str] | None:
        cpus = cpus_of(kind, asked)
        if cpus > self.cpus + _SLACK:
            return "cpus", f"{cpus - max(self.cpus, 0.0):g} of {count(cpus, 'cpu')}"
        if asked.gpus > self.gpus + _SLACK:
            return "gpus", f"{asked.gpus - max(self.gpus, 0.0):g} of {count(asked.gpus, 'gpu')}"
        memory = asked.memory_bytes or 0
        if memory > self.memory_bytes:
            return "memory", f"{format_size(memory - max(self.memory_bytes, 0))} of {format_size(memory)} memory"
        return None

    def take(self, kind: str, asked: Resources, lent: bool = False) -> None:
        self.cpus -= 0.0 if lent else cpus_of(kind, asked)
        self.gpus -= asked.gpus
        self.memory_bytes -= asked.memory_bytes or 0


def cpus_of(kind: str, asked: Resources) -> float:
    """Return the cores that a run of a kind is counted with; those that only wait count none.

    Examples
    --------
    >>> cpus_of("trial", Resources(cpus=2)), cpus_of("pipeline", Resources())
    (2.0, 0.0)
    """
    return 0.0 if kind in _WAITING_KINDS else float(asked.cpus)


def may_use(pool: str, kind: str, asked: Resources) -> bool:
    """Tell whether a run may be placed in a pool: the one that it asks for, else at home, or any when its kind may.

    Examples
    --------
    >>> may_use("lab", "step", Resources()), may_use("lab", "gate", Resources())
    (True, False)
    >>> may_use("local", "step", Resources(pool="lab"))
    False
    """
    if asked.pool is not None:
        return pool == asked.pool
    return pool == LOCAL_POOL or kind in _TRAVELLING_KINDS


def rank_of(kind: str) -> int:
    """Return the class of a kind: 0 goes before 1; inside a class the first come goes first."""
    return 0 if kind in URGENT else 1


def find_misfit(nodes: Sequence[Node], kind: str, asked: Resources) -> str:
    """Tell why no node could ever hold a run.

    Returns
    -------
    str
        What it asks and what the largest node has; empty when some node can hold it.

    Examples
    --------
    >>> find_misfit([Node("local", 2, 8_000_000_000)], "step", Resources(cpus=4))
    'it asks 4 cpus; the largest node, local, has 2'
    """
    if not nodes:
        return "the pool has no node"
    lacks = [free.lacks(kind, asked) for free in _count_free(State(tuple(nodes), ()))]
    if None in lacks:
        return ""
    what = next(lack for lack in lacks if lack is not None)[0]
    if what == "cpus":
        most = max(nodes, key=lambda node: node.cpus)
        return f"it asks {count(cpus_of(kind, asked), 'cpu')}; the largest node, {most.name}, has {most.cpus:g}"
    if what == "gpus":
        most = max(nodes, key=lambda node: node.gpus)
        return f"it asks {count(asked.gpus, 'gpu')}; the largest node, {most.name}, has {most.gpus:g}"
    most = max(nodes, key=lambda node: node.memory_bytes)
    asked_memory, has = format_size(asked.memory_bytes or 0), format_size(most.memory_bytes)
    return f"it asks {asked_memory} of memory; the largest node, {most.name}, has {has}"


def decide(state: State, now: float) -> Decisions:
    """Choose what starts now.

    Parameters
    ----------
    state : State
        Nodes, what waits and what holds a place.
    now : float
        Wall time in seconds since 1970 UTC.

    Returns
    -------
    Decisions
        Starts, in order; a rank and a reason for each run that waits.

    Notes
    -----
    Guarantees: cores, memory and devices of a node are never exceeded by a start; a run that
    fits is started unless one before it in line has waited longer than `PATIENCE_S`; of two
    runs of one class that ask the same, the earlier never starts later.
    Cost: linear in queued runs times nodes, after sorting.
    """
    free = _count_free(state)
    starts: list[Start] = []
    waits: list[Wait] = []
    closed: set[tuple[str, str]] = set()
    for run in sorted(state.queued, key=lambda each: (rank_of(each.kind), each.run_id)):
        usable = [each for each in free if may_use(each.pool, run.kind, run.resources)]
        place, lack = _find_place([each for each in usable if not _is_closed(each.pool, run, closed)], run)
        if place is not None:
            place.take(run.kind, run.resources)
            starts.append(Start(run.run_id, place.node.name))
            continue
        lack = lack or _find_place(usable, run)[1]
        waits.append(Wait(run.run_id, len(waits) + 1, _tell_lack(usable, run, lack)))
        if lack and now - run.since > PATIENCE_S:
            closed |= {(each.pool, lack[0]) for each in usable}
    return Decisions(tuple(starts), tuple(waits))


def has_room(state: State) -> bool:
    """Tell whether a core is free anywhere, so that a run further down the line might start."""
    return any(free.cpus > _SLACK for free in _count_free(state))


def _count_free(state: State) -> list[_Free]:
    free = {
        node.name: _Free(node, split_place(node.name)[0], node.cpus, node.memory_bytes, node.gpus)
        for node in state.nodes
    }
    for run in state.placed:
        if run.node in free:
            free[run.node].take(run.kind, run.resources, lent=run.waits)
    return list(free.values())


def _is_closed(pool: str, run: Queued, closed: set[tuple[str, str]]) -> bool:
    asked = {
        "cpus": cpus_of(run.kind, run.resources) > 0,
        "gpus": run.resources.gpus > 0,
        "memory": bool(run.resources.memory_bytes),
    }
    return any(wanted and (pool, what) in closed for what, wanted in asked.items())


def _find_place(free: list[_Free], run: Queued) -> tuple[_Free | None, tuple[str, str] | None]:
    lack: tuple[str, str] | None = None
    fitting: list[_Free] = []
    for each in free:
        found = each.lacks(run.kind, run.resources)
        if found is None:
            fitting.append(each)
        else:
            lack = lack or found
    if fitting:
        # At home first; and the fullest node that still holds it keeps room for what is large.
        return min(fitting, key=lambda each: (each.pool != LOCAL_POOL, each.cpus)), None
    return None, lack


def _tell_lack(usable: list[_Free], run: Queued, lack: tuple[str, str] | None) -> str:
    if not usable:
        return f"waiting for the pool {run.resources.pool or LOCAL_POOL}: none of its machines takes runs now"
    where = usable[0].node.name if len(usable) == 1 else f"{len(usable)} nodes"
    return f"waiting for {lack[1]} on {where}" if lack else "waiting its turn: a larger run before it starts first"


def count(number: float, noun: str) -> str:
    """Return ``1 cpu``, ``2 cpus``."""
    return f"{number:g} {noun}" if number == 1 else f"{number:g} {noun}s"
