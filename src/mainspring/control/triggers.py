"""The loop of triggers: events and schedules start applied pipelines."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from msgspec.structs import replace

from mainspring.control.declarations import find_declaration
from mainspring.control.standings import tell_refusal
from mainspring.control.starts import find_refusal, list_chain, start_pipeline
from mainspring.control.turn import Turn
from mainspring.control.usecases import holds, loop
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import MainspringError
from mainspring.domain.records import Event
from mainspring.domain.states import TERMINAL
from mainspring.domain.triggers import Happening, Standing
from mainspring.pipelines.schedules import next_fire
from mainspring.pipelines.triggers import Decision, decide, is_match
from mainspring.store import runs
from mainspring.store import triggers as store
from mainspring.store.versions import find_any

_KINDS = {"data": "data", "alias": "model.promoted", "run.failed": "run.failed"}
"""Kind of an event of the record -> what triggers call it."""

_MOST_EVENTS = 1000
_HOLDING = frozenset({"time", "file"})
"""Nobody else would wake the owner for these."""

_log = logging.getLogger(__name__)


@loop(every_s=1.0, topics=(*(f"events.{kind}" for kind in _KINDS), "triggers"), once=True)
def follow_triggers(turn: Turn) -> None:
    """Start what schedules and events ask for.

    What a trigger has seen and what it started move in one transaction, so a start is neither lost
    nor done twice, whichever owner dies where.
    """
    standing = [each for each in store.list_triggers(turn.connection) if each.event != "alarm"]
    waiting = [each for each in standing if each.event in _KINDS.values()]
    happened: list[Event] = []
    if waiting:
        wanted = {kind for kind, name in _KINDS.items() if any(each.event == name for each in waiting)}
        after = max(store.read_cursor(turn.connection), min(each.position for each in waiting))
        happened = store.list_happened(turn.connection, after, wanted, _MOST_EVENTS)
    chains: dict[str, tuple[str, ...]] = {}
    told = [(each.project, _tell(turn, each, chains)) for each in happened]
    for project, mine in groupby(sorted(standing, key=lambda each: each.project), lambda each: each.project):
        advance(turn, project, list(mine), [happening for place, happening in told if place == project])
    if happened:
        store.move_cursor(turn.connection, happened[-1].seq)
    if len(happened) == _MOST_EVENTS:
        turn.notify("triggers")


def advance(turn: Turn, project: str, standing: Sequence[Standing], happenings: Sequence[Happening]) -> None:
    """Bring triggers of one project on by what has happened."""
    now = turn.now()
    addressed = {each.trigger for each in happenings}
    moved = [each for each in standing if each.id in addressed or _is_moved(each, happenings, now)]
    if not moved:
        return
    with turn.within(project):
        paused = {name for place, name in store.list_paused(turn.connection) if place == project}
        refusals = {each.id: why for each in moved if (why := find_refusal(turn, each))}
        busy = _list_busy(turn, project)
        decisions = decide(moved, happenings, now, busy=busy, paused=paused, refusals=refusals)
        for before, decision in zip(moved, decisions, strict=True):
            _act(turn, before, decision)


@loop(every_s=60.0, once=True)
def mend_schedules(turn: Turn) -> None:
    """Bring schedules back that a clock which had run ahead has left waiting for years."""
    for each in store.list_triggers(turn.connection, event="time"):
        due_at = next_fire(each.match["expression"], each.match["tz"], turn.now())
        if due_at is not None and each.due_at is not None and due_at < each.due_at:
            store.save_trigger(turn.connection, each, replace(each, due_at=due_at))


@holds
def hold_for_triggers(turn: Turn) -> str | None:
    """Keep the owner while a schedule, or a file that is watched, may start something."""
    paused = store.list_paused(turn.connection)
    for each in store.list_triggers(turn.connection):
        if each.pending is not None:
            return f"{each} is about to start {each.pipeline}, or does when its cooldown ends"
        if each.event in _HOLDING and (each.project, each.pipeline) not in paused:
            return f"{each} starts {each.pipeline}"
    return None


def _is_moved(standing: Standing, happenings: Sequence[Happening], now: float) -> bool:
    """Tell whether there is anything to decide about a trigger."""
    if standing.pending is not None or (standing.event == "time" and (standing.due_at or now + 1) <= now):
        return True
    return any(is_match(standing, each) for each in happenings)


def _list_busy(turn: Turn, project: str) -> set[str]:
    """Return the pipelines whose last triggered run has not ended, also when an alarm started it."""
    standing = store.list_triggers(turn.connection, project=project)
    last = {each.run_id: each.pipeline for each in standing if each.run_id is not None}
    busy = set()
    for run_id, pipeline in last.items():
        held = runs.find_held(turn.connection, run_id)
        if held is not None and held[0].state not in TERMINAL:
            busy.add(pipeline)
    return busy


def _act(turn: Turn, before: Standing, decision: Decision) -> None:
    after = decision.standing
    if decision.start is not None:
        after = _start(turn, before, after, decision.start)
    elif decision.refused:
        tell_refusal(turn, before, after.outcome)
    store.save_trigger(turn.connection, before, after)


def _start(turn: Turn, before: Standing, after: Standing, happening: Happening) -> Standing:
    crash_point("trigger.decided")
    try:
        with turn.part():
            declaration = find_declaration(turn, "pipeline", after.pipeline)
            assert declaration is not None  # removed with its triggers
            run = start_pipeline(turn, declaration, after, happening)
    except MainspringError as fault:
        why = f"{fault.code}: {fault.what}"
    except Exception as fault:  # noqa: BLE001 - one pipeline that cannot start must not keep the others from it
        _log.exception("%s cannot start %s", after, after.pipeline)
        why = f"{type(fault).__name__}: {fault}"
    else:
        return replace(after, run_id=run.id)
    tell_refusal(turn, before, why)
    kept = {"starts": before.starts, "started_at": before.started_at, "event_time": before.event_time}
    return replace(after, **kept, passed=after.passed + 1, outcome=why, outcome_at=turn.now())


def _tell(turn: Turn, event: Event, chains: dict[str, tuple[str, ...]]) -> Happening:
    body: dict[str, Any] = event.body or {}
    facts, causes = _read_facts(turn, event, body)
    chain: list[str] = []
    for run_id in causes:
        if run_id not in chains:
            chains[run_id] = list_chain(turn, run_id)
        chain += chains[run_id]
    return Happening(
        _KINDS[event.kind],
        facts,
        event.subject,
        event.time,
        event.time if event.event_time is None else event.event_time,
        body,
        number=event.seq,
        chain=tuple(dict.fromkeys(chain)),
    )


def _read_facts(turn: Turn, event: Event, body: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return what triggers may match of an event, and the runs that it comes from."""
    if event.kind == "data":
        return {"dataset": str(body["name"])}, _drop_none(body.get("run_id"))
    if event.kind == "run.failed":
        return {"name": str(body["name"]), "kind": str(body["kind"])}, [event.subject]
    if body.get("kind", "model") != "model":
        return {}, []
    # Whoever moves the alias, a model comes from the run that made it, also when its canary is full only later.
    version = find_any(turn.connection, "model", event.project, str(body["name"]), int(body["number"]))
    facts = {"model": str(body["name"]), "alias": str(body["alias"])}
    return facts, _drop_none(body.get("run_id"), version.run_id if version is not None else None)


def _drop_none(*ids: str | None) -> list[str]:
    return [each for each in ids if each is not None]
