"""Use cases of records that come from elsewhere: the same ids, and no word of processes that were never here."""

from __future__ import annotations

import re

from mainspring.control.experiments import check_active
from mainspring.control.results import make_run
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.experiments import LoggedRun
from mainspring.domain.imports import ImportLoggedModel, ImportRun
from mainspring.domain.loggedmodels import LoggedModel
from mainspring.domain.messages import BeginRun
from mainspring.store import experiments, logged_runs, loggedmodels, runs

_ID = re.compile(r"[0-9a-f]{32}\Z")


@handles(ImportRun, action="runs.start")
def import_run(turn: Turn, command: ImportRun) -> LoggedRun:
    """Make a run under the id that it had elsewhere.

    Raises
    ------
    Invalid
        IMPORT-005 for an id that is none.
    Conflict
        IMPORT-006 when another project, or something that is no run of a script, has the id; EXP-003 when the
        experiment is deleted.
    NotFound
        EXP-001 when there is no such experiment.
    """
    _check_id(command.run_id)
    found = experiments.get_numbered(turn.connection, turn.project, command.experiment)
    check_active(found)
    known = runs.find_held(turn.connection, command.run_id)
    if known is not None:
        if known[0].project != turn.project or known[0].kind != "script":
            raise _taken(command.run_id)
        return logged_runs.get_logged(turn.connection, turn.project, command.run_id)
    run = make_run(turn, BeginRun(kind="script", name=command.name, experiment=found.name))
    run.id = command.run_id
    run.created_at = run.started_at = command.started_at or run.created_at
    run.reason = "imported"
    runs.add_run(turn.connection, run, node=runs.NOWHERE)
    return LoggedRun(run, found.number)


@handles(ImportLoggedModel, action="runs.start")
def import_logged_model(turn: Turn, command: ImportLoggedModel) -> LoggedModel:
    """Make a logged model under the id that it had elsewhere.

    Raises
    ------
    Invalid
        IMPORT-005 for an id that is none.
    Conflict
        IMPORT-006 when another project has the id; EXP-003 when the experiment is deleted.
    NotFound
        EXP-001 when there is no such experiment, RUN-001 no such run.
    """
    _check_id(command.model_id)
    check_active(experiments.get_numbered(turn.connection, turn.project, command.experiment))
    if command.run_id:
        runs.find_run(turn.connection, turn.project, command.run_id)
    try:
        return loggedmodels.find_model(turn.connection, turn.project, command.model_id, deleted=True)
    except NotFound:
        if loggedmodels.has_model(turn.connection, command.model_id):
            raise _taken(command.model_id) from None
    model = LoggedModel(
        command.model_id,
        turn.project,
        command.experiment,
        command.name,
        command.kind,
        command.run_id or None,
        command.state,
        command.params,
        command.tags,
        command.created_at or turn.now(),
        command.changed_at or turn.now(),
    )
    loggedmodels.add_model(turn.connection, model)
    return model


def _check_id(text: str) -> None:
    if not _ID.match(text):
        raise Invalid("IMPORT-005", f"{text[:100]!r} is not an id of 32 hexadecimal characters", id=text[:100])


def _taken(text: str) -> Conflict:
    return Conflict("IMPORT-006", f"the id {text} is taken by something else", id=text)
