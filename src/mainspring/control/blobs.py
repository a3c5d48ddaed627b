"""Use cases of blobs that travel: who may have which, and who may name which."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from mainspring.control.quotas import check_quota, hold_blobs
from mainspring.control.sweeps import check_condemned
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, loop
from mainspring.domain.command import Nothing
from mainspring.domain.errors import Invalid
from mainspring.domain.principals import ANY_PROJECT
from mainspring.domain.records import Run, Value
from mainspring.domain.tracking import Artifact
from mainspring.domain.transfers import FindBlob, Held, HoldBlob, NoteUpload
from mainspring.store import calls, uses
from mainspring.store.blobs import check_digest, no_blob

HELD_S = 86_400.0
"""So long an upload is kept that nothing names."""

MOST_NAMED = 20_000
"""So many blobs may one command from elsewhere name; each is looked up."""


@handles(FindBlob, action="blobs.read", reads=True)
def find_blob(turn: Turn, command: FindBlob) -> Nothing:
    """Answer when the caller may read a blob.

    Raises
    ------
    NotFound
        HOME-013 when it may not, in the words for one that is not there.
    """
    _check_readable(turn, command.digest)
    return Nothing()


@handles(HoldBlob, action="blobs.write")
def hold_blob(turn: Turn, command: HoldBlob) -> Held:
    """Keep a blob for the caller, provided that it may read it; else it must show the bytes."""
    digest, holder = check_digest(command.digest), str(turn.actor)
    check_quota(turn, digest, command.size_bytes)
    known = uses.may_read(turn.connection, turn.project, digest, holder)
    if known:
        uses.hold_upload(turn.connection, turn.project, digest, holder, command.size_bytes, turn.now())
    return Held(holder, known)


@handles(NoteUpload, action="blobs.vouch")
def note_upload(turn: Turn, command: NoteUpload) -> Nothing:
    """Keep a blob for whoever has shown its bytes."""
    digest = check_digest(command.digest)
    uses.hold_upload(turn.connection, turn.project, digest, command.holder, command.size_bytes, turn.now())
    return Nothing()


@loop(every_s=600.0, once=True)
def forget_uploads(turn: Turn) -> None:
    """Leave uploads that nothing came to name to the sweep."""
    uses.drop_uploads(turn.connection, turn.now() - HELD_S)


def check_named(turn: Turn, digests: Iterable[str]) -> None:
    """Refuse blobs that the caller may not name: else naming one would be a way to read it.

    Raises
    ------
    Invalid
        API-009 when there are too many.
    NotFound
        HOME-013 when it has neither uploaded nor may read one of them.
    """
    if reaches_files(turn):
        return
    for count, digest in enumerate(digests):
        if count == MOST_NAMED:
            raise Invalid("API-009", f"a command names more than {MOST_NAMED:,} blobs")
        _check_readable(turn, digest)


def use_blobs(turn: Turn, source: str, digests: Iterable[str], *, bounded: bool = True) -> None:
    """Record that a run or version names blobs; raises as `check_named` and, if `bounded`, `hold_blobs` do."""
    named = tuple(dict.fromkeys(digests))
    check_named(turn, named)
    if turn.home.blob_store:
        check_condemned(turn, named)
    uses.add_uses(turn.connection, turn.project, source, named)
    hold_blobs(turn, named, bounded=bounded)


def use_value(turn: Turn, run: Run, value: Value, *, bounded: bool = True) -> Value:
    """Record that a run names a value with its parts, and return what the record keeps of it."""
    with turn.within(run.project):
        use_blobs(turn, run.id, (value.digest, *value.parts), bounded=bounded)
    return replace(value, parts=()) if value.parts else value


def use_artifacts(turn: Turn, run: Run, artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Record what the artifacts of a run name, and return them as the record keeps them."""
    # What a run logs is counted, but no reason to stop it: its next result is.
    return [replace(each, value=use_value(turn, run, each.value, bounded=False)) for each in artifacts]


def reaches_files(turn: Turn) -> bool:
    """Tell whether the caller has the files of the home anyway: its own user, its workers, an owner.

    An admin of all projects may read all of them. Whoever else shows a token has not, so neither
    has a leaked one of a worker.
    """
    return turn.actor.roles.get(ANY_PROJECT) == "admin" and turn.actor.scopes is None


def _check_readable(turn: Turn, digest: str) -> None:
    check_digest(digest)
    if not uses.may_read(turn.connection, turn.project, digest, str(turn.actor)) and not _is_of_call(turn, digest):
        raise no_blob(digest)


def _is_of_call(turn: Turn, digest: str) -> bool:
    """Tell whether a worker asks for what belongs to the call that it executes."""
    if turn.actor.kind != "worker":
        return False
    placed = calls.find_placed(turn.connection, turn.actor.run_id)
    return placed is not None and digest in placed.call.blobs
