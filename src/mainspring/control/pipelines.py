"""Use cases of applied pipelines: list, show, start, pause, resume, remove."""

from __future__ import annotations

import msgspec

from mainspring.control.declarations import find_declaration, list_declarations
from mainspring.control.starts import make_call
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, submit
from mainspring.domain import triggers as messages
from mainspring.domain.errors import NotFound
from mainspring.domain.lists import cut
from mainspring.domain.messages import RunSpec
from mainspring.domain.records import Declaration, Run
from mainspring.domain.triggers import Happening, Pipeline, Standing
from mainspring.pipelines.schedules import next_fire
from mainspring.store import rows, tables
from mainspring.store import triggers as store


class _Applied(msgspec.Struct):
    principal: str
    created_at: float
    snapshot: str | None


@handles(messages.ListPipelines, action="declarations.read", reads=True)
def list_pipelines(turn: Turn, command: messages.ListPipelines) -> list[Pipeline]:
    """Answer with a page of the applied pipelines, by name."""
    return [_complete(turn, each) for each in cut(list_declarations(turn, "pipeline"), command)]


@handles(messages.GetPipeline, action="declarations.read", reads=True)
def get_pipeline(turn: Turn, command: messages.GetPipeline) -> Pipeline:
    """Answer with one applied pipeline."""
    return _complete(turn, find_pipeline(turn, command.name))


@handles(messages.StartPipeline, action="runs.start", rehearsed=True)
def start_pipeline(turn: Turn, command: messages.StartPipeline) -> Run:
    """Queue a run of what was applied, in the name of who asks."""
    declaration = find_pipeline(turn, command.name)
    happening = Happening("start", {}, str(turn.actor), turn.now(), turn.now())
    call = make_call(declaration, happening)
    run = submit(turn, RunSpec(kind="pipeline", name=declaration.name, call=call, tags={"trigger": "start"}))
    turn.audit("pipelines.start", declaration.name, after={"run": run.id})
    return run


@handles(messages.PausePipeline, action="declarations.apply", rehearsed=True)
def pause_pipeline(turn: Turn, command: messages.PausePipeline) -> Pipeline:
    """Let no trigger start a pipeline from now on."""
    declaration = find_pipeline(turn, command.name)
    if store.find_pause(turn.connection, turn.project, command.name) is None:
        store.add_pause(turn.connection, turn.project, command.name, str(turn.actor), turn.now())
        turn.audit("pipelines.pause", command.name)
        turn.emit("pipeline.paused", command.name)
    return _complete(turn, declaration)


@handles(messages.ResumePipeline, action="declarations.apply", rehearsed=True)
def resume_pipeline(turn: Turn, command: messages.ResumePipeline) -> Pipeline:
    """Let triggers start a pipeline again; what they passed over is not made up for."""
    declaration = find_pipeline(turn, command.name)
    paused = store.find_pause(turn.connection, turn.project, command.name) is not None
    last = store.last_event(turn.connection)
    for each in _list_triggers(turn, command.name):
        after = msgspec.structs.replace(each, streak=0)
        if paused:
            after.position = last
            if each.event == "time":
                after.due_at = next_fire(each.match["expression"], each.match["tz"], turn.now())
        store.save_trigger(turn.connection, each, after)
    if paused:
        store.drop_pause(turn.connection, turn.project, command.name)
        turn.audit("pipelines.resume", command.name)
        turn.emit("pipeline.resumed", command.name)
    turn.notify("triggers")
    return _complete(turn, declaration)


@handles(messages.RemovePipeline, action="declarations.apply", rehearsed=True)
def remove_pipeline(turn: Turn, command: messages.RemovePipeline) -> Pipeline:
    """Forget what was applied; a run that goes on ends as it would."""
    pipeline = _complete(turn, find_pipeline(turn, command.name))
    store.remove_pipeline(turn.connection, turn.project, command.name)
    turn.audit("pipelines.remove", command.name, before={"snapshot": pipeline.snapshot})
    turn.emit("pipeline.removed", command.name)
    return pipeline


def find_pipeline(turn: Turn, name: str) -> Declaration:
    """Return the declaration of an applied pipeline.

    Raises
    ------
    NotFound
        TRIGGER-005 when there is none of that name.
    """
    declaration = find_declaration(turn, "pipeline", name)
    if declaration is None:
        names = [each.name for each in list_declarations(turn, "pipeline")]
        near = turn.suggest("declarations.read", name, names)
        raise NotFound("TRIGGER-005", f"no pipeline {name!r} is applied", fix=near, name=name)
    return declaration


def _list_triggers(turn: Turn, name: str) -> list[Standing]:
    return store.list_triggers(turn.connection, project=turn.project, pipeline=name)


def _complete(turn: Turn, declaration: Declaration) -> Pipeline:
    where = {"project": turn.project, "kind": "pipeline", "name": declaration.name}
    applied = rows.find(turn.connection, tables.declarations, _Applied, limit=1, **where)[0]
    standing = _list_triggers(turn, declaration.name)
    pause = store.find_pause(turn.connection, turn.project, declaration.name)
    last = rows.find(turn.connection, tables.runs, Run, limit=1, **where)
    told = [each for each in standing if each.outcome_at is not None]
    newest = max(told, key=lambda each: each.outcome_at or 0.0, default=None)
    due = [each.due_at for each in standing if each.event == "time" and each.due_at is not None]
    return Pipeline(
        declaration.name,
        turn.project,
        standing[0].principal if standing else applied.principal,
        applied.created_at,
        snapshot=applied.snapshot or "",
        entry=str(declaration.body["snapshot"]["entry"]),
        folder=str(declaration.body["folder"]),
        triggers=standing,
        paused_at=pause.paused_at if pause else None,
        paused_by=pause.principal if pause else "",
        next_at=min(due, default=None) if pause is None else None,
        last=last[0] if last else None,
        why=newest.outcome if newest else "",
    )
