"""Use cases of files of runs and logged models, and what a source of files stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from mainspring.control.blobs import use_blobs
from mainspring.control.identity import is_below
from mainspring.control.quotas import check_quota
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.command import Nothing
from mainspring.domain.errors import Denied, Invalid, NotFound
from mainspring.domain.files import MOST_FILES, File, FindFile, ListFiles, OfferFile, PutFiles, RemoveFiles
from mainspring.domain.places import ModelPlace, RunPlace, VersionPlace, parse_source
from mainspring.domain.references import Reference
from mainspring.domain.transfers import Held
from mainspring.security.paths import check_artifact_path
from mainspring.store import loggedmodels, runfiles, runs, versions
from mainspring.store.blobs import check_digest
from mainspring.store.holdings import drop_named

_ID = re.compile(r"[0-9a-f]{32}\Z")


class Source(msgspec.Struct, frozen=True):
    """What a client's word for where a model lies stands for.

    Attributes
    ----------
    files : dict of str to str
        Path -> digest, below the folder that was named.
    run_id, model_id : str or None
        Whose files they are; of a version neither.
    """

    files: dict[str, str]
    run_id: str | None = None
    model_id: str | None = None


@handles(ListFiles, action="runs.read", reads=True)
def list_files(turn: Turn, command: ListFiles) -> list[File]:
    """Answer with the files of a run or logged model."""
    below = check_artifact_path(command.below) if command.below else ""
    return runfiles.list_files(turn.connection, _find_owner(turn, command), below)


@handles(FindFile, action="runs.read", reads=True)
def find_file(turn: Turn, command: FindFile) -> File:
    """Answer with one file.

    Raises
    ------
    Invalid
        FILE-001 for a path that is none.
    NotFound
        FILE-002 when there is none of this path; RUN-001, LMODEL-001.
    """
    path = check_artifact_path(command.path)
    found = runfiles.find_file(turn.connection, _find_owner(turn, command), path)
    if found is None:
        raise no_file(path)
    return found


@handles(OfferFile, action="runs.report", reads=True)
def offer_file(turn: Turn, command: OfferFile) -> Held:
    """Answer who asks, when a file of this path and length may be put.

    Raises
    ------
    Invalid
        FILE-001 for a path that is none, or that is a folder.
    Conflict
        KEEP-005 when it would exceed the project's quota.
    """
    owner = _find_owner(turn, command, writes=True)
    _check_free(turn, owner, check_artifact_path(command.path))
    check_quota(turn, "", command.size_bytes)
    return Held(str(turn.actor), False)


@handles(PutFiles, action="runs.report")
def put_files(turn: Turn, command: PutFiles) -> Nothing:
    """Give a run or logged model files; what was there under the same path is replaced.

    Raises
    ------
    Invalid
        FILE-001 for a path that is none, or that is a folder; API-009 for too many files.
    NotFound
        HOME-013 for a blob that the caller may not name; RUN-001, LMODEL-001.
    Conflict
        KEEP-005 when they exceed the project's quota.
    """
    owner = _find_owner(turn, command, writes=True)
    if len(command.files) > MOST_FILES:
        raise Invalid("API-009", f"{len(command.files):,} files; at most {MOST_FILES:,} are taken at once")
    for each in command.files:
        check_digest(each.digest)
        _check_free(turn, owner, check_artifact_path(each.path))
    use_blobs(turn, owner, [each.digest for each in command.files])
    replaced = runfiles.put_files(turn.connection, owner, command.files, turn.now())
    _let_go(turn, owner, replaced)
    turn.notify(owner)
    return Nothing()


@handles(RemoveFiles, action="runs.delete")
def remove_files(turn: Turn, command: RemoveFiles) -> list[File]:
    """Take a file, or a folder with all below it, from a run or logged model.

    Raises
    ------
    NotFound
        FILE-002 when there is neither.
    """
    owner, path = _find_owner(turn, command, writes=True), check_artifact_path(command.path)
    found = runfiles.find_file(turn.connection, owner, path)
    gone = [found] if found else runfiles.list_files(turn.connection, owner, path)
    if not gone:
        raise no_file(path)
    runfiles.drop_files(turn.connection, owner, gone)
    _let_go(turn, owner, [each.digest for each in gone])
    turn.audit("runs.delete", owner, before={"path": path, "files": len(gone)})
    return gone


def resolve_source(turn: Turn, source: str) -> Source:
    """Return the files that a client's ``source`` of a model stands for, all of this record.

    Parameters
    ----------
    turn : Turn
        The caller must be allowed to read the project's runs and assets; its use case asks for that.
    source : str
        ``runs:/RUN/PATH``, ``models:/m-ID``, ``models:/NAME/NUMBER`` or ``mlflow-artifacts:/...``.

    Raises
    ------
    Invalid
        FILE-005 for an address of any other kind; FILE-001, FILE-004 for one that leads elsewhere.
    NotFound
        FILE-002 when there are no files; RUN-001, LMODEL-001, MODEL-001.
    """
    place = parse_source(source)
    if place.path:
        check_artifact_path(place.path)
    if isinstance(place, VersionPlace):
        version = versions.find_version(
            turn.connection, "model", turn.project, Reference(place.name, number=place.number)
        )
        if version is None:
            raise NotFound("MODEL-001", f"there is no model {place.name}@{place.number}", name=place.name)
        manifest: dict[str, Any] = version.manifest if isinstance(version.manifest, dict) else {}
        files = {path: str(digest) for path, digest in manifest.items() if isinstance(digest, str)}
        return Source(_cut(files, place.path, source))
    asked = ListFiles(run_id=place.id) if isinstance(place, RunPlace) else ListFiles(model_id=place.id)
    found = runfiles.list_files(turn.connection, _find_owner(turn, asked), place.path)
    files = _cut({each.path: each.digest for each in found}, place.path, source)
    if isinstance(place, ModelPlace):
        model = loggedmodels.find_model(turn.connection, turn.project, place.id)
        return Source(files, model.run_id, model.id)
    return Source(files, place.id)


def no_file(path: str) -> NotFound:
    """Return the refusal of a path that there is no file of."""
    return NotFound("FILE-002", f"there is no file {path[:200]!r}", path=path[:200])


def _cut(files: dict[str, str], below: str, source: str) -> dict[str, str]:
    head = f"{below}/" if below else ""
    found = {path.removeprefix(head): digest for path, digest in files.items() if path.startswith(head)}
    if not found:
        raise NotFound("FILE-002", f"there are no files at {source[:200]!r}", source=source[:200])
    return found


def _find_owner(
    turn: Turn, command: ListFiles | FindFile | OfferFile | PutFiles | RemoveFiles, *, writes: bool = False
) -> str:
    """Return the id of whose files a command names.

    Raises
    ------
    NotFound
        RUN-001 or LMODEL-001 when there is none, or it is deleted.
    Denied
        AUTH-010 when a worker would write files of a model that is not of its run.
    """
    if command.run_id:
        if not _ID.match(command.run_id):
            raise runs.no_run(command.run_id[:100])
        return runs.find_run(turn.connection, turn.project, command.run_id).id
    model = loggedmodels.find_model(turn.connection, turn.project, command.model_id)
    if writes and turn.actor.kind == "worker" and not is_below(turn, model.run_id or "", turn.actor.run_id):
        raise Denied("AUTH-010", f"{turn.actor} reaches for logged model m-{model.id}", id=model.id)
    return model.id


def _check_free(turn: Turn, owner: str, path: str) -> None:
    """Refuse a file where there is a folder, and one below a file: no disk could hold both."""
    parents = [path[:place] for place, each in enumerate(path) if each == "/"]
    is_folder = bool(runfiles.list_files(turn.connection, owner, path))
    if is_folder or any(runfiles.find_file(turn.connection, owner, each) for each in parents):
        what = f"Invalid path: {path!r} {'is a folder' if is_folder else 'lies below a file'}"
        raise Invalid("FILE-001", what, path=path)


def _let_go(turn: Turn, owner: str, digests: Sequence[str]) -> None:
    unnamed = runfiles.list_unnamed(turn.connection, owner, digests)
    drop_named(turn.connection, turn.project, owner, unnamed)
