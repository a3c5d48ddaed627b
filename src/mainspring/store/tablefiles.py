"""The files of tables, as a collection looks at them: in the home's folder, or in its object store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from mainspring.domain.home import Home
from mainspring.store.files import write_faults
from mainspring.store.locations import find_tables


class TableFile(NamedTuple):
    """A file of a table.

    Attributes
    ----------
    name : str
        ``table/file``.
    size_bytes : int
        Its length.
    modified_at : float
        When it was written, in seconds since 1970.
    """

    name: str
    size_bytes: int
    modified_at: float

    @property
    def holds_rows(self) -> bool:
        """Whether it is no part of a table's log."""
        return self.name.endswith(".parquet") and "_delta_log" not in self.name.split("/")


class TableFiles(Protocol):
    """Where the tables of a home lie."""

    def list(self) -> Iterator[TableFile]:
        """Yield the files of all tables and of their logs."""
        ...

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; nothing when it is gone."""
        ...

    def put(self, name: str, source: Path) -> None:
        """Copy a file of this machine into a table, under a name that is drawn by chance."""
        ...

    def remove_old(self, name: str, before: float) -> int | None:
        """Remove a file that was written before a time and return its length; None when it stays, or is gone."""
        ...


class FolderFiles:
    """Implements `TableFiles` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self) -> Iterator[TableFile]:
        """Yield the files of all tables and of their logs."""
        for path in self._folder.rglob("*"):
            if path.suffix in {".parquet", ".json"}:
                facts = path.stat()
                yield TableFile(path.relative_to(self._folder).as_posix(), facts.st_size, facts.st_mtime)

    def read(self, name: str) -> bytes:
        """Return the bytes of a file; nothing when it is gone."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return b""

    def put(self, name: str, source: Path) -> None:
        """Copy a file; whoever commits it waits for the disk."""
        import shutil  # with every compression that there is

        with write_faults(self._folder):
            shutil.copyfile(source, self._folder / name)

    def remove_old(self, name: str, before: float) -> int | None:
        """Remove a file that is old."""
        path = self._folder / name
        try:
            facts = path.stat()
            if facts.st_mtime >= before:
                return None
            path.unlink()
        except FileNotFoundError:
            return None
        return facts.st_size


def open_files(home: Home) -> TableFiles:
    """Return the files of the tables of a home; nothing is read, and no connection is made."""
    if find_tables(home) is None:
        return FolderFiles(home.tables)
    from mainspring.store.adapters import obstore

    return obstore.open_files(home)


def name_key(name: str) -> str:
    """Return by what the record knows a file of a table where it has digests of blobs.

    Examples
    --------
    >>> name_key("sales/part-1.parquet")[:12]
    '6d313c3bdbeb'
    """
    return hashlib.sha256(name.encode()).hexdigest()
