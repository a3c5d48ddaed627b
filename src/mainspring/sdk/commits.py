"""Committing rows to a dataset: table first, then the record, each found again after a kill."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.home import name_folder
from mainspring.domain.lists import read_all
from mainspring.domain.messages import GetRun, GetVersion, ListVersions, PutVersion
from mainspring.domain.records import Run, Version
from mainspring.domain.transfers import HoldBlob
from mainspring.sdk.context import active_run

if TYPE_CHECKING:
    import polars as pl

    from mainspring.data.sealing import Sealing
    from mainspring.data.tables import Part, Table
    from mainspring.sdk.client import Client

App = tuple[str, int]
_MANY = 1_000


def find_head(client: Client, name: str) -> Version | None:
    """Return the latest recorded version of a dataset, None before the first."""
    try:
        version: Version = client.ask(GetVersion(kind="dataset", reference=name))
    except NotFound:
        return None
    return version


def finish_commits(client: Client, name: str) -> Version | None:
    """Tell the record of commits whose writers died before they could, and return the latest version."""
    with client.tables.hold(name):
        return client.tables.open_writer(name, anew=True).head


class Writer:
    """Commits to one dataset; used under `hold_table`.

    Parameters
    ----------
    client : Client
        Of the home.
    name : str
        The dataset.

    Raises
    ------
    Invalid
        DATA-010 when the name is that of a part, which `Dataset.split` makes.
    Conflict
        DATA-014 when another program has committed and `anew` is False.

    Notes
    -----
    A Delta commit carries all that the record is told of it. When its writer died before it told
    the record, the next writer does: a commit is never undone and never made twice.
    """

    def __init__(self, client: Client, name: str, *, anew: bool) -> None:
        self.client = client
        self.name = name
        self.head = find_head(client, name)
        self.base = self.head
        self._left_behind = False  # versions after the head were deleted, and the table still ends with them
        if "of" in self.details:
            whole = name.rpartition(".")[0]
            raise Invalid("DATA-010", f"{name} is a part of {whole}", fix=f"write {whole} and split it again")
        self._begin(anew=anew)

    @property
    def details(self) -> dict[str, Any]:
        """What the record keeps of the head; empty before the first version."""
        return dict(self.head.details) if self.head is not None else {}

    @property
    def base_id(self) -> str:
        """Id of the version that the record held when this writer began."""
        return self.base.id if self.base is not None else ""

    def find_done(self, app: App | None, base: str, given: str) -> Version | None:
        """Return the version that an earlier try of the same append has made.

        Parameters
        ----------
        app : tuple of str and int or None
            The application's transaction: it is made once, whatever its rows.
        base : str
            Id of the version that the rows come after.
        given : str
            Digest of the rows as they came: the head is this append when it was made of the
            same rows on the same base, or by a run of the same key that did not succeed.
        """
        if app is not None and self.is_done(app):
            versions = self._list_versions()
            return next((each for each in versions if (each.details or {}).get("app") == list(app)), self.head)
        if self.head is None or self.details.get("given_digest") != given:
            return None
        made_by = self.details.get("app")
        if app is not None and made_by is not None and made_by[0] == app[0]:
            return None  # the application numbers its appends, and this number is a new one
        if self.details.get("base") == base or self._was_interrupted(self.head.run_id):
            return self.head
        return None

    def find_write(self, mark: str) -> Version | None:
        """Return the version that a try of the same write has made, whatever came after it."""
        versions = self._list_versions()
        return next((each for each in versions if (each.details or {}).get("write") == mark), None)

    def commit(self, rows: pl.DataFrame, note: dict[str, Any], sealing: Sealing, *, append: bool) -> Version:
        """Commit rows to the table and tell the record.

        Parameters
        ----------
        rows : polars.DataFrame
            Storable rows.
        note : dict
            ``digest``, ``details``, ``inputs``, ``run_id`` and ``event_time`` of the version.
        sealing : Sealing
            Columns whose cells lie encrypted.
        append : bool
            Add to the rows of the head, or take their place.

        Returns
        -------
        Version
            The new head.
        """
        return self.write(sealing.seal(rows), {**note, "append": append})

    def write(self, rows: pl.DataFrame, note: dict[str, Any]) -> Version:
        """Commit rows as they are to lie in the table, with a note that has ``append``, and tell the record.

        Raises
        ------
        Conflict
            KEEP-005 when the project holds all that it may, before any is written.
        """
        append, private = bool(note["append"]), note["details"]["private"]
        return self._write(
            note, lambda app: self.table.commit(rows, append=append, note=note, app=app, private=private)
        )

    def write_parts(self, parts: Sequence[Part], schema: pl.Schema, note: dict[str, Any]) -> Version:
        """Commit files that lie in the table's folder, as `write` does rows; `schema` is theirs, as they lie."""
        append = bool(note["append"])
        return self._write(note, lambda app: self.table.commit_parts(parts, schema, append=append, note=note, app=app))

    def _write(self, note: dict[str, Any], commit: Callable[[App | None], int]) -> Version:
        # Once committed they are told to the record, whatever they come to on the disk.
        self.client.ask(HoldBlob(digest=secrets.token_hex(32), size_bytes=1))
        crash_point("table.before_commit")
        app = tuple(note["details"]["app"] or ()) or None
        if note["append"] and self.head is not None and self._left_behind:
            self.table.return_to(self.head.manifest["delta_version"])
        number = commit(app)
        crash_point("table.committed")
        return self._record(note, number)

    def is_done(self, app: App) -> bool:
        """Tell whether the commit of a transaction, or of a later one of its application, is there."""
        return self.table.is_done(*app)

    def touch(self, version: Version) -> Version:
        """Tell the record that the active run came to a version that was there already."""
        active = active_run()
        run_id = active.run.id if active is not None else None
        return self._put({"digest": version.digest, "run_id": run_id}, version.manifest)

    def _begin(self, *, anew: bool) -> None:
        from mainspring.data.places import place_table
        from mainspring.data.tables import Table

        self.table: Table = Table(place_table(self.client.home, name_folder(self.client.project, self.name)))
        self._finish_commits(anew=anew)

    def _finish_commits(self, *, anew: bool) -> None:
        """Tell the record of commits whose writers died before they could."""
        known = self._reached
        if self.table.version > known:  # a version that was deleted has told the record of its commit before
            told = self._find_told()
            known = self._reached
            self._left_behind = told > known
            known = max(known, told)
        for commit in self.table.list_commits(known):
            if commit.note:
                self._record(commit.note, commit.version)
                self._left_behind = False
            elif commit.note is None and not anew:
                raise Conflict(
                    "DATA-014",
                    f"commit {commit.version} of {self.table.place.address} is not of Mainspring",
                    dataset=self.name,
                )

    @property
    def _reached(self) -> int:
        """Delta's number of the head; -1 before the first."""
        return int(self.head.manifest["delta_version"]) if self.head is not None else -1

    def _find_told(self) -> int:
        """Return Delta's greatest number that the record was told, by versions that are deleted too.

        Another home's writer may have told it of more since the head was read. Only when the head is
        still the same after the list was made is what lies beyond it deleted, and not merely new.
        """
        while True:
            told = [(each.manifest or {}).get("delta_version", -1) for each in self._list_versions(deleted=True)]
            head = find_head(self.client, self.name)
            if (head and head.id) == (self.head and self.head.id):
                return max(told, default=-1)
            self.head = head

    def _was_interrupted(self, run_id: str | None) -> bool:
        active = active_run()
        if active is None or run_id is None or active.run.key is None or run_id == active.run.id:
            return False
        before: Run = self.client.ask(GetRun(id=run_id))
        return before.key == active.run.key and before.state != "succeeded"

    def _list_versions(self, *, deleted: bool = False) -> list[Version]:
        asked = ListVersions(kind="dataset", name=self.name, limit=_MANY, deleted=deleted)
        return list(read_all(self.client.ask, asked))

    def _record(self, note: dict[str, Any], number: int) -> Version:
        manifest = self.table.describe(number, self.head.manifest["files"] if self.head is not None else [])
        sealed = note["details"].get("sealed")
        if sealed:
            from mainspring.data.sealing import name_types

            manifest |= {"schema": name_types(manifest["schema"], sealed), "sealed": sealed}
        known = () if note["append"] else self._list_versions(deleted=True)
        told = next((each for each in known if (each.manifest or {}).get("delta_version") == number), None)
        if told is not None:  # another home's writer was faster to tell the record
            self.head = told
            return told
        if self.head is not None and note["digest"] in {each.digest for each in known}:
            # An earlier content is back: it becomes the latest version again, so it needs a number.
            from mainspring.data.digests import chain_digest

            note = {**note, "digest": chain_digest(self.head.digest, "again", note["digest"])}
        self.head = self._put(note, manifest)
        return self.head

    def _put(self, note: dict[str, Any], manifest: dict[str, Any]) -> Version:
        version: Version = self.client.ask(
            PutVersion(
                kind="dataset",
                name=self.name,
                digest=note["digest"],
                manifest=manifest,
                details=note.get("details"),
                run_id=note.get("run_id"),
                inputs=tuple(note.get("inputs", ())),
                event_time=note.get("event_time"),
            )
        )
        return version
