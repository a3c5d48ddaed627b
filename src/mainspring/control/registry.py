"""Use cases of registered models: names, what is noted on them, aliases taken away, stages of MLflow's protocol."""

from __future__ import annotations

from mainspring.control.assets import check_name, missing, name_model, resolve
from mainspring.control.gates import allow_move, check_force, find_gate
from mainspring.control.needs import find_name_need
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, submit
from mainspring.domain import registry as messages
from mainspring.domain.errors import Conflict
from mainspring.domain.lists import MOST
from mainspring.domain.messages import ListVersions, RunSpec
from mainspring.domain.records import Call, Run, Version
from mainspring.domain.references import Reference
from mainspring.domain.registry import ModelPage, RegisteredModel, VersionPage, check_notes
from mainspring.store import deletions, registry, registrysearch, rows, tables, versions

_ARCHIVED = "Archived"


@handles(messages.RegisterModel, action="assets.write", rehearsed=True)
def register_model(turn: Turn, command: messages.RegisterModel) -> RegisteredModel:
    """Make a name without versions.

    Raises
    ------
    Invalid
        DATA-001 when the name is none; MODEL-051 for notes that are too long.
    Conflict
        MODEL-050 when it is there.
    """
    check_name(command.name, "model")
    check_notes(command.description, command.tags)
    if find_here(turn, command.name) is not None:
        raise Conflict("MODEL-050", f"there is a model {command.name!r}", model=command.name)
    model = name_model(turn, command.name)
    model.description, model.tags, model.changed_at = command.description, command.tags, turn.now()
    registry.note_model(turn.connection, model)
    turn.emit("model.named", model.name, {"id": model.id})
    return _complete(turn, model)


@handles(messages.GetModel, action="assets.read", reads=True)
def get_model(turn: Turn, command: messages.GetModel) -> RegisteredModel:
    """Answer with a registered model.

    Raises
    ------
    NotFound
        MODEL-001 when there is none of that name.
    """
    return _complete(turn, _find(turn, command.name))


@handles(messages.ListModels, action="assets.read", reads=True)
def list_models(turn: Turn, command: messages.ListModels) -> list[RegisteredModel]:
    """Answer with registered models, the newest first."""
    below = rows.find_place(turn.connection, tables.registered_models, command.page, project=turn.project)
    found = registry.list_models(turn.connection, turn.project, below, command.limit)
    return [_complete(turn, each) for each in found]


@handles(messages.SearchModels, action="assets.read", reads=True)
def search_models(turn: Turn, command: messages.SearchModels) -> ModelPage:
    """Answer with a page of the registered models for which all conditions hold.

    Raises
    ------
    Invalid
        RUN-014 for a filter or order that cannot be read; RUN-013 when the page is none of this search.
    """
    names, following = registrysearch.search_models(turn.connection, turn.project, command)
    return ModelPage([_complete(turn, _find(turn, name)) for name in names], following)


@handles(messages.SearchVersions, action="assets.read", reads=True)
def search_versions(turn: Turn, command: messages.SearchVersions) -> VersionPage:
    """Answer with a page of the versions of models for which all conditions hold; it raises as `search_models`."""
    ids, following = registrysearch.search_versions(turn.connection, turn.project, command)
    found = {each.id: each for each in versions.get_versions(turn.connection, ids)}
    return VersionPage([found[each] for each in ids], following)


@handles(messages.ProveModel, action="runs.start")
def prove_model(turn: Turn, command: messages.ProveModel) -> Run:
    """Queue the run that loads a version and has it answer.

    Raises
    ------
    NotFound
        MODEL-001 when the reference names nothing.
    """
    version = resolve(turn, "model", command.reference)
    arguments = {"model": version.reference}
    call = Call(job="proof", arguments=arguments)
    return submit(turn, RunSpec(kind="proof", name=version.reference, call=call, params=arguments))


@handles(messages.DescribeModel, action="assets.write", rehearsed=True)
def describe_model(turn: Turn, command: messages.DescribeModel) -> RegisteredModel:
    """Change what is noted on a model, or on one of its versions.

    Raises
    ------
    NotFound
        MODEL-001 when there is no such model or version.
    Invalid
        MODEL-051 for notes that are too long.
    """
    check_notes(command.description, command.tags)
    model = _find(turn, command.name)
    noted: RegisteredModel | Version = model
    if command.number:
        noted = resolve(turn, "model", f"{command.name}@{command.number}")
    removed = set(command.untag)
    tags = {name: value for name, value in noted.tags.items() if name not in removed} | command.tags
    description = noted.description if command.description is None else command.description
    if isinstance(noted, Version):
        values = {"description": description, "tags": tags}
        registry.note_version(turn.connection, noted.id, turn.now(), **values)
        registry.touch_model(turn.connection, turn.project, model.name, turn.now())
    else:
        model.description, model.tags, model.changed_at = description, tags, turn.now()
        registry.note_model(turn.connection, model)
    return _complete(turn, _find(turn, command.name))


@handles(messages.RenameModel, action="models.rename", rehearsed=True)
def rename_model(turn: Turn, command: messages.RenameModel) -> RegisteredModel:
    """Give a model another name; versions, aliases, verdicts and gates go with it.

    Raises
    ------
    NotFound
        MODEL-001 when there is no such model.
    Invalid
        DATA-001 when the new name is none.
    Conflict
        MODEL-050 when there is, or was, a model or a gate of the new name; KEEP-002 while a service, renewal or live
        run needs a version.
    """
    check_name(command.to, "model")
    model = _find(turn, command.name)
    if command.to == command.name:
        return _complete(turn, model)
    taken = find_here(turn, command.to) is not None or registry.has_versions(turn.connection, turn.project, command.to)
    if taken or registry.has_gate(turn.connection, turn.project, command.to):
        what = f"there is, or was, a model {command.to!r}"
        raise Conflict("MODEL-050", what, fix="take a name that was never used", model=command.to)
    need = find_name_need(turn, command.name)
    if need is not None:
        raise Conflict("KEEP-002", f"{command.name} is needed by {need.what}", fix=need.fix, reference=command.name)
    registry.remove_model(turn.connection, turn.project, command.to)  # one that was deleted, without versions
    registry.rename_model(turn.connection, turn.project, command.name, command.to)
    registry.touch_model(turn.connection, turn.project, command.to, turn.now())
    turn.audit("models.rename", command.to, before=command.name, after=command.to)
    turn.emit("model.renamed", command.to, {"before": command.name, "id": model.id})
    return _complete(turn, _find(turn, command.to))


@handles(messages.DropAlias, action="aliases.move", rehearsed=True)
def drop_alias(turn: Turn, command: messages.DropAlias) -> RegisteredModel:
    """Take an alias away; one that is not there is no fault.

    Raises
    ------
    NotFound
        MODEL-001 when there is no such model.
    Conflict
        GATE-003 when a gate guards the alias and nobody forces it.
    Denied
        AUTH-005 when it is forced and the actor is no approver.
    Invalid
        GATE-008 when it is forced without a reason.

    Notes
    -----
    Without its champion a gate compares with the best constant, so taking a gated alias away would lower the bar.
    """
    model = _complete(turn, _find(turn, command.name))
    number = model.aliases.get(command.alias)
    if number is None:
        return model
    if find_gate(turn, model.name, command.alias) is not None:
        reference = f"{model.name}@{number}"
        check_force(turn, model.name, command.alias, reference, force=command.force, reason=command.reason)
    registry.drop_alias(turn.connection, turn.project, model.name, command.alias)
    registry.touch_model(turn.connection, turn.project, model.name, turn.now())
    body = {"name": model.name, "alias": command.alias, "before": number, "number": None, "reason": command.reason}
    turn.audit("aliases.move", f"{model.name}@{command.alias}", before=number, after=body)
    turn.emit("alias.dropped", f"{model.name}@{command.alias}", {**body, "kind": "model"})
    return _complete(turn, _find(turn, command.name))


@handles(messages.StageVersion, action="aliases.move", rehearsed=True)
def stage_version(turn: Turn, command: messages.StageVersion) -> Version:
    """Set the stage of a version, and archive the others of that stage if wanted.

    Raises
    ------
    NotFound
        MODEL-001 when there is no such version.
    Conflict
        GATE-003 when a gate is declared for the stage and has not let the version through.
    """
    version = resolve(turn, "model", f"{command.name}@{command.number}")
    rule = allow_move(turn, version, command.stage) if command.stage else ""
    if command.archive:
        for each in versions.list_versions(turn.connection, turn.project, ListVersions("model", command.name, MOST)):
            if each.stage == command.stage and each.id != version.id:
                registry.note_version(turn.connection, each.id, turn.now(), stage=_ARCHIVED)
    registry.note_version(turn.connection, version.id, turn.now(), stage=command.stage)
    registry.touch_model(turn.connection, turn.project, version.name, turn.now())
    body = {"before": version.stage, "stage": command.stage, "rule": rule}
    turn.audit("aliases.move", version.reference, before=version.stage, after=body)
    turn.emit("stage", version.reference, body)
    return resolve(turn, "model", version.reference)


def _find(turn: Turn, name: str) -> RegisteredModel:
    model = find_here(turn, name)
    if model is None:
        raise missing(turn, "model", str(Reference(name)))
    return model


def find_here(turn: Turn, name: str) -> RegisteredModel | None:
    """Return the row of a model that is there, without aliases and versions."""
    model = registry.find_model(turn.connection, turn.project, name)
    return None if model is None or deletions.find_deletion(turn.connection, model.id) is not None else model


def _complete(turn: Turn, model: RegisteredModel) -> RegisteredModel:
    model.aliases = registry.list_aliases(turn.connection, model.project, model.name)
    model.newest = registry.list_newest(turn.connection, model.project, model.name)
    return model
