"""Leases: what happens to runs whose worker or process is gone."""

from __future__ import annotations

import logging
from pathlib import Path

from mainspring.control.finishing import lose_run
from mainspring.control.processes import process_start, this_host
from mainspring.control.turn import NODE_LEASE, NODE_LEASE_S, Turn
from mainspring.control.usecases import adopts, holds, loop
from mainspring.domain.records import Run
from mainspring.store import runs
from mainspring.store.engine import dialect_of
from mainspring.store.leases import Lease, drop_lease, find_lapsed
from mainspring.store.requests import forget_answers

_log = logging.getLogger(__name__)

LEASE_S = 10.0
"""Seconds that a run stays with its worker after a heartbeat."""

AWAY_S = 120.0
"""Seconds that a script on another machine may be out of reach: its loop goes on, and nobody else can run it."""

_PATIENCE_S = 5.0
"""Seconds in which an owner that lives takes a lease again that seems to have lapsed: the clock may have jumped."""

_ANSWERS_KEPT_S = 3600.0
_ANSWERS_KEPT_AT_MOST_S = 7 * 86_400.0
_DRIFT_S = 60.0
"""A clock that has moved by more against the one that never jumps has jumped."""

_lapsed: dict[Path, dict[Lease, float]] = {}
_steady: dict[Path, tuple[float, float]] = {}


def lease_of(turn: Turn, kind: str, host: str, pid: int) -> tuple[str | None, float | None]:
    """Return by what the owner tells that a process that runs its own code lives.

    Parameters
    ----------
    turn : Turn
        The turn.
    kind : str
        Of the run.
    host : str
        Machine of the process.
    pid : int
        Its id there.

    Returns
    -------
    tuple of str or None and float or None
        `Hold.process_start` of a process of this machine, which is watched; `Hold.lease_until` of
        any other, which has to send heartbeats.
    """
    start = process_start(pid) if pid and host == this_host() else None
    return start, None if start else turn.clock.monotonic() + length_of(kind)


def length_of(kind: str) -> float:
    """Return the seconds after which the process of a run of this kind counts as lost."""
    return AWAY_S if kind == "script" else LEASE_S


@adopts
def adopt(turn: Turn) -> None:
    """Give the workers of a dead owner the time to find this one."""
    now = turn.clock.monotonic()
    runs.extend_leases(turn.connection, turn.node, now + LEASE_S, now + AWAY_S)


@loop(every_s=0.5)
def expire_leases(turn: Turn) -> None:
    """Take runs back from workers that sent no heartbeat, and end those whose process is gone."""
    silent = runs.expired(turn.connection, turn.node, turn.clock.monotonic())
    lost = [(run, f"no heartbeat for {length_of(run.kind):.0f} s") for run in silent]
    for pid, start in runs.watched(turn.connection, turn.node):
        if process_start(pid) != start:
            ended = runs.of_process(turn.connection, turn.node, pid, start)
            lost += [(run, f"process {pid} ended without a word") for run in ended]
    # The newest first: what is below a run was lost itself, not cancelled by the end of its parent.
    for run, why in sorted(lost, key=lambda each: each[0].id, reverse=True):
        _lose(turn, run, why)


def _lose(turn: Turn, run: Run, why: str) -> None:
    try:
        with turn.part():
            lose_run(turn, run, why)
    except Exception:  # noqa: BLE001 - a mistake in what follows one run's end must not keep every other lost run
        _log.exception("run %s cannot be taken back", run.id)


@loop(every_s=2.0, once=True)
def take_over(turn: Turn) -> None:
    """Take the runs of owners on that nobody hears of any more: what was queued, and what can run again."""
    for lease in _find_gone(turn):
        node = lease.name.removeprefix(NODE_LEASE)
        if node == turn.node:
            continue
        for run in runs.live_of_node(turn.connection, node):
            if run.state != "queued" and not runs.is_unwatched(*runs.get_held(turn.connection, run.id)):
                _lose(turn, run, f"its owner, {node}, is gone")
            runs.move_run(turn.connection, run.id, turn.node)
        drop_lease(turn.connection, lease)
        _log.warning("took over from %s, which was last held by %s", node, lease.holder)
        turn.notify("queue")


def _find_gone(turn: Turn) -> list[Lease]:
    """Return the leases of nodes that have not been taken again since they were seen to have lapsed."""
    now, known = turn.clock.monotonic(), _lapsed.get(turn.home.root, {})
    lapsed = find_lapsed(turn.connection, NODE_LEASE, NODE_LEASE_S)
    seen_at = _lapsed[turn.home.root] = {lease: known.get(lease, now) for lease in lapsed}
    # Who knows that a node is gone says so by setting its time to 0.
    return [lease for lease, at in seen_at.items() if not lease.expires_at or now - at >= _PATIENCE_S]


def _is_steady(turn: Turn) -> bool:
    """Tell whether the wall clock has gone without a jump for as long as answers are kept."""
    now = turn.clock.monotonic()
    offset = turn.now() - now
    known, since = _steady.get(turn.home.root, (offset, now))
    if abs(offset - known) > _DRIFT_S:
        known, since = offset, now
    _steady[turn.home.root] = known, since
    return now - since >= _ANSWERS_KEPT_S


@loop(every_s=60.0, once=True)
def forget_old_answers(turn: Turn) -> None:
    """Forget the answers that no client can still repeat a request for."""
    forget_answers(turn.connection, turn.now() - (_ANSWERS_KEPT_S if _is_steady(turn) else _ANSWERS_KEPT_AT_MOST_S))


@loop(every_s=60.0, once=True)
def optimize(turn: Turn) -> None:
    """Keep the statistics that queries are planned by; where nothing has grown, nothing is done."""
    dialect_of(turn.connection).optimize(turn.connection)


@holds
def hold_for_runs(turn: Turn) -> str | None:
    """Keep the owner while a run lives."""
    return "a run lives" if runs.any_live(turn.connection, turn.node) else None
