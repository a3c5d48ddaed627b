"""Renewal cases: one recorded object each, every step with its evidence."""

from __future__ import annotations

from typing import Any

from mainspring.control.turn import Turn
from mainspring.domain.records import Renewal
from mainspring.domain.states import CLOSED, check_renewal_transition
from mainspring.store import rows, tables


def open_case(turn: Turn, service: str, *, cause: str, event_time: float, evidence: Any, **columns: Any) -> Renewal:
    """Open a case for a service."""
    now = turn.now()
    steps = [_step("opened", now, evidence)]
    case = Renewal(
        turn.new_id(),
        service,
        "opened",
        cause,
        event_time,
        steps=steps,
        created_at=now,
        **columns,
        project=turn.project,
    )
    rows.add(turn.connection, tables.renewals, case)
    turn.emit("renewal.opened", service, {"renewal": case.id, "cause": cause}, event_time)
    return case


def move_case(turn: Turn, case: Renewal, old: str, new: str, evidence: Any, **columns: Any) -> bool:
    """Bring a case to its next state, if it is still in the expected one.

    Returns
    -------
    bool
        False when somebody moved it before; nothing is changed then.
    """
    if old != new:
        check_renewal_transition(old, new, service=case.service)
    now = turn.now()
    steps = [*case.steps, _step(new, now, evidence)]
    if new in CLOSED:
        columns["closed_at"] = now
    expected = {"id": case.id, "state": old}
    moved = rows.change(turn.connection, tables.renewals, expected, state=new, steps=steps, **columns)
    if moved and old != new:
        turn.emit(f"renewal.{new}", case.service, {"renewal": case.id}, case.event_time)
        turn.notify("services")
    return moved


def close_case(turn: Turn, service: str, state: str, evidence: Any) -> None:
    """Close the case whose canary ends now; a rollout without a case needs none."""
    case = find_case(turn, service, "canary")
    if case is not None:
        move_case(turn, case, "canary", state, evidence)


def note_canary(turn: Turn, service: str, evidence: Any) -> None:
    """Record a stage of the canary in the case that it belongs to."""
    case = find_case(turn, service, "canary")
    if case is not None:
        move_case(turn, case, "canary", "canary", evidence)


def find_case(turn: Turn, service: str, *states: str) -> Renewal | None:
    """Return the newest case of a service that is in one of the states; without states: open."""
    found = rows.find(turn.connection, tables.renewals, Renewal, project=turn.project, service=service)
    return next((case for case in found if (case.state in states if states else case.state not in CLOSED)), None)


def _step(state: str, time: float, evidence: Any) -> dict[str, Any]:
    return {"state": state, "time": time, "evidence": evidence}
