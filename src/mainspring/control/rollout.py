"""Rollouts: a new revision goes through canary to full, or back."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.control.assets import point_alias, resolve
from mainspring.control.cases import close_case, note_canary
from mainspring.control.turn import Turn
from mainspring.domain.records import Revision, Service, Verdict, Version
from mainspring.domain.references import parse_reference
from mainspring.serving.files import Status
from mainspring.serving.rollouts import decide
from mainspring.store import rows, tables


def open_canary(turn: Turn, model: Version, verdict: Verdict) -> bool:
    """Give a promoted version to the services that follow its alias, as a canary.

    Returns
    -------
    bool
        Whether a live service follows the alias; the alias then moves when its canary is full.
    """
    services = [
        service
        for service in rows.find(turn.connection, tables.services, Service, project=turn.project, desired=True)
        if service.follows == f"{model.name}@{verdict.alias}" and any(r.state == "live" for r in service.revisions)
    ]
    for service in services:
        add_revision(turn, service, model, state="canary")
    return bool(services)


def add_revision(turn: Turn, service: Service, model: Version, *, state: str) -> Revision:
    """Add a revision to a service: a canary without requests yet, or the live one at once."""
    number = max((revision.number for revision in service.revisions), default=0) + 1
    for revision in service.revisions:
        if revision.state == "canary" or state == "live":
            _retire(revision)
    weight = 100 if state == "live" else 0
    revision = Revision(number, model.reference, model.digest, weight, state, turn.now())
    save_revisions(turn, service, [*service.revisions, revision])
    turn.emit("revision.added", service.name, {"revision": number, "model": model.reference, "state": state})
    return revision


def advance(turn: Turn, service: Service, status: Status) -> None:
    """Move a canary on, make it full, or roll it back, as the pure decision says."""
    decision = decide(service.revisions, status.revisions)
    canary = next((revision for revision in service.revisions if revision.number == decision.canary), None)
    if canary is None or decision.action == "hold":
        return
    body = {"revision": canary.number, "model": canary.model, **msgspec.to_builtins(decision, str_keys=True)}
    for revision in service.revisions:
        revision.weight = decision.weights.get(revision.number, 0)
    if decision.action == "promote":
        _make_full(turn, service, canary, body)
    elif decision.action == "roll_back":
        canary.state = "failed"
        save_revisions(turn, service, service.revisions)
        close_case(turn, service.name, "rolled_back", body)
    else:
        save_revisions(turn, service, service.revisions)
        note_canary(turn, service.name, body)
    turn.emit(f"canary.{decision.action}", service.name, body)


def save_revisions(turn: Turn, service: Service, revisions: list[Revision]) -> None:
    """Write a service's revisions as its next generation, if nobody was first."""
    service.revisions = revisions
    service.generation += 1
    rows.change(
        turn.connection,
        tables.services,
        {"id": service.id, "generation": service.generation - 1},
        revisions=revisions,
        generation=service.generation,
    )
    turn.notify("services")


def _make_full(turn: Turn, service: Service, canary: Revision, body: dict[str, Any]) -> None:
    """Revision, alias and renewal change in the one transaction of this turn."""
    for revision in service.revisions:
        if revision.state == "live":
            _retire(revision)
    canary.state = "live"
    save_revisions(turn, service, service.revisions)
    follows = parse_reference(service.follows, "model")
    if follows.alias:
        model = resolve(turn, "model", canary.model)
        reason = f"canary of {service.name} r{canary.number} is full: {body['reason']}"
        point_alias(turn, model, follows.alias, reason, rule="canary")
    close_case(turn, service.name, "promoted", body)


def _retire(revision: Revision) -> None:
    revision.state, revision.weight = "retired", 0
