"""Messages of the wire by which a record is kept small."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.domain.command import Command, Count, Nothing, Time
from mainspring.domain.records import Run, Version


class SweepFiles(Command):
    """Remove blobs and files of tables that nothing named when the record was marked.

    What is named since then stays, and so does what was written at or after `before`.

    Attributes
    ----------
    blobs : list of str
        Digests.
    files : list of str
        ``table/file``.
    before : float
        Seconds since 1970.
    marked_at : float
        When the record was marked, by its own clock.
    numbers : dict of str to int
        Table -> greatest number of a row at that moment.
    """

    blobs: list[str]
    files: list[str]
    before: Time
    marked_at: Time
    numbers: dict[str, int]


class SettleSweep(Command):
    """Tell what became of objects that `SweepFiles` has condemned: `removed` are gone, `spared` stay."""

    removed: list[str]
    spared: list[str]
    removed_files: list[str] = []
    spared_files: list[str] = []


class Swept(msgspec.Struct):
    """How many were removed, and their lengths in all.

    Attributes
    ----------
    condemned : list of str
        Digests of objects that nothing names: whoever asked removes them, and tells by `SettleSweep`.
    condemned_files : list of str
        The same for files of tables in an object store.
    """

    blobs: int = 0
    blob_bytes: int = 0
    files: int = 0
    file_bytes: int = 0
    condemned: list[str] = []
    condemned_files: list[str] = []


class RecountBlobs(Command):
    """Count anew what each project holds, with lengths of blobs that were found to be others."""

    sizes: dict[str, Count] = {}


class Deletion(msgspec.Struct, frozen=True):
    """A version or a run that was deleted: what stays of it for good, and when.

    Attributes
    ----------
    kind : str
        dataset, model or run.
    number : int
        Of a version; 0 for a run, and for the name of a model.
    digest : str
        Of a version's content; else empty.
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

    @property
    def reference(self) -> str:
        """What it is restored by: ``name@number``, the name of a model, or the run's id."""
        if self.kind == "run":
            return self.id
        return f"{self.name}@{self.number}" if self.number else self.name


class Deleted(msgspec.Struct, frozen=True):
    """What a deletion came to.

    Attributes
    ----------
    deletions : list of Deletion
        What was named and is hidden now; with `dry_run`, what would be.
    hidden : int
        How many versions and runs that is, with the runs below the named ones.
    warnings : list of str
        What stays and was made from it.
    kept : list of str
        Runs of a filter that something still needs, each with the reason.
    next : str or None
        The page to go on with, when a filter found more runs than one step deletes.
    """

    deletions: list[Deletion]
    hidden: int = 0
    warnings: list[str] = []
    kept: list[str] = []
    next: str | None = None


class DeleteVersions(Command):
    """Hide a version of a dataset or model that nothing needs; with `all`, every version of a name.

    Attributes
    ----------
    unalias : bool
        Take the aliases of a model's version away with it, as far as gates allow; else they are a need.
    """

    kind: Literal["dataset", "model"]
    reference: str
    all: bool = False
    dry_run: bool = False
    unalias: bool = False


class RestoreVersions(Command):
    """Show a deleted version again, named ``name@number``; with `all`, every version of a name."""

    kind: Literal["dataset", "model"]
    reference: str
    all: bool = False


class DeleteRuns(Command):
    """Hide runs that have ended, with everything below them.

    Attributes
    ----------
    ids : list of str
        Each a whole id, a unique prefix or suffix; refused as a whole when one is needed.
    filter : str
        Without ids: the runs that it holds for; those that are needed stay. Several steps, by `page`.
    """

    ids: list[str] = []
    filter: str = ""
    page: str = ""
    dry_run: bool = False


class RestoreRuns(Command):
    """Show deleted runs again, with what was deleted along with them; by whole ids, prefixes or suffixes."""

    ids: list[str]


class ListDeleted(Command):
    """What was deleted and can be restored, the last of each kind first; of runs only the uppermost.

    `page` is the id of the last one before.
    """

    kind: Literal["dataset", "model", "run"] | None = None
    limit: Count = 100
    page: str = ""


class DeleteModel(Command):
    """What older clients send in the place of `DeleteVersions`; it goes with the third number of the wire after 1."""

    reference: str


class RestoreModel(Command):
    """What older clients send in the place of `RestoreVersions`; it goes with `DeleteModel`."""

    reference: str


class PurgeDeleted(Command):
    """Remove what was deleted before a time, in all projects; with `dry_run` only tell.

    Notes
    -----
    A step is bounded: what is left is told by the next one, until there is nothing to tell.
    """

    before: Time
    dry_run: bool = False


ANSWERS: dict[type[Command], Any] = {
    SweepFiles: Swept,
    SettleSweep: Nothing,
    RecountBlobs: Nothing,
    DeleteVersions: Deleted,
    RestoreVersions: list[Version],
    DeleteRuns: Deleted,
    RestoreRuns: list[Run],
    ListDeleted: list[Deletion],
    DeleteModel: Deletion,
    RestoreModel: Version,
    PurgeDeleted: list[Deletion],
}
