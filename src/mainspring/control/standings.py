"""Triggers of applied pipelines as they stand: made, kept and removed by what is applied."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from mainspring.control.starts import find_principal, find_refusal
from mainspring.control.turn import Turn
from mainspring.domain.errors import Invalid
from mainspring.domain.principals import OWNER, Principal
from mainspring.domain.triggers import Standing, Trigger
from mainspring.pipelines.schedules import next_fire
from mainspring.store import triggers as store
from mainspring.store.principals import find_account

MOST_TRIGGERS = 50
"""Of a pipeline."""


def settle_triggers(turn: Turn, pipeline: str, wanted: Sequence[Trigger]) -> None:
    """Make the triggers of a pipeline those that it declares; one that stays keeps what it has seen.

    Raises
    ------
    Invalid
        RENEW-004 when one stands there twice, or there are more than a pipeline may have.
    """
    named = {str(each) for each in wanted}
    if len(named) != len(wanted) or len(wanted) > MOST_TRIGGERS:
        what = "the same trigger twice" if len(named) != len(wanted) else f"more than {MOST_TRIGGERS} triggers"
        raise Invalid("RENEW-004", f"pipeline {pipeline} has {what}", name=pipeline)
    standing = store.list_triggers(turn.connection, project=turn.project, pipeline=pipeline)
    for each in standing:
        if str(each) not in named:
            store.remove_trigger(turn.connection, each)
    kept = {str(each): each for each in standing}
    principal_id = _find_id(turn)
    for trigger in wanted:
        before = kept.get(str(trigger))
        if before is None:
            store.add_trigger(turn.connection, _make(turn, pipeline, trigger, principal_id))
        else:
            _hand_over(turn, replace(before, cooldown_s=trigger.cooldown_s), before, principal_id)
    turn.notify("triggers")


def take_over(turn: Turn, pipeline: str) -> str:
    """Return who applied a pipeline and may start it no longer, so that whoever applies it again steps in."""
    standing = store.list_triggers(turn.connection, project=turn.project, pipeline=pipeline)
    return next((each.principal for each in standing if find_refusal(turn, each)), "")


def find_alarm(turn: Turn, pipeline: str, service: str) -> Standing | None:
    """Return the trigger of a pipeline on the alarms of a service."""
    found = store.list_triggers(turn.connection, project=turn.project, pipeline=pipeline, event="alarm")
    return next((each for each in found if each.match.get("service") == service), None)


def refuse_renewal(turn: Turn, pipeline: str, service: str) -> str:
    """Return why the alarms of a service start nothing now, and note it; empty: they do."""
    standing = find_alarm(turn, pipeline, service)
    paused = store.find_pause(turn.connection, turn.project, pipeline) is not None
    why = "the pipeline is paused" if paused else find_refusal(turn, standing) if standing is not None else ""
    if why and standing is not None:
        note_outcome(turn, standing, why)
    return why


def name_renewal(turn: Turn, pipeline: str, service: str) -> Principal:
    """Return in whose name the alarms of a service start a pipeline."""
    standing = find_alarm(turn, pipeline, service)
    return (find_principal(turn, standing) if standing is not None else None) or OWNER


def note_renewal(turn: Turn, pipeline: str, service: str, run_id: str, event_time: float) -> None:
    """Note that a renewal was started by a trigger."""
    standing = find_alarm(turn, pipeline, service)
    if standing is not None:
        started = {"run_id": run_id, "started_at": turn.now(), "event_time": event_time}
        store.save_trigger(turn.connection, standing, replace(standing, **started, starts=standing.starts + 1))


def note_outcome(turn: Turn, standing: Standing, why: str) -> None:
    """Note why a trigger started nothing, and say so in the events when that is news."""
    after = replace(standing, outcome=why, outcome_at=turn.now(), passed=standing.passed + 1)
    store.save_trigger(turn.connection, standing, after)
    tell_refusal(turn, standing, why)


def tell_refusal(turn: Turn, before: Standing, why: str) -> None:
    """Append to the events that a trigger was refused; the same again is no news."""
    if before.outcome != why:
        turn.emit("trigger.refused", before.pipeline, {"trigger": str(before), "why": why})


def _make(turn: Turn, pipeline: str, trigger: Trigger, principal_id: str | None) -> Standing:
    due_at = None
    if trigger.event == "time":
        due_at = next_fire(trigger.match["expression"], trigger.match["tz"], turn.now())
    return Standing(
        turn.new_id(),
        turn.project,
        pipeline,
        trigger.event,
        trigger.match,
        trigger.cooldown_s,
        principal=str(turn.actor),
        principal_id=principal_id,
        node=turn.node,
        position=store.last_event(turn.connection),
        due_at=due_at,
        created_at=turn.now(),
    )


def _hand_over(turn: Turn, after: Standing, before: Standing, principal_id: str | None) -> None:
    """Keep a trigger in the name of who applied it now."""
    after = replace(after, principal=str(turn.actor), principal_id=principal_id, node=turn.node)
    if after.event == "file" and before.node != turn.node and "://" not in after.match["path"]:
        after.seen = None  # it was seen on the disk of another machine
    store.save_trigger(turn.connection, before, after)


def _find_id(turn: Turn) -> str | None:
    """Return the account of the actor; None: the user of the home, or its owner."""
    account = find_account(turn.connection, kind=turn.actor.kind, name=turn.actor.name)
    return account.id if account is not None and account.roles == turn.actor.roles else None
