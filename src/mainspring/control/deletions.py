"""Use cases of deletion: hide, restore, and remove for good; the same for datasets, models and runs."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring.control.assets import missing, resolve
from mainspring.control.needs import find_run_need, find_version_need
from mainspring.control.registry import drop_alias
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.lists import MOST, cut
from mainspring.domain.messages import ListVersions, SearchRuns
from mainspring.domain.records import Run, Version
from mainspring.domain.references import Reference, parse_reference
from mainspring.domain.registry import DropAlias, RegisteredModel
from mainspring.domain.upkeep import (
    Deleted,
    DeleteModel,
    DeleteRuns,
    DeleteVersions,
    Deletion,
    ListDeleted,
    PurgeDeleted,
    RestoreModel,
    RestoreRuns,
    RestoreVersions,
)
from mainspring.store import deletions, needs, purges, registry, runs, search, versions

_PAGE = 200
"""So many runs of a filter are looked at in one turn."""

_MOST_POINTS = 50_000
"""So many points are dropped in one turn, some 50 ms of work."""

_EVENTS = {"dataset": "data", "model": "model", "run": "run"}


@handles(DeleteVersions, action="assets.delete")
def delete_versions(turn: Turn, command: DeleteVersions) -> Deleted:
    """Hide a version, or all of a name with the quarantine beside them.

    Raises
    ------
    Invalid
        KEEP-001 when the reference names no version for good.
    Conflict
        KEEP-002 when an alias, service, renewal or live run needs it; GATE-003 for an alias that a gate guards.
    NotFound
        DATA-002 or MODEL-001 when there is no such version.
    """
    found = _list_named(turn, command)
    if command.unalias and command.kind == "model" and not command.dry_run:
        turn.require("aliases.move")
        for name, alias in [(version.name, alias) for version in found for alias in version.aliases]:
            drop_alias(turn, DropAlias(name, alias, "its version was deleted"))
        found = _list_named(turn, command)
    for version in found:
        need = find_version_need(turn, version, alone=not command.all)
        if need is not None:
            what = f"{version.reference} is needed by {need.what}"
            raise Conflict("KEEP-002", what, fix=need.fix, reference=version.reference)
    names = _list_names(turn, command)
    made = dict.fromkeys(each for version in found for each in needs.list_dependents(turn.connection, version.id))
    outside = [each for each in made if not any(each == version.reference for version in found)]
    told = [f"{each} was made from it" for each in outside]
    done = _hide(turn, found, [], told, dry_run=command.dry_run)
    for model in () if command.dry_run else names:
        deletions.delete_name(turn.connection, model, str(turn.actor), turn.now())
        turn.audit("assets.delete", model.name, before={"id": model.id, "description": model.description})
    return done


@handles(DeleteRuns, action="runs.delete")
def delete_runs(turn: Turn, command: DeleteRuns) -> Deleted:
    """Hide runs that have ended, with everything below them.

    Raises
    ------
    Conflict
        KEEP-002 when a run that was named, or one below or above it, has not ended, or an open
        renewal needs it.
    Invalid
        RUN-011 for a filter, RUN-013 for a page that cannot be read; KEEP-001 when nothing is named.
    NotFound
        RUN-001 when no run, or more than one, has an id.
    """
    if not command.ids and not command.filter:
        raise Invalid("KEEP-001", "neither a run nor a filter is named", fix="mainspring runs delete ID")
    kept: list[str] = []
    following = None
    if command.ids:
        wanted = [runs.find_run(turn.connection, turn.project, each) for each in command.ids]
        for run in wanted:
            need = find_run_need(turn, run)
            if need is not None:
                raise Conflict("KEEP-002", f"run {run.id[-6:]} is needed by {need.what}", fix=need.fix, run=run.id)
    else:
        asked = SearchRuns(filter=command.filter, limit=_PAGE, page=command.page)
        page = search.search_runs(turn.connection, turn.project, asked)
        following, wanted = page.next, []
        for run in page.runs:
            need = find_run_need(turn, run)
            if need is None:
                wanted.append(run)
            else:
                kept.append(f"run {run.id[-6:]} ({run.name}) is needed by {need.what}")
    made = needs.list_products(turn.connection, [each.id for each in wanted])
    done = _hide(turn, [], wanted, [f"{each} was made by it" for each in made], dry_run=command.dry_run)
    return Deleted(done.deletions, done.hidden, done.warnings, kept, following)


@handles(RestoreVersions, action="assets.delete", rehearsed=True)
def restore_versions(turn: Turn, command: RestoreVersions) -> list[Version]:
    """Show a deleted version again, or all of a name.

    Raises
    ------
    Invalid
        KEEP-001 when the reference names no version for good.
    Conflict
        KEEP-003 when it was purged.
    NotFound
        DATA-002 or MODEL-001 when there never was such a version; KEEP-004 when nothing of the name
        is deleted.
    """
    named = _check_named(command.reference, command.kind, all_of_it=command.all)
    if command.all:
        asked = ListVersions(command.kind, named.name, MOST, deleted=True)
        known = versions.list_versions(turn.connection, turn.project, asked)
        gone = [(each, deletions.find_deletion(turn.connection, each.id)) for each in known]
        found = [each for each, deletion in gone if deletion is not None and deletion.purged_at is None]
        if not found and not _restore_name(turn, command.kind, named.name):
            raise NotFound("KEEP-004", f"nothing of {named.name} is deleted", name=named.name)
    else:
        assert named.number is not None
        version = versions.find_any(turn.connection, command.kind, turn.project, named.name, named.number)
        if version is None:
            raise missing(turn, command.kind, command.reference)
        deletion = deletions.find_deletion(turn.connection, version.id)
        if deletion is not None and deletion.purged_at is not None:
            raise Conflict("KEEP-003", f"{version.reference} was removed for good", reference=version.reference)
        found = [version]
        if deletion is None:
            return found
    _restore_name(turn, command.kind, named.name)
    for version in found:
        deletions.restore_version(turn.connection, version.id)
        _tell(turn, "restored", version.kind, version.reference, version.id)
        turn.audit("assets.restore", version.reference, after={"id": version.id, "digest": version.digest})
    return [resolve(turn, command.kind, version.reference) for version in found]


@handles(RestoreRuns, action="runs.delete", rehearsed=True)
def restore_runs(turn: Turn, command: RestoreRuns) -> list[Run]:
    """Show deleted runs again; what they had kept as results for later calls is made anew.

    Raises
    ------
    Conflict
        KEEP-003 when one was purged.
    NotFound
        KEEP-004 when no deleted run, or more than one, has an id.
    """
    found = []
    for part in command.ids:
        known = deletions.find_deleted_run(turn.connection, turn.project, part)
        if known.purged_at is not None:
            raise Conflict("KEEP-003", f"run {part} was removed for good", id=part)
        deletions.restore_run(turn.connection, known)
        _tell(turn, "restored", "run", known.id, known.id)
        turn.audit("runs.restore", known.id, after={"name": known.name})
        found.append(runs.find_run(turn.connection, turn.project, known.id))
    return found


@handles(DeleteModel, action="assets.delete")
def delete_model(turn: Turn, command: DeleteModel) -> Deletion:
    """Do as `delete_versions` does with one version of a model."""
    return delete_versions(turn, DeleteVersions("model", command.reference)).deletions[0]


@handles(RestoreModel, action="assets.delete")
def restore_model(turn: Turn, command: RestoreModel) -> Version:
    """Do as `restore_versions` does with one version of a model."""
    return restore_versions(turn, RestoreVersions("model", command.reference))[0]


@handles(ListDeleted, action="assets.read", reads=True)
def list_deleted(turn: Turn, command: ListDeleted) -> list[Deletion]:
    """Answer with what can be restored, the last deleted first."""
    return cut(deletions.list_restorable(turn.connection, turn.project, command.kind, MOST), command)


@handles(PurgeDeleted, action="home.purge")
def purge_deleted(turn: Turn, command: PurgeDeleted) -> list[Deletion]:
    """Leave nothing of what was deleted before a time but what lineage names; a bounded part at a time."""
    found = deletions.list_deletions(turn.connection, command.before)
    return found if command.dry_run else purge(turn, found)


def purge(turn: Turn, found: Sequence[Deletion]) -> list[Deletion]:
    """Remove deleted things for good until so many points are dropped; return those that are gone.

    Notes
    -----
    Guarantees: what is left of them is found by the next call; files of runs go when their nodes
    find that the record does not name them, blobs and files of tables with the next collection.
    """
    done: list[Deletion] = []
    left = _MOST_POINTS
    for each in found:
        with turn.within(each.project):
            if each.kind == "run":
                number = purges.read_number(turn.connection, each.id)
                left -= purges.drop_points(turn.connection, number, left)
                if left <= 0:
                    break
                purges.purge_run(turn.connection, each.project, each.id, number, turn.now())
            elif not each.number:
                purges.purge_name(turn.connection, each.id)
            else:
                purges.purge_version(turn.connection, each.project, each.id, turn.now())
            turn.audit("assets.purge", each.reference, before={"id": each.id, "digest": each.digest})
        done.append(each)
    return done


def hide_run(turn: Turn, run: Run) -> int:
    """Delete a run with all below it, and say so; return how many were hidden."""
    hidden = deletions.delete_run(turn.connection, run, str(turn.actor), turn.now())
    turn.audit("runs.delete", run.id, before={"name": run.name, "state": run.state, "hidden": hidden})
    _tell(turn, "deleted", "run", run.id, run.id)
    return hidden


def hide_version(turn: Turn, version: Version) -> None:
    """Delete a version, and say so."""
    deletions.delete_version(turn.connection, version, str(turn.actor), turn.now())
    turn.audit("assets.delete", version.reference, before={"id": version.id, "digest": version.digest})
    _tell(turn, "deleted", version.kind, version.reference, version.id)


def _hide(
    turn: Turn, found: Sequence[Version], wanted: Sequence[Run], warnings: list[str], *, dry_run: bool
) -> Deleted:
    who, now = str(turn.actor), turn.now()
    told = [Deletion(each.id, each.project, each.kind, each.name, each.number, each.digest, who, now) for each in found]
    hidden = len(found)
    for version in () if dry_run else found:
        hide_version(turn, version)
    named: set[str] = set()
    for run in wanted:
        below = deletions.list_below(turn.connection, run.id) if run.id not in named else []
        if not set(below) <= named:
            told.append(Deletion(run.id, run.project, "run", run.name, 0, "", who, now))
            hidden += len(set(below) - named)
            if not dry_run:
                hide_run(turn, run)
        named.update(below)
    return Deleted(told, hidden, warnings)


def _list_named(turn: Turn, command: DeleteVersions) -> list[Version]:
    named = parse_reference(command.reference, command.kind)
    if not command.all and named.number is None:
        now = resolve(turn, command.kind, command.reference).reference
        raise _unpinned(command.reference, f"it is {now} now", now)
    if not command.all:
        return [resolve(turn, command.kind, command.reference)]
    _check_named(command.reference, command.kind, all_of_it=True)
    names = [named.name, f"{named.name}.quarantine"] if command.kind == "dataset" else [named.name]
    found = [
        version
        for name in names
        for version in versions.list_versions(turn.connection, turn.project, ListVersions(command.kind, name, MOST))
    ]
    if not found and not _list_names(turn, command):
        raise missing(turn, command.kind, command.reference)
    return found


def _list_names(turn: Turn, command: DeleteVersions) -> list[RegisteredModel]:
    """Return the name of a model that goes with all its versions."""
    if command.kind != "model" or not command.all:
        return []
    model = registry.find_model(turn.connection, turn.project, command.reference)
    return [model] if model is not None and deletions.find_deletion(turn.connection, model.id) is None else []


def _restore_name(turn: Turn, kind: str, name: str) -> bool:
    """Show the name of a model again; return whether it was deleted."""
    model = registry.find_model(turn.connection, turn.project, name) if kind == "model" else None
    if model is None or deletions.find_deletion(turn.connection, model.id) is None:
        return False
    deletions.restore_version(turn.connection, model.id)
    return True


def _check_named(reference: str, kind: str, *, all_of_it: bool) -> Reference:
    named = parse_reference(reference, kind)
    if all_of_it and str(named) != named.name:
        raise Invalid("KEEP-001", f"{reference!r} is one version, and all are asked for", fix=f"name {named.name}")
    if not all_of_it and named.number is None:
        raise _unpinned(reference, "it may name another version tomorrow", "")
    return named


def _unpinned(reference: str, why: str, now: str) -> Invalid:
    return Invalid("KEEP-001", f"{reference!r} names no version for good: {why}", fix=f"name {now}" if now else "")


def _tell(turn: Turn, what: str, kind: str, subject: str, thing_id: str) -> None:
    turn.emit(f"{_EVENTS[kind]}.{what}", subject, {"id": thing_id})
