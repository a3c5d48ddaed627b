"""Leases: what happens to runs whose worker or process is gone."""

from __future__ import annotations

from mainspring.control.finishing import end_run
from mainspring.control.processes import process_start
from mainspring.control.runs import LEASE_S
from mainspring.control.turn import Turn
from mainspring.control.usecases import adopts, holds, loop
from mainspring.domain.errors import Failed
from mainspring.domain.records import Run
from mainspring.domain.wire import describe
from mainspring.store import calls, runs
from mainspring.store.requests import forget_answers

MOST_LOSSES = 3
"""So many workers of one run may be lost; the next loss fails it."""

_ANSWERS_KEPT_S = 3600.0


@adopts
def adopt(turn: Turn) -> None:
    """Give the workers of a dead owner the time to find this one."""
    runs.extend_leases(turn.connection, turn.clock.monotonic() + LEASE_S)


@loop(every_s=0.5)
def expire_leases(turn: Turn) -> None:
    """Take runs back from workers that sent no heartbeat, and end those whose process is gone."""
    for run in runs.expired(turn.connection, turn.clock.monotonic()):
        lose_run(turn, run, f"no heartbeat for {LEASE_S:.0f} s")
    for run, hold in runs.watched(turn.connection):
        if process_start(run.pid) != hold.process_start:
            lose_run(turn, run, f"process {run.pid} ended without a word")


@loop(every_s=60.0)
def forget_old_answers(turn: Turn) -> None:
    """Forget the answers that no client can still repeat a request for."""
    forget_answers(turn.connection, turn.now() - _ANSWERS_KEPT_S)


@holds
def hold_for_runs(turn: Turn) -> str | None:
    """Keep the owner while a run lives."""
    return "a run lives" if runs.any_live(turn.connection) else None


def lose_run(turn: Turn, run: Run, why: str) -> Run:
    """Queue a run again whose worker was lost, or fail it when it cannot run again.

    Parameters
    ----------
    turn : Turn
        The turn.
    run : Run
        In the state ``starting`` or ``running``.
    why : str
        How the loss was noticed.

    Returns
    -------
    Run
        Queued with the next attempt, or failed with RUN-008.
    """
    _, hold = runs.get_held(turn.connection, run.id)
    if calls.has_call(turn.connection, run.id) and hold.losses < MOST_LOSSES:
        return requeue(turn, run, f"attempt {run.attempt} was lost: {why}", losses=hold.losses + 1)
    problem = describe(Failed("RUN-008", f"{run.name}: {why}", run=run.id))
    return end_run(turn, run, "failed", problem=problem, reason=why, losses=hold.losses + 1)


def requeue(turn: Turn, run: Run, reason: str, **held: int) -> Run:
    """Queue a run again with the next attempt; results of the old attempt are refused from now on.

    Parameters
    ----------
    turn : Turn
        The turn.
    run : Run
        A live run with a call.
    reason : str
        Why; a queued run always carries one.
    **held
        Counters of `Hold` to set: ``losses`` or ``failures``.
    """
    attempt, fence = run.attempt + 1, run.fence + 1
    values = {"state": "queued", "attempt": attempt, "fence": fence, "reason": reason, "pid": 0, "started_at": None}
    runs.change_run(
        turn.connection, run, **values, lease_until=None, process_start=None, journal_offset=0, order="keep", **held
    )
    calls.unplace(turn.connection, run.id)
    turn.notify(run.id)
    turn.notify("queue")
    return runs.get_run(turn.connection, run.id)
