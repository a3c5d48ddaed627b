"""Gangs while they run: where the members meet, that all of them live, and that all have done their part."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from mainspring.control.leases import LEASE_S
from mainspring.control.turn import Turn
from mainspring.control.usecases import ends
from mainspring.domain.home import Home
from mainspring.domain.records import Run

BEGIN_S = 120.0
"""Seconds that a member may be silent at first: its process, or its machine, may be slow to start."""


class _Gang:
    """One attempt, as its members have told of it to this owner; whoever is left tells the next owner."""

    def __init__(self, run: Run, now: float) -> None:
        self.attempt = run.attempt
        self.port = 0
        self.heard_at = dict.fromkeys(range(run.resources.nodes), now + BEGIN_S - LEASE_S)
        self.done: set[int] = set()


_gangs: dict[Path, dict[str, _Gang]] = {}


def meet(turn: Turn, run: Run, rank: int, port: int) -> int:
    """Return the port at which the members of a gang meet; 0 while the first has offered none."""
    gang = _find(turn, run)
    if rank == 0 and port and not gang.port:
        gang.port = port
        turn.notify(run.id)
    return gang.port


def hear(turn: Turn, run: Run, rank: int) -> float:
    """Note that a member lives; return until when all of them are known to, in monotonic seconds."""
    gang = _find(turn, run)
    gang.heard_at[rank] = turn.clock.monotonic()
    return min(gang.heard_at.values()) + LEASE_S


def gather(turn: Turn, run: Run, rank: int) -> bool:
    """Note that a member has done its part; tell whether all of them have."""
    gang = _find(turn, run)
    if rank not in gang.done:
        gang.done.add(rank)
        turn.notify(run.id)
    return len(gang.done) >= run.resources.nodes


def forget_others(turn: Turn, held: Container[str]) -> None:
    """Forget the gangs whose runs are not among these."""
    known = _gangs.get(turn.home.root, {})
    for run_id in [each for each in known if each not in held]:
        del known[run_id]


@ends
def close_gangs(home: Home) -> None:
    """Let all of them go; a new owner hears of them from their members."""
    _gangs.pop(home.root, None)


def _find(turn: Turn, run: Run) -> _Gang:
    known = _gangs.setdefault(turn.home.root, {})
    gang = known.get(run.id)
    if gang is None or gang.attempt != run.attempt:
        gang = known[run.id] = _Gang(run, turn.clock.monotonic())
    return gang
