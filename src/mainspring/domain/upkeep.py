"""Messages of the wire by which a record is kept small."""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command
from mainspring.domain.records import Version


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


class Deletion(msgspec.Struct, frozen=True):
    """A version that was deleted: what stays of it for good, and when.

    Attributes
    ----------
    purged_at : float or None
        Seconds since 1970 UTC; None: it can still be restored.
    """

    id: str
    project: str
    kind: str
    name: str
    number: int
    digest: str
    deleted_by: str
    deleted_at: float
    purged_at: float | None = None


class DeleteModel(Command):
    """Hide a version of a model that no alias, service or other version needs."""

    reference: str


class RestoreModel(Command):
    """Show a deleted version again, named ``name@number``."""

    reference: str


class PurgeDeleted(Command):
    """Leave nothing but tombstones of what was deleted before a time; with `dry_run` only tell."""

    before: float
    dry_run: bool = False


ANSWERS: dict[type[Command], Any] = {
    SweepFiles: Swept,
    DeleteModel: Deletion,
    RestoreModel: Version,
    PurgeDeleted: list[Deletion],
}
