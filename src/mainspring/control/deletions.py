"""Use cases of deletion: hide, restore, and remove for good."""

from __future__ import annotations

from mainspring.control.assets import missing, resolve
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import Conflict, Invalid
from mainspring.domain.records import Service, Version
from mainspring.domain.references import parse_reference
from mainspring.domain.upkeep import DeleteModel, Deletion, PurgeDeleted, RestoreModel
from mainspring.store import deletions, versions
from mainspring.store.rows import find
from mainspring.store.tables import services


@handles(DeleteModel, action="assets.delete")
def delete_model(turn: Turn, command: DeleteModel) -> Deletion:
    """Hide a version of a model.

    Raises
    ------
    Invalid
        MODEL-030 when the reference has no number.
    Conflict
        MODEL-031 when an alias, a service or another version needs it.
    NotFound
        MODEL-001 when there is no such version.
    """
    _check_pinned(command.reference)
    version = resolve(turn, "model", command.reference)
    need = _find_need(turn, version)
    if need:
        raise Conflict("MODEL-031", f"{version.reference} is needed by {need}", model=version.reference)
    deletions.delete_version(turn.connection, version, str(turn.actor), turn.now())
    turn.audit("assets.delete", version.reference, before={"id": version.id, "digest": version.digest})
    turn.emit("model.deleted", version.reference, {"id": version.id, "digest": version.digest})
    found = deletions.find_deletion(turn.connection, version.id)
    assert found is not None
    return found


@handles(RestoreModel, action="assets.delete")
def restore_model(turn: Turn, command: RestoreModel) -> Version:
    """Show a deleted version again.

    Raises
    ------
    Invalid
        MODEL-030 when the reference has no number.
    Conflict
        MODEL-032 when it was purged.
    NotFound
        MODEL-001 when there is no such version.
    """
    _check_pinned(command.reference)
    reference = parse_reference(command.reference)
    assert reference.number is not None
    version = versions.find_any(turn.connection, "model", turn.project, reference.name, reference.number)
    if version is None:
        raise missing("model", command.reference)
    deletion = deletions.find_deletion(turn.connection, version.id)
    if deletion is None:
        return version
    if deletion.purged_at is not None:
        raise Conflict("MODEL-032", f"{version.reference} was removed for good", model=version.reference)
    deletions.restore_version(turn.connection, version.id)
    turn.audit("assets.restore", version.reference, after={"id": version.id, "digest": version.digest})
    turn.emit("model.restored", version.reference, {"id": version.id})
    return version


@handles(PurgeDeleted, action="home.purge")
def purge_deleted(turn: Turn, command: PurgeDeleted) -> list[Deletion]:
    """Leave nothing but tombstones of what was deleted before a time; lineage keeps id, name and digest."""
    found = deletions.list_deletions(turn.connection, command.before)
    if not command.dry_run:
        for each in found:
            deletions.purge_version(turn.connection, each.id, turn.now())
            turn.audit("assets.purge", f"{each.name}@{each.number}", before={"id": each.id, "digest": each.digest})
    return found


def _check_pinned(reference: str) -> None:
    named = parse_reference(reference)
    if named.number is None:
        raise Invalid("MODEL-030", f"{reference!r} may name another version tomorrow", name=named.name)


def _find_need(turn: Turn, version: Version) -> str:
    if version.aliases:
        return f"the alias {version.aliases[0]}"
    for service in find(turn.connection, services, Service, project=turn.project):
        if service.desired and any(each.model == version.reference for each in service.revisions):
            return f"the service {service.name}"
    dependents = deletions.list_dependents(turn.connection, version.id)
    return f"the version {dependents[0]}" if dependents else ""
