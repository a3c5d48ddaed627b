"""Use cases of logged models."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from mainspring.control.experiments import check_active
from mainspring.control.identity import is_below
from mainspring.control.retention import KEPT_DELETED_S
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, loop
from mainspring.domain import loggedmodels as told
from mainspring.domain.command import Nothing
from mainspring.domain.conditions import LISTED
from mainspring.domain.errors import Conflict, Denied, Invalid, NotFound
from mainspring.store import experiments, loggedmodels, runs
from mainspring.store.projects import list_projects
from mainspring.tracking.modelsearch import ATTRIBUTES, SIGNS, TIMES, choose_models

_STEP = 50
"""So many deleted models go in one turn."""


@handles(told.AddLoggedModel, action="runs.start")
def add_logged_model(turn: Turn, command: told.AddLoggedModel) -> told.LoggedModel:
    """Begin to log a model.

    Raises
    ------
    NotFound
        EXP-001 when there is no such experiment, RUN-001 no such run.
    Conflict
        EXP-003 when the experiment is deleted.
    """
    check_active(experiments.get_numbered(turn.connection, turn.project, command.experiment))
    if command.run_id:
        runs.find_run(turn.connection, turn.project, command.run_id)
    model = told.LoggedModel(
        turn.new_id(),
        turn.project,
        command.experiment,
        command.name,
        command.kind,
        command.run_id or None,
        params=command.params,
        tags=command.tags,
        created_at=turn.now(),
        changed_at=turn.now(),
    )
    loggedmodels.add_model(turn.connection, model)
    return model


@handles(told.GetLoggedModel, action="runs.read", reads=True)
def get_logged_model(turn: Turn, command: told.GetLoggedModel) -> told.LoggedModel:
    """Answer with a logged model."""
    return loggedmodels.find_model(turn.connection, turn.project, command.model_id, deleted=command.deleted)


@handles(told.SetLoggedModel, action="runs.report")
def set_logged_model(turn: Turn, command: told.SetLoggedModel) -> told.LoggedModel:
    """Say what a logged model came to be.

    Raises
    ------
    Conflict
        LMODEL-002 when a parameter would change.
    NotFound
        LMODEL-001; LMODEL-003 when a tag that is removed is not there.
    """
    model = _find(turn, command.model_id)
    for name, value in command.params.items():
        if model.params.get(name, value) != value:
            what = f"parameter {name!r} of m-{model.id} is {model.params[name]!r:.200}, not {value!r:.200}"
            raise Conflict("LMODEL-002", what, id=model.id, name=name)
    for name in command.remove:
        if name not in model.tags:
            what = f"No tag with key {name!r} found for model with ID 'm-{model.id}'."
            raise NotFound("LMODEL-003", what, id=model.id, name=name)
    model.params = {**model.params, **command.params}
    model.tags = {name: value for name, value in model.tags.items() if name not in command.remove} | command.tags
    model.state = command.state or model.state
    model.changed_at = turn.now()
    values = {name: getattr(model, name) for name in ("params", "tags", "state", "changed_at")}
    loggedmodels.change_model(turn.connection, model.id, **values)
    return model


@handles(told.HideLoggedModel, action="runs.delete")
def hide_logged_model(turn: Turn, command: told.HideLoggedModel) -> Nothing:
    """Delete a logged model; one that is deleted stays so."""
    model = loggedmodels.find_model(turn.connection, turn.project, command.model_id, deleted=True)
    if model.deleted_at is None:
        now = turn.now()
        loggedmodels.change_model(turn.connection, model.id, deleted_at=now, changed_at=now)
        turn.audit("runs.delete", f"m-{model.id}", before={"name": model.name, "run": model.run_id})
    return Nothing()


@handles(told.SearchLoggedModels, action="runs.read", reads=True)
def search_logged_models(turn: Turn, command: told.SearchLoggedModels) -> told.LoggedModelPage:
    """Answer with some logged models.

    Raises
    ------
    Invalid
        LMODEL-004 for a condition or order that is none, LMODEL-005 for a page of another search.
    """
    _check_search(command)
    name = _name_search(command)
    number, _, of = command.page.partition(".")
    if command.page and (of != name or not number.isdecimal()):
        raise Invalid("LMODEL-005", f"the page {command.page[:100]!r} is not one of this search")
    first = int(number[:18]) if number else 0
    models = loggedmodels.list_models(turn.connection, turn.project, command.experiments)
    found = choose_models(models, command.conditions, command.datasets, command.order)
    last = first + max(command.limit, 1)
    return told.LoggedModelPage(found[first:last], f"{last}.{name}" if last < len(found) else None)


@loop(every_s=60.0, once=True)
def purge_hidden(turn: Turn) -> None:
    """Remove what was deleted longer ago than its project keeps it."""
    for project in list_projects(turn.connection):
        kept_s = KEPT_DELETED_S if project.keep_deleted_s is None else project.keep_deleted_s
        gone = loggedmodels.list_hidden(turn.connection, project.name, turn.now() - kept_s, _STEP) if kept_s else []
        with turn.within(project.name):
            for model_id in gone:
                loggedmodels.purge_model(turn.connection, project.name, model_id)
                turn.audit("assets.purge", f"m-{model_id}")


def add_metrics(turn: Turn, run_id: str, metrics: Sequence[told.ModelMetric]) -> None:
    """Log metrics of logged models, as a run has computed them.

    Raises
    ------
    NotFound
        LMODEL-001 when there is no such model.
    """
    for model_id in {each.model_id for each in metrics}:
        loggedmodels.find_model(turn.connection, turn.project, model_id)
    loggedmodels.add_metrics(turn.connection, [msgspec.structs.replace(each, run_id=run_id) for each in metrics])


def _find(turn: Turn, model_id: str) -> told.LoggedModel:
    model = loggedmodels.find_model(turn.connection, turn.project, model_id)
    if turn.actor.kind == "worker" and not is_below(turn, model.run_id or "", turn.actor.run_id):
        raise Denied("AUTH-010", f"{turn.actor} reaches for logged model m-{model.id}", id=model.id)
    return model


def _check_search(command: told.SearchLoggedModels) -> None:
    for each in command.conditions:
        known = each.part != "attributes" or each.key in ATTRIBUTES
        is_number = each.part == "metrics" or (each.part == "attributes" and each.key in TIMES)
        kind = tuple if each.sign in LISTED else float if is_number else str
        if each.sign not in SIGNS or not known or not isinstance(each.value, kind):
            raise Invalid("LMODEL-004", f"logged models are not searched by {each.part}.{each.key} {each.sign}")
    for order in command.order:
        if order.field not in ATTRIBUTES and not order.field.startswith("metrics."):
            raise Invalid("LMODEL-004", f"logged models are not ordered by {order.field[:100]!r}")


def _name_search(command: told.SearchLoggedModels) -> str:
    asked = (command.experiments, command.conditions, command.datasets, command.order)
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:16]
