"""Delta tables: one folder for each dataset, one commit for each version.

A commit carries what the record needs to know of it, so that a writer which died between the
commit and the record is finished by the next one, and nothing is written twice.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec
import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake

from mainspring.domain.errors import Conflict

_METADATA = "mainspring"
_LOCK = "_writer.lock"
_POLL_S = 0.02
_PROPERTIES = WriterProperties(compression="ZSTD", compression_level=1)


class Commit(NamedTuple):
    """A commit of a table.

    Attributes
    ----------
    version : int
        Delta's number, from 0.
    note : dict or None
        What the writer wanted the record to know; None: another program wrote it.
    """

    version: int
    note: dict[str, Any] | None


@contextmanager
def hold_table(folder: Path, wait_s: float = 60.0) -> Iterator[None]:
    """Be the only writer of a table; a killed holder lets go.

    Parameters
    ----------
    folder : Path
        The table's folder; made when it is not there.
    wait_s : float
        Longest wait, in seconds.

    Raises
    ------
    Conflict
        DATA-013 after that time.
    """
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
        os.close(handle)


class Table:
    """The Delta table in a folder; to be changed under `hold_table` only.

    Parameters
    ----------
    folder : Path
        Where it lies; it may be empty as yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._table = DeltaTable(folder) if DeltaTable.is_deltatable(str(folder)) else None

    @property
    def version(self) -> int:
        """Delta's number of the last commit; -1 before the first."""
        return -1 if self._table is None else self._table.version()

    def list_commits(self, after: int) -> list[Commit]:
        """Return the commits after a version, oldest first."""
        if self._table is None or self.version <= after:
            return []
        entries = self._table.history(self.version - after)
        commits = [
            Commit(entry["version"], msgspec.json.decode(entry[_METADATA]) if _METADATA in entry else None)
            for entry in entries
        ]
        return sorted(commit for commit in commits if commit.version > after)

    def reached(self, app_id: str) -> int:
        """Return the number of the last transaction of an application; -1 before its first."""
        done = self._table.transaction_version(app_id) if self._table is not None else None
        return -1 if done is None else done

    def is_done(self, app_id: str, number: int) -> bool:
        """Tell whether a commit with that transaction, or a later one of its application, is there."""
        return self.reached(app_id) >= number

    def list_files(self, version: int, before: list[str]) -> list[str]:
        """Return the names of a version's files, relative to the folder.

        Those of `before`, which stood in the version it was made from, come first and in their
        order, so that rows keep their places.
        """
        live = {Path(uri).name for uri in DeltaTable(self.folder, version=version).file_uris()}
        return [name for name in before if name in live] + sorted(live - set(before))

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
        Guarantees: files and log are on the disk before it returns.
        """
        open_columns = ",".join(name for name in rows.columns if name not in private)
        write_deltalake(
            self._table if self._table is not None else self.folder,
            rows,
            mode="append" if append else "overwrite",
            schema_mode="merge" if append else "overwrite",
            configuration={"delta.dataSkippingStatsColumns": open_columns} if private else None,
            writer_properties=_PROPERTIES,
            commit_properties=CommitProperties(
                custom_metadata={_METADATA: msgspec.json.encode(note).decode()},
                app_transactions=[Transaction(*app)] if app else None,
            ),
        )
        self._table = DeltaTable(self.folder)
        self._sync()
        return self.version

    def schema(self, version: int) -> pl.Schema:
        """Return the columns of a version."""
        return pl.Schema(DeltaTable(self.folder, version=version).schema().to_arrow())

    def _sync(self) -> None:
        log = self.folder / "_delta_log"
        commit = log / f"{self.version:020}.json"
        actions = [msgspec.json.decode(line) for line in commit.read_bytes().splitlines()]
        added = [self.folder / unquote(action["add"]["path"]) for action in actions if "add" in action]
        for path in (*added, commit, log, self.folder):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
