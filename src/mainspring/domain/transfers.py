"""Messages of the wire by which bytes and rows come from machines that have no folder of the home."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command, Nothing, Time
from mainspring.domain.records import Run


class FindBlob(Command):
    """Ask whether a blob may be read: something of the project names it, or the caller has uploaded it."""

    digest: str


class HoldBlob(Command):
    """Claim a blob for the caller until something names it; only `Held.known` ones need no upload."""

    digest: str
    size_bytes: int = 0


class Held(msgspec.Struct, frozen=True):
    """Whose claim it is, and whether the caller may have the blob without showing its bytes.

    Attributes
    ----------
    holder : str
        The caller, as the record writes principals.
    known : bool
        The caller may read it, so it is claimed now.
    """

    holder: str
    known: bool


class NoteUpload(Command):
    """Claim a blob for a principal whose bytes this process has received, hashed and stored."""

    digest: str
    size_bytes: int
    holder: str


class WriteRows(Command):
    """Have a worker of the home commit rows to a dataset and record the version; answers with its run.

    Attributes
    ----------
    name : str
        The dataset.
    parts : tuple of str
        Blobs of Parquet with the rows, in order.
    append : bool
        Add to the rows of the version before, or take their place.
    after : str
        Id of the version that it must follow; empty: the first.
    digest, details, inputs, run_id, event_time
        Of the version, as of `PutVersion`.
    """

    name: str
    parts: tuple[str, ...]
    append: bool
    after: str
    digest: str
    details: dict[str, Any]
    inputs: tuple[str, ...] = ()
    run_id: str | None = None
    event_time: Time | None = None


ANSWERS: dict[type[Command], Any] = {
    FindBlob: Nothing,
    HoldBlob: Held,
    NoteUpload: Nothing,
    WriteRows: Run,
}
