"""Starts of applied pipelines: from their snapshot, in the name of who applied them."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.control.turn import Turn
from mainspring.control.usecases import submit
from mainspring.domain.messages import RunSpec
from mainspring.domain.principals import ANY_PROJECT, OWNER, Principal
from mainspring.domain.records import Call, Declaration, Run, Snapshot
from mainspring.domain.triggers import Happening, Standing
from mainspring.pipelines.snapshots import digest_snapshot
from mainspring.security.policy import authorise
from mainspring.store import calls, runs
from mainspring.store.principals import find_account

KEEPS = "declarations.apply"
"""What a principal must still be allowed, so that what it applied goes on starting."""


def make_call(declaration: Declaration, happening: Happening | None = None) -> Call:
    """Return what a worker executes to start a pipeline.

    Parameters
    ----------
    declaration : Declaration
        Of the pipeline.
    happening : Happening, optional
        What started it; a pipeline with the argument `event` is told.
    """
    snapshot = declaration.body["snapshot"]
    arguments: dict[str, Any] = {"snapshot": snapshot}
    if happening is not None:
        told = {"event": happening.event, "subject": happening.subject, "event_time": happening.event_time}
        arguments["event"] = {**told, "body": happening.body}
        arguments["chain"] = list(happening.chain)
    return Call(
        job="pipeline",
        arguments=arguments,
        python=snapshot["python"],
        folder=declaration.body["folder"],
        preload=tuple(snapshot["preload"]),
        code_digest=digest_snapshot(msgspec.convert(snapshot, Snapshot)),
    )


def start_pipeline(turn: Turn, declaration: Declaration, trigger: Standing, happening: Happening) -> Run:
    """Queue a run of a pipeline in the name of who applied its trigger, where that was.

    Notes
    -----
    Guarantees: one start of a trigger has one run, however often it is asked for.
    """
    spec = RunSpec(
        kind="pipeline",
        name=declaration.name,
        call=make_call(declaration, happening),
        tags={"trigger": trigger.event},
        params={"trigger": str(trigger), "event": happening.subject, "event_time": happening.event_time},
        dedupe=f"trigger:{trigger.id}:{trigger.starts}",
    )
    with turn.acting(find_principal(turn, trigger) or OWNER):
        run = submit(turn, spec)
    if trigger.node:
        runs.move_run(turn.connection, run.id, trigger.node)
    return run


def find_principal(turn: Turn, trigger: Standing) -> Principal | None:
    """Return in whose name a trigger starts, with the roles of today; None: that one was removed."""
    kind, _, name = trigger.principal.partition(":")
    if trigger.principal_id is None:  # whoever owns the home, which nobody can take from him
        return Principal(name, "user", {ANY_PROJECT: "admin"}) if name else OWNER
    account = find_account(turn.connection, id=trigger.principal_id)
    return None if account is None else Principal(account.name, kind, account.roles)  # type: ignore[arg-type]


def find_refusal(turn: Turn, trigger: Standing) -> str:
    """Say why nobody may start a pipeline by a trigger any more; empty: its principal still may."""
    principal = find_principal(turn, trigger)
    if principal is None:
        return f"{trigger.principal}, who applied it, was removed"
    refusal = authorise(principal, KEEPS, trigger.project)
    return "" if refusal is None else f"{refusal.what}: what it applied starts no longer"


def list_chain(turn: Turn, run_id: str | None) -> tuple[str, ...]:
    """Return the pipelines whose runs led to a run, the first one first."""
    names: list[str] = []
    while run_id is not None:
        held = runs.find_held(turn.connection, run_id)
        if held is None:
            break
        run = held[0]
        if run.kind == "pipeline":
            placed = calls.find_placed(turn.connection, run.id)
            before = (placed.call.arguments or {}).get("chain", ()) if placed is not None else ()
            names = [*before, run.name, *names]
        run_id = run.parent_id
    return tuple(dict.fromkeys(names))
