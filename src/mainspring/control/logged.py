"""Use cases of runs that are told of from outside: begin, log in batches, end, hide, show."""

from __future__ import annotations

from typing import Any

from mainspring.control import experiments as groups
from mainspring.control.loggedmodels import add_metrics
from mainspring.control.needs import find_run_need
from mainspring.control.results import make_run
from mainspring.control.turn import Turn
from mainspring.control.usecases import FINISHED, REPORTED, handles
from mainspring.domain import experiments as told
from mainspring.domain.command import Nothing
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.messages import BeginRun
from mainspring.domain.records import Run
from mainspring.domain.states import TERMINAL
from mainspring.store import deletions, experiments, logged_runs, runs, series


@handles(told.OpenRun, action="runs.start")
def open_run(turn: Turn, command: told.OpenRun) -> told.LoggedRun:
    """Begin a run that nobody watches.

    What a worker begins lies below its own run, so that it may go on speaking of it.

    Raises
    ------
    NotFound
        EXP-001 when there is no such experiment.
    Conflict
        EXP-003 when it is deleted.
    """
    found = experiments.get_numbered(turn.connection, turn.project, command.experiment)
    groups.check_active(found)
    parent = _find_parent(turn, command.parent_id) or turn.actor.run_id or None
    run = make_run(turn, BeginRun(kind="script", name=command.name, parent_id=parent, tags=command.tags))
    run.experiment = found.name
    run.started_at = run.created_at if command.started_at is None else command.started_at
    runs.add_run(turn.connection, run, node=runs.NOWHERE)
    if run.parent_id is None:
        turn.emit("run.started", run.id, {"kind": run.kind, "name": run.name})
    return told.LoggedRun(run, found.number)


@handles(told.GetLoggedRun, action="runs.read", reads=True)
def get_logged_run(turn: Turn, command: told.GetLoggedRun) -> told.LoggedRun:
    """Answer with a run and all that was logged of it."""
    return logged_runs.get_logged(turn.connection, turn.project, command.run_id)


@handles(told.SetRun, action="runs.report")
def set_run(turn: Turn, command: told.SetRun) -> told.LoggedRun:
    """Say that a run is in another state, when it ended, or what it is called; answer without what it logged.

    Raises
    ------
    Conflict
        EXP-003 when it is deleted.
    """
    found = _find_active(turn, command.run_id)
    run, hold, values = found.run, found.hold, dict[str, Any]()
    if command.name:
        values["name"] = command.name
    ends = False
    if runs.is_unwatched(run, hold):
        ended_at = run.ended_at if command.ended_at is None else command.ended_at
        state = command.state or run.state
        ends = state in TERMINAL and run.state not in TERMINAL
        if state not in TERMINAL:
            ended_at = None
        elif ended_at is None:
            ended_at = max(turn.now(), run.started_at or 0.0)
        values |= {"state": state, "ended_at": ended_at}
    runs.set_texts(turn.connection, run, run.params, run.tags | command.tags)
    if values:
        runs.change_run(turn.connection, run, **values)
    for name, value in {**values, "tags": run.tags | command.tags}.items():
        setattr(run, name, value)
    turn.notify(run.id)
    if ends:
        _tell_end(turn, run)
    return told.LoggedRun(run, found.experiment)


@handles(told.HideRun, action="runs.delete")
def hide_run(turn: Turn, command: told.HideRun) -> Nothing:
    """Delete a run alone; one that is deleted stays so.

    Raises
    ------
    Conflict
        KEEP-002 when a process, a renewal or a service needs it.
    """
    place = logged_runs.find_place(turn.connection, turn.project, command.run_id)
    if place.deleted:
        return Nothing()
    run, hold = runs.get_held(turn.connection, command.run_id)
    need = None if runs.is_unwatched(run, hold) else find_run_need(turn, run)
    if need is not None:
        raise Conflict("KEEP-002", f"run {run.id[-6:]} is needed by {need.what}", fix=need.fix, run=run.id)
    deletions.delete_run(turn.connection, run, str(turn.actor), turn.now(), alone=True)
    turn.audit("runs.delete", run.id, before={"name": run.name, "state": run.state, "hidden": 1})
    turn.emit("run.deleted", run.id, {"id": run.id})
    return Nothing()


@handles(told.ShowRun, action="runs.delete")
def show_run(turn: Turn, command: told.ShowRun) -> Nothing:
    """Restore a deleted run; one that is there stays so.

    Raises
    ------
    Conflict
        KEEP-003 when it was purged.
    """
    logged_runs.find_place(turn.connection, turn.project, command.run_id)
    known = deletions.find_deletion(turn.connection, command.run_id)
    if known is None:
        return Nothing()
    if known.purged_at is not None:
        raise Conflict("KEEP-003", f"run {command.run_id} was removed for good", id=command.run_id)
    deletions.restore_run(turn.connection, known)
    turn.audit("runs.restore", known.id, after={"name": known.name})
    turn.emit("run.restored", known.id, {"id": known.id})
    return Nothing()


@handles(told.LogBatch, action="runs.report")
def log_batch(turn: Turn, command: told.LogBatch) -> Nothing:
    """Log points, parameters and tags, all or none.

    Raises
    ------
    NotFound
        RUN-001 when there is no such run, EXP-006 when a tag that is removed is not there, LMODEL-001 for a
        metric of a logged model that is not.
    Conflict
        EXP-003 when it is deleted.
    Invalid
        EXP-004 when a parameter would change.
    """
    if command.params or command.tags or command.remove:
        found = _find_active(turn, command.run_id)
        _set_texts(turn, found.run, command)
        place = found.place
    else:
        metrics = {key for key, *_ in command.points}
        place = logged_runs.find_place(turn.connection, turn.project, command.run_id, metrics)
        _check_active(place, command.run_id)
    series.add_points(turn.connection, place.seq, place.attempt, command.points, place.keys)
    if command.of_models:
        add_metrics(turn, command.run_id, command.of_models)
    if place.kind == "trial" and command.points:
        run = runs.get_run(turn.connection, command.run_id)
        for hook in REPORTED:
            hook(turn, run)
    return Nothing()


@handles(told.LogInputs, action="runs.report")
def log_inputs(turn: Turn, command: told.LogInputs) -> Nothing:
    """Say what a run read and made.

    Raises
    ------
    Conflict
        EXP-003 when it is deleted.
    """
    found = _find_active(turn, command.run_id)
    seq = found.place.seq
    logged_runs.add_inputs(turn.connection, turn.project, found.experiment, seq, command.datasets)
    logged_runs.add_uses(turn.connection, seq, "read", command.read)
    logged_runs.add_uses(turn.connection, seq, "made", command.made)
    return Nothing()


@handles(told.ListDatasetInputs, action="runs.read", reads=True)
def list_dataset_inputs(turn: Turn, command: told.ListDatasetInputs) -> list[told.DatasetSummary]:
    """Answer with the datasets that runs of experiments read."""
    return logged_runs.list_inputs(turn.connection, turn.project, command.experiments)


def _find_active(turn: Turn, run_id: str) -> logged_runs.Found:
    found = logged_runs.find_logged(turn.connection, turn.project, run_id)
    _check_active(found.place, run_id)
    return found


def _check_active(place: logged_runs.Place, run_id: str) -> None:
    if place.deleted:
        raise Conflict("EXP-003", f"run {run_id} is deleted", run=run_id, state="deleted")


def _find_parent(turn: Turn, parent_id: str | None) -> str | None:
    """Return the run that a new one lies below; one that is not there or has ended takes nothing below it."""
    if not parent_id:
        return None
    held = runs.find_held(turn.connection, parent_id)
    if held is None or held[0].project != turn.project or runs.is_ended(held[0]):
        return None
    return parent_id


def _set_texts(turn: Turn, run: Run, command: told.LogBatch) -> None:
    changed = [
        {"key": name, "old_value": show_param(run.params[name]), "new_value": value}
        for name, value in command.params.items()
        if name in run.params and show_param(run.params[name]) != value
    ]
    if changed:
        first = changed[0]
        what = f"parameter {first['key']!r} of run {run.id[-6:]} is {first['old_value']!r}, not {first['new_value']!r}"
        raise Invalid("EXP-004", what, run=run.id, changed=changed)
    for name in command.remove:
        if name not in run.tags:
            raise NotFound("EXP-006", f"run {run.id} has no tag {name!r}", run=run.id, name=name)
    params = {**run.params, **{name: each for name, each in command.params.items() if name not in run.params}}
    tags = {name: value for name, value in run.tags.items() if name not in command.remove} | command.tags
    runs.set_texts(turn.connection, run, params, tags)
    if command.name and command.name != run.name:
        runs.change_run(turn.connection, run, name=command.name)


def show_param(value: Any) -> str:
    """Return a parameter as text, as clients that know only texts see it."""
    return value if isinstance(value, str) else str(value)


def _tell_end(turn: Turn, run: Run) -> None:
    """What follows when an unwatched run is said to have ended, as it does for one that was seen to end."""
    if run.state == "failed":
        turn.emit("run.failed", run.id, {"kind": run.kind, "name": run.name, "what": ""})
    elif run.parent_id is None:
        turn.emit(f"run.{run.state}", run.id, {"kind": run.kind, "name": run.name})
    for hook in (*FINISHED.get(run.kind, ()), *FINISHED.get("*", ())):
        hook(turn, run)
