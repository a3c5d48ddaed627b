"""Delta tables: one place for each dataset, one commit for each version.

A commit carries what the record needs to know of it, so that a writer which died between the
commit and the record is finished by the next one, and nothing is written twice.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
import polars as pl
from arro3.core import Table as ArrowTable
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions

from mainspring.data.places import Place
from mainspring.domain.errors import Conflict
from mainspring.store.files import write_faults
from mainspring.store.outages import explain_outage, is_outage

_METADATA = "mainspring"
_LOCK = "_writer.lock"
_POLL_S = 0.02
_GROUP_ROWS, _GROUP_BYTES = 1 << 17, 16 << 20
# Opening a table reads the log since the last checkpoint; old versions need all of the log.
_CONFIGURATION = {"delta.checkpointInterval": "20", "delta.logRetentionDuration": "interval 36500 days"}
_HIDDEN = {"delta.dataSkippingNumIndexedCols": "0"}
_HOOKS = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


class Commit(NamedTuple):
    """A commit of a table.

    Attributes
    ----------
    version : int
        Delta's number, from 0.
    note : dict or None
        What the writer wanted the record to know; empty: nothing, no row changed; None: another
        program wrote it.
    """

    version: int
    note: dict[str, Any] | None


class Part(NamedTuple):
    """A file of rows in a table's folder that no commit names as yet.

    Attributes
    ----------
    name : str
        Of the file; the rows of a version are those of its files in the order of their names.
    rows : int
        How many it holds.
    size_bytes : int
        Its length.
    """

    name: str
    rows: int
    size_bytes: int


class LostRace(Conflict):
    """Another writer has committed since the table was opened; nothing was written."""


@contextmanager
def hold_table(place: Place, wait_s: float = 60.0) -> Iterator[None]:
    """Be the only writer of a table in this home; a killed holder lets go.

    Parameters
    ----------
    place : Place
        Of the table; its folder is made when it is not there.
    wait_s : float
        Longest wait, in seconds.

    Raises
    ------
    Conflict
        DATA-013 after that time.
    """
    folder = place.folder
    with write_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        end = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise Conflict(
                        "DATA-013", f"{folder.name} is held by another writer for {wait_s:g} s", dataset=folder.name
                    ) from None
                time.sleep(_POLL_S)
        yield
    finally:
        # A process forked meanwhile shares the lock, and would keep it if this only closed its handle.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


@contextmanager
def explain_faults(place: Place) -> Iterator[None]:
    """Turn the table library's texts into errors that say what helps.

    Raises
    ------
    Denied, Unavailable
        BLOB-006, BLOB-007 or BLOB-008 for what the object store refuses or does not answer.
    OSError
        A system error that the library has put into words.
    """
    try:
        yield
    except (DeltaError, OSError, pl.exceptions.PolarsError) as fault:
        text = str(fault)
        if place.url and is_outage(text):
            raise explain_outage(text, place.url) from None
        found = re.search(r"\(os error (\d+)\)", text)
        if found is None or isinstance(fault, OSError):
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from None


class Table:
    """The Delta table of a dataset; to be changed under `hold_table` only.

    Parameters
    ----------
    place : Place
        Where it lies; there may be nothing as yet.

    Raises
    ------
    Denied, Unavailable
        BLOB-006, BLOB-007 or BLOB-008 when its object store cannot be read.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        with explain_faults(place):
            there = DeltaTable.is_deltatable(place.address, storage_options=place.writing)
            self._table = self._open() if there else None

    def _open(self, version: int | None = None) -> DeltaTable:
        return DeltaTable(self.place.address, version=version, storage_options=self.place.writing)

    @property
    def version(self) -> int:
        """Delta's number of the last commit; -1 before the first."""
        return -1 if self._table is None else self._table.version()

    def list_commits(self, after: int) -> list[Commit]:
        """Return the commits after a version, oldest first."""
        if self._table is None or self.version <= after:
            return []
        with explain_faults(self.place):
            entries = self._table.history(self.version - after)
        commits = [
            Commit(entry["version"], msgspec.json.decode(entry[_METADATA]) if _METADATA in entry else None)
            for entry in entries
        ]
        return sorted(commit for commit in commits if commit.version > after)

    def reached(self, app_id: str) -> int:
        """Return the number of the last transaction of an application; -1 before its first."""
        with explain_faults(self.place):
            done = self._table.transaction_version(app_id) if self._table is not None else None
        return -1 if done is None else done

    def is_done(self, app_id: str, number: int) -> bool:
        """Tell whether a commit with that transaction, or a later one of its application, is there."""
        return self.reached(app_id) >= number

    def describe(self, version: int, before: list[str]) -> dict[str, Any]:
        """Return the manifest of a version.

        Parameters
        ----------
        version : int
            Delta's number.
        before : list of str
            Files of the version it was made from: those that it keeps come first and in their
            order, so that rows keep their places.

        Returns
        -------
        dict
            ``table``, ``delta_version``, ``schema`` as Delta writes it, ``files`` relative to the
            folder, their ``sizes`` in bytes and ``predicate`` (None).
        """
        assert self._table is not None
        with explain_faults(self.place):
            table = self._table if version == self.version else self._open(version)
            added = table.get_add_actions(flatten=True).select(["path", "size_bytes"])
            live = {Path(path).name: size_bytes for path, size_bytes in pl.DataFrame(added).iter_rows()}
        return {
            "table": self.place.name,
            "delta_version": version,
            "schema": table.schema().to_json(),
            "files": [name for name in before if name in live] + sorted(live.keys() - set(before)),
            "sizes": live,
            "predicate": None,
        }

    def commit(
        self, rows: pl.DataFrame, *, append: bool, note: dict[str, Any], app: tuple[str, int] | None, private: list[str]
    ) -> int:
        """Write rows in one commit.

        Parameters
        ----------
        rows : polars.DataFrame
            Storable rows.
        append : bool
            Add to the live rows, or take their place.
        note : dict
            What the record needs to know, as JSON.
        app : tuple of str and int, optional
            Delta's transaction: application and its number, rising with each commit.
        private : list of str
            Columns whose extremes must not stand in the log.

        Returns
        -------
        int
            Delta's number of the commit.

        Notes
        -----
        Guarantees: files and log are on the disk, or acknowledged by the object store, before it
        returns. The commit follows the one that was last when the table was opened, or fails.

        Raises
        ------
        LostRace
            DATA-013 when another writer has committed since.
        Denied, Unavailable
            HOME-006 for a full disk, HOME-007 for a folder that may not be written, BLOB-006 to
            BLOB-008 for an object store; nothing is committed then, unless the store's answer was
            what got lost: the next writer finds the commit.
        """
        with self._committing(hides=bool(private)):
            write_deltalake(
                self._table if self._table is not None else self.place.address,
                rows,
                **self._choose_modes(append=append),
                configuration=_CONFIGURATION | (_HIDDEN if private else {}),
                writer_properties=_choose_groups(rows),
                post_commithook_properties=_HOOKS,
                commit_properties=_describe_commit(note, app),
                storage_options=self.place.writing,
            )
        return self.version

    def commit_parts(
        self,
        parts: Sequence[Part],
        schema: pl.Schema,
        *,
        append: bool,
        note: dict[str, Any],
        app: tuple[str, int] | None,
    ) -> int:
        """Commit files that lie in the table's folder already; all else is as of `commit`.

        Parameters
        ----------
        parts : sequence of Part
            Their rows have the columns of `schema`.
        schema : polars.Schema
            Storable types; in an append those that the table has.
        append, note, app
            As of `commit`.
        """
        now_ms = int(time.time() * 1000)
        added = [
            AddAction(part.name, part.size_bytes, {}, now_ms, True, f'{{"numRecords": {part.rows}}}') for part in parts
        ]
        facts: dict[str, Any] = {"commit_properties": _describe_commit(note, app), "post_commithook_properties": _HOOKS}
        fields = Schema.from_arrow(ArrowTable.from_arrow(pl.DataFrame(schema=schema)).schema)
        with self._committing(hides=False):  # no extremes are told
            if self._table is not None:
                self._table.create_write_transaction(added, "append" if append else "overwrite", fields, **facts)
            else:
                options = {"configuration": _CONFIGURATION, "storage_options": self.place.writing}
                create_table_with_add_actions(self.place.address, fields, added, "error", **options, **facts)
        return self.version

    @contextmanager
    def _committing(self, *, hides: bool) -> Iterator[None]:
        """Be one commit further afterwards, on the disk."""
        with write_faults(self.place.folder), explain_faults(self.place), self._one_winner():
            if hides:
                self._hide_statistics()
            number = self.version + 1
            yield
            self._table = self._open(number)
        if not self.place.url:
            self._sync()

    def return_to(self, version: int) -> None:
        """Have the rows of an earlier version be the table's again, in a commit that the record need not know.

        Raises
        ------
        LostRace
            DATA-013 when another writer has committed since.
        """
        assert self._table is not None
        with write_faults(self.place.folder), explain_faults(self.place), self._one_winner():
            self._table.restore(
                version, commit_properties=CommitProperties(custom_metadata={_METADATA: "{}"}, max_commit_retries=0)
            )
            self._table = self._open()

    def _choose_modes(self, *, append: bool) -> dict[str, Any]:
        if self._table is None:
            return {"mode": "error"}  # of two that make a table, one is first
        return (
            {"mode": "append", "schema_mode": "merge"} if append else {"mode": "overwrite", "schema_mode": "overwrite"}
        )

    @contextmanager
    def _one_winner(self) -> Iterator[None]:
        try:
            yield
        except DeltaError as fault:
            first = self._table is None and "already exists" in str(fault)
            if not first and not isinstance(fault, CommitFailedError):
                raise
            what = f"another writer has committed to {self.place.name}"
            raise LostRace("DATA-013", what, dataset=self.place.name) from None

    def _hide_statistics(self) -> None:
        """Keep extremes of the columns out of the log from now on; a table takes that only by a commit."""
        if self._table is not None and not self._table.metadata().configuration.items() >= _HIDDEN.items():
            self._table.alter.set_table_properties(
                _HIDDEN, commit_properties=CommitProperties(custom_metadata={_METADATA: "{}"}, max_commit_retries=0)
            )

    def _sync(self) -> None:
        folder = self.place.folder
        log = folder / "_delta_log"
        commit = log / f"{self.version:020}.json"
        actions = [msgspec.json.decode(line) for line in commit.read_bytes().splitlines()]
        added = [folder / unquote(action["add"]["path"]) for action in actions if "add" in action]
        for path in (*added, commit, log, folder, folder.parent):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _choose_groups(rows: pl.DataFrame) -> WriterProperties:
    """Return properties by which no reader must hold many bytes at once: it holds the row groups that it reads."""
    fitting = _GROUP_BYTES * rows.height // max(1, rows.estimated_size())
    return WriterProperties(
        compression="ZSTD", compression_level=1, max_row_group_size=max(1, min(_GROUP_ROWS, fitting or _GROUP_ROWS))
    )


def _describe_commit(note: dict[str, Any], app: tuple[str, int] | None) -> CommitProperties:
    return CommitProperties(
        custom_metadata={_METADATA: msgspec.json.encode(note).decode()},
        app_transactions=[Transaction(*app)] if app else None,
        max_commit_retries=0,
    )


def read_schema(text: str) -> pl.Schema:
    """Read the schema of a manifest."""
    return pl.Schema(Schema.from_json(text).to_arrow())
