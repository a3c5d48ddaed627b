"""Use cases of datasets and models: versions, references, aliases."""

from __future__ import annotations

from collections.abc import Iterable

from mainspring.control.blobs import use_blobs
from mainspring.control.gates import UNGATED, allow_move
from mainspring.control.quotas import hold_files
from mainspring.control.sweeps import check_kept
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import messages
from mainspring.domain.errors import Invalid, MainspringError, NotFound
from mainspring.domain.home import name_folder
from mainspring.domain.records import Version
from mainspring.domain.references import Reference, parse_reference
from mainspring.domain.registry import RegisteredModel, check_notes
from mainspring.security.paths import check_relative
from mainspring.store import deletions, follows, runs, versions
from mainspring.store.locations import find_tables
from mainspring.store.registry import add_model, find_model, touch_model

_EVENTS = {"dataset": "data", "model": "model"}
_NEAR = 200
"""So many versions or names are compared with a reference that names nothing."""

_MISSING = {"dataset": "DATA-002", "model": "MODEL-001"}


@handles(messages.PutVersion, action="assets.write")
def put_version(turn: Turn, command: messages.PutVersion) -> Version:
    """Record a version with the next number of its name; content that is there, or was deleted, is that version.

    What was deleted comes back with the files that it had: a model's other ones, or those of what was purged, are a
    version of their own, so that no verdict lets through what it has not seen.

    Raises
    ------
    Invalid
        DATA-001 when the name is none; MODEL-051 for notes that are too long; HOME-011 when the
        manifest names a place outside of the project, API-008 when it is none.
    NotFound
        HOME-010 when an input is no version.
    """
    check_name(command.name, command.kind)
    check_notes(command.description, command.tags)
    now = turn.now()
    if command.kind == "model":
        name_model(turn, command.name)
    known = versions.find_digest(turn.connection, command.kind, turn.project, command.name, command.digest)
    gone = known is not None and deletions.find_deletion(turn.connection, known.id) is not None
    if known is not None and not command.more and (not gone or _has_files(known, command)):
        if gone:
            _check_manifest(turn, command)
            _hold(turn, known.id, command)
            known.manifest, known.details = command.manifest, command.details
            deletions.revive_version(turn.connection, known)
        if command.run_id is not None:
            versions.add_edge(turn.connection, command.run_id, known.id, "wrote", now)
        return known
    check_inputs(turn, command.inputs)
    _check_manifest(turn, command)
    number = versions.next_number(turn.connection, command.kind, turn.project, command.name)
    version = Version(
        turn.new_id(),
        command.kind,
        turn.project,
        command.name,
        number,
        command.digest,
        command.manifest,
        command.details,
        command.run_id,
        command.inputs,
        created_at=now,
        description=command.description,
        tags=command.tags,
    )
    _hold(turn, version.id, command)
    versions.add_version(turn.connection, version, command.event_time)
    body = {"name": version.name, "number": number, "id": version.id, "run_id": command.run_id}
    turn.emit(_EVENTS[command.kind], version.reference, body, command.event_time)
    return version


@handles(messages.GetVersion, action="assets.read")
def get_version(turn: Turn, command: messages.GetVersion) -> Version:
    """Answer with the version of a reference; a run that reads it gets an edge of lineage.

    What a reference without a number named for a follower is kept, so that its result answers
    later calls only as long as that is so.

    Raises
    ------
    NotFound
        DATA-002 or MODEL-001 when the reference names nothing.
    """
    version = resolve(turn, command.kind, command.reference)
    if command.run_id is not None:
        versions.add_edge(turn.connection, version.id, command.run_id, "read", turn.now())
    if command.follower is not None and parse_reference(command.reference, command.kind).number is None:
        follows.add_follow(turn.connection, command.follower, command.kind, command.reference, version.id)
    return version


@handles(messages.ListVersions, action="assets.read", reads=True)
def list_versions(turn: Turn, command: messages.ListVersions) -> list[Version]:
    """Answer with the versions of a name, or the latest of each name, newest first."""
    return versions.list_versions(turn.connection, turn.project, command)


@handles(messages.ListReads, action="assets.read", reads=True)
def list_reads(turn: Turn, command: messages.ListReads) -> list[Version]:
    """Answer with the dataset versions that the tree of a run has read.

    Raises
    ------
    NotFound
        RUN-001 when there is no such run.
    """
    runs.get_run(turn.connection, command.run_id)
    return versions.list_reads(turn.connection, command.run_id)


@handles(messages.MoveAlias, action="aliases.move", rehearsed=True)
def move_alias(turn: Turn, command: messages.MoveAlias) -> Version:
    """Point an alias at a version.

    Raises
    ------
    Conflict
        GATE-003 when a gate guards the alias and has not let the version through.
    Denied
        AUTH-005 when it is forced and the actor is no approver.
    Invalid
        DATA-001 when the alias is none; GATE-008 when it is forced without a reason.
    NotFound
        DATA-002 or MODEL-001 when there is no such version.
    """
    version = resolve(turn, command.kind, f"{command.name}@{command.number}")
    if parse_reference(f"{command.name}@{command.alias}", command.kind).alias is None:
        raise Invalid("DATA-001", f"{command.alias!r} is no name of an alias", alias=command.alias)
    if command.alias in version.aliases:
        return version
    rule = UNGATED
    if version.kind == "model":
        rule = allow_move(turn, version, command.alias, force=command.force, reason=command.reason)
    return point_alias(turn, version, command.alias, command.reason, rule=rule)


def name_model(turn: Turn, name: str) -> RegisteredModel:
    """Return the row of a model's name, which is made where there is none and shown where it was deleted."""
    now = turn.now()
    known = find_model(turn.connection, turn.project, name)
    if known is None:
        known = RegisteredModel(turn.new_id(), turn.project, name, created_at=now, changed_at=now)
        add_model(turn.connection, known)
        return known
    deletions.restore_version(turn.connection, known.id)
    touch_model(turn.connection, turn.project, name, now)
    return known


def resolve(turn: Turn, kind: str, reference: str) -> Version:
    """Return the version that a reference names.

    Raises
    ------
    NotFound
        DATA-002 or MODEL-001.
    """
    version = find_version(turn, kind, reference)
    if version is None:
        raise missing(turn, kind, reference)
    return version


def find_version(turn: Turn, kind: str, reference: str) -> Version | None:
    """Return the version that a reference names, if there is one."""
    return versions.find_version(turn.connection, kind, turn.project, parse_reference(reference, kind))


def point_alias(
    turn: Turn, version: Version, alias: str, reason: str, *, rule: str, run_id: str | None = None
) -> Version:
    """Point an alias at a version by the rule that allows it; the events tell it, with the run that led to it."""
    old = versions.find_version(turn.connection, version.kind, version.project, Reference(version.name, alias=alias))
    if old is not None and old.id == version.id:
        return version
    versions.set_alias(turn.connection, version, alias, turn.now())
    body = {
        "name": version.name,
        "alias": alias,
        "number": version.number,
        "before": old.number if old else None,
        "reason": reason,
        "rule": rule,
        "kind": version.kind,
        "run_id": run_id or turn.actor.run_id or None,
    }
    turn.emit("alias", f"{version.name}@{alias}", body)
    if version.kind == "model":
        touch_model(turn.connection, version.project, version.name, turn.now())
        turn.audit("aliases.move", f"{version.name}@{alias}", before=body["before"], after=body)
    return resolve(turn, version.kind, version.reference)


def check_name(name: str, kind: str = "dataset") -> None:
    """Refuse what is no name of a dataset, or of a model.

    Raises
    ------
    Invalid
        DATA-001.
    """
    if parse_reference(name, kind) != Reference(name):
        raise Invalid("DATA-001", f"{name!r} is a reference, not a name", reference=name)


def check_inputs(turn: Turn, ids: Iterable[str]) -> None:
    """Refuse ids that name no version of the project.

    Raises
    ------
    NotFound
        HOME-010.
    """
    for version_id in ids:
        source = versions.get_version(turn.connection, version_id)
        if source is None or source.project != turn.project:
            raise NotFound("HOME-010", f"no version has the id {version_id}", id=version_id)


def _has_files(known: Version, command: messages.PutVersion) -> bool:
    """Tell whether a deleted version had these files; a dataset's are held to its commit instead."""
    return known.kind == "dataset" or known.manifest == command.manifest


def _check_manifest(turn: Turn, command: messages.PutVersion) -> None:
    """Refuse places that a client made up: others read what a manifest names."""
    manifest = command.manifest if isinstance(command.manifest, dict) else {}
    table, commit, files = None, 0, [*manifest]
    if command.kind == "dataset":
        table, commit, files = manifest.get("table"), manifest.get("delta_version", 0), manifest.get("files", [])
    if type(commit) is not int or commit < 0 or not isinstance(files, list | tuple):
        what = f"{command.name}: its commit is {commit!r}, its files are {str(files)[:40]}"
        raise Invalid("API-008", what, name=command.name)
    for name in files:
        check_relative(str(name))
    if table is not None:
        own = str(table).partition("@")[0]
        if parse_reference(own).name != own or table != name_folder(turn.project, own):
            raise Invalid("HOME-011", f"{table!r} is no table of project {turn.project!r}", path=str(table))
        if find_tables(turn.home) is not None:
            check_kept(turn, [f"{table}/{name}" for name in files])


def _hold(turn: Turn, version_id: str, command: messages.PutVersion) -> None:
    """Count what a version is made of: blobs of a model, files of the table of a dataset."""
    if command.kind == "dataset":
        hold_files(turn, command.manifest)
        return
    manifest = command.manifest if isinstance(command.manifest, dict) else {}
    use_blobs(turn, version_id, [str(digest) for digest in manifest.values()])


def missing(turn: Turn, kind: str, reference: str) -> MainspringError:
    """Return the error for a reference that names nothing, or something that was deleted."""
    named = parse_reference(reference, kind)
    if named.number is not None:
        gone = versions.find_any(turn.connection, kind, turn.project, named.name, named.number)
        deletion = deletions.find_deletion(turn.connection, gone.id) if gone is not None else None
        if deletion is not None:
            verb = f"mainspring {'data' if kind == 'dataset' else 'models'} restore {reference}"
            fix = verb if deletion.purged_at is None else ""
            return NotFound(_MISSING[kind], f"{kind} {reference} was deleted", fix=fix, reference=reference)
    near = turn.suggest("assets.read", reference, _list_references(turn, kind, named.name))
    return NotFound(_MISSING[kind], f"no {kind} version is named {reference}", fix=near, reference=reference)


def _list_references(turn: Turn, kind: str, name: str) -> list[str]:
    """Return what could be meant by a reference: versions and aliases of the name, or else the names."""
    of_name = messages.ListVersions(kind=kind, name=name, limit=_NEAR)  # type: ignore[arg-type]
    found = versions.list_versions(turn.connection, turn.project, of_name)
    if found:
        aliases = [f"{name}@{alias}" for each in found for alias in each.aliases]
        return [*aliases, *(each.reference for each in found)]
    newest = messages.ListVersions(kind=kind, limit=_NEAR)  # type: ignore[arg-type]
    return [each.name for each in versions.list_versions(turn.connection, turn.project, newest)]
