"""Messages of the wire by which bytes and rows come from machines that have no folder of the home."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command, Nothing


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


ANSWERS: dict[type[Command], Any] = {
    FindBlob: Nothing,
    HoldBlob: Held,
    NoteUpload: Nothing,
}
