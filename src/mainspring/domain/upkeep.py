"""Messages of the wire by which a record is kept small."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command


class SweepFiles(Command):
    """Remove blobs and files of tables that nothing named when the record was marked.

    What is named since then stays, and so does what was written at or after `before`.

    Attributes
    ----------
    blobs : list of str
        Digests.
    files : list of str
        ``table/file`` of tables in the home's folder.
    before : float
        Seconds since 1970.
    marked_at : float
        When the record was marked, by its own clock.
    numbers : dict of str to int
        Table -> greatest number of a row at that moment.
    """

    blobs: list[str]
    files: list[str]
    before: float
    marked_at: float
    numbers: dict[str, int]


class Swept(msgspec.Struct):
    """How many were removed, and their lengths in all."""

    blobs: int = 0
    blob_bytes: int = 0
    files: int = 0
    file_bytes: int = 0


ANSWERS: dict[type[Command], Any] = {SweepFiles: Swept}
