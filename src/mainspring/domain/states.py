"""States of runs and renewals, and the only transitions between them."""

from __future__ import annotations

from typing import Literal, get_args

from mainspring.domain.errors import Conflict

RunState = Literal["queued", "starting", "running", "succeeded", "failed", "cancelled", "pruned"]
EndState = Literal["succeeded", "failed", "cancelled", "pruned"]
RenewalState = Literal["opened", "training", "judged", "canary", "promoted", "refused", "rolled_back", "failed"]

URGENT = ("commit", "environment", "gate", "check", "collect", "pipeline", "study")
"""Kinds of runs that wait for others, or that others wait for: they go first in line."""

YIELDING = frozenset({"step", "trial", "command"})
"""Kinds of runs that may be told to give way to others, and begin again."""

SESSION = "session"
"""The kind of runs in which somebody works: shells and notebooks."""

OWNED = frozenset({"commit", "environment", "gate", "check", "predict"})
"""Kinds of runs that the owner alone begins and their workers alone end: what follows moves what others rely on."""

STOPPED = "stopped"
"""Tag of a study that somebody has stopped: it ends with what it has, and goes on when it is asked for again."""

TERMINAL: frozenset[str] = frozenset(get_args(EndState))
CLOSED: frozenset[str] = frozenset({"promoted", "refused", "rolled_back", "failed"})

# A lost or preempted run goes back to `queued` with one more attempt.
_RUN: dict[str, frozenset[str]] = {
    "queued": frozenset({"starting", "running", "cancelled", "failed"}),
    "starting": frozenset({"running", "queued", "failed", "cancelled"}),
    "running": frozenset({"succeeded", "failed", "cancelled", "pruned", "queued"}),
}
_RENEWAL: dict[str, frozenset[str]] = {
    "opened": frozenset({"training", "failed"}),
    "training": frozenset({"judged", "failed"}),
    "judged": frozenset({"canary", "refused", "promoted", "failed"}),
    "canary": frozenset({"promoted", "rolled_back", "failed"}),
}


def check_run_transition(old: str, new: str, **context: str) -> None:
    """Refuse a change of a run's state that the life of a run does not have.

    Parameters
    ----------
    old, new : str
        Run states.
    **context
        Of the error: ``run``.

    Raises
    ------
    Conflict
        RUN-002 when `new` cannot follow `old`.
    """
    if new not in _RUN.get(old, frozenset()):
        raise Conflict("RUN-002", f"a run cannot go from {old} to {new}", old=old, new=new, **context)


def check_renewal_transition(old: str, new: str, **context: str) -> None:
    """Refuse a change of a renewal's state that its life does not have.

    Raises
    ------
    Conflict
        RENEW-001 when `new` cannot follow `old`.
    """
    if new not in _RENEWAL.get(old, frozenset()):
        raise Conflict("RENEW-001", f"a renewal cannot go from {old} to {new}", old=old, new=new, **context)
