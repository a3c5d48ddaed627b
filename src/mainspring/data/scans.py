"""A scan: which files, which columns, which ranges; every engine reads from that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from mainspring.data.columns import require_columns
from mainspring.data.places import Place, place_table
from mainspring.data.sealing import open_column
from mainspring.data.tables import explain_faults, read_schema
from mainspring.domain.errors import Invalid
from mainspring.domain.home import Home
from mainspring.security.ciphers import Cipher

Range = dict[str, float | None]
READ_BYTES = 16 << 20
"""Aim for what a stream reads at once, bytes in memory."""
_FIRST_ROWS, _GROWTH = 64, 8
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - tables hold UTC without zone


@dataclass(frozen=True)
class Scan:
    """Rows of one dataset version, not yet read.

    Attributes
    ----------
    place : Place
        Where the table lies, and what libraries are told of its store.
    files : tuple of str
        Parquet files, as paths or URLs, in the order of the rows.
    schema : polars.Schema
        Names and types of the columns.
    columns : tuple of str
        Those to read.
    ranges : mapping
        Column -> ``{"from": inclusive, "until": exclusive}``; a time is in seconds since
        1970 UTC, a missing end is None.
    sealed : mapping
        Column -> id of the data key that its cells are sealed with.
    open_key : callable, optional
        Id -> cipher, for those who may read; asked only for columns that are read.
    locate : callable, optional
        File -> where it lies on this machine, when it must first be brought there.
    sizes : mapping
        Name of a file -> its length in bytes; files of older versions are not in it.
    """

    place: Place
    files: tuple[str, ...]
    schema: pl.Schema
    columns: tuple[str, ...]
    ranges: Mapping[str, Range]
    sealed: Mapping[str, str] = field(default_factory=dict)
    open_key: Callable[[str], Cipher] | None = None
    locate: Callable[[str], str] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)

    def select(self, *columns: str) -> Scan:
        """Read these columns only.

        Raises
        ------
        Invalid
            DATA-005 when a column is not there.
        """
        require_columns(columns, self.schema, what="the scan")
        return replace(self, columns=columns)

    def within(self, column: str, since: float | None, until: float | None) -> Scan:
        """Read rows whose value is in ``[since, until)`` only."""
        old = self.ranges.get(column, {"from": None, "until": None})
        new = {"from": _tighter(old["from"], since, max), "until": _tighter(old["until"], until, min)}
        return replace(self, ranges={**self.ranges, column: new})

    def lazy(self) -> pl.LazyFrame:
        """Return a lazy Polars frame; the files are pruned by their statistics.

        Raises
        ------
        Denied
            AUTH-005, AUTH-006 or AUTH-007 when a column is sensitive and whoever asks may not read it;
            SECRET-003 when its key is lost.
        Invalid
            DATA-019 when a file on this machine has not the length that was written.
        """
        if not self.files:
            return pl.LazyFrame(schema={name: self.schema[name] for name in self.columns})
        return self._narrow(self._open_files())

    def _open_files(self) -> pl.LazyFrame:
        """Return all rows and columns of the files as they lie there: sealed cells are bytes."""
        files = [self.locate(name) if self.locate else name for name in self.files]
        if self.locate or not self.place.url:
            self._check_sizes(files)
        return pl.scan_parquet(
            files,
            schema={name: pl.Binary() if name in self.sealed else dtype for name, dtype in self.schema.items()},
            missing_columns="insert",
            storage_options=self.place.reading or None,
            credential_provider=None,
        )

    def _narrow(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Return the rows in range and the columns to read, opened."""
        frame = frame.with_columns(self._open_columns())
        for column, ends in self.ranges.items():
            since, until = (to_value(ends[end], self.schema[column]) for end in ("from", "until"))
            if since is not None:
                frame = frame.filter(pl.col(column) >= since)
            if until is not None:
                frame = frame.filter(pl.col(column) < until)
        return frame.select(self.columns)

    def _check_sizes(self, files: Iterable[str]) -> None:
        # To read every byte for a digest would cost more than the scan.
        for name, path in zip(self.files, map(Path, files), strict=True):
            if not path.exists():
                raise _damaged(self.place, f"{Path(name).name} is gone")
            wanted, there = self.sizes.get(Path(name).name), path.stat().st_size
            if wanted is not None and there != wanted:
                raise _damaged(self.place, f"{Path(name).name} has {there:,} bytes of {wanted:,}")

    def _open_columns(self) -> list[pl.Expr]:
        opened = []
        for name in sorted({*self.columns, *self.ranges} & set(self.sealed)):
            assert self.open_key is not None
            cipher, dtype = self.open_key(self.sealed[name]), self.schema[name]
            read = partial(open_column, dtype=dtype, cipher=cipher)
            opened.append(pl.col(name).map_batches(read, return_dtype=dtype, is_elementwise=True))
        return opened

    def polars(self) -> pl.DataFrame:
        """Read the rows.

        Raises
        ------
        Denied, Unavailable
            BLOB-006, BLOB-007 or BLOB-008 when the object store of the table cannot be read.
        Invalid
            DATA-019 when a file was cut or removed.
        """
        return self.collect(self.lazy())

    def collect(self, frame: pl.LazyFrame) -> pl.DataFrame:
        """Read what was made of `lazy`; raises as `polars` does."""
        with self._explained():
            return frame.collect()

    def stream(self, batch_rows: int, *, after: int = 0, read_bytes: int = READ_BYTES) -> Iterator[pl.DataFrame]:
        """Read the rows in batches, in their order, a bounded piece of a file at a time.

        Parameters
        ----------
        batch_rows : int
            Most rows of a batch, >= 1.
        after : int
            So many rows are left out at the beginning.
        read_bytes : int
            Aim for what is read at once, in bytes of memory, >= 1; it is one row at least.

        Raises
        ------
        MainspringError
            As of `polars`, when the batch is read.

        Notes
        -----
        Guarantees: memory grows with neither rows nor files. It is what is read at once, and the row groups that
        this lies in as they are compressed; those that `Table.commit` writes are small. How wide rows are is learnt
        from what was read before, beginning with 64 rows of each file; only where they become wider all at once more
        is read.
        """
        with self._explained():
            for name in self.files:
                file = replace(self, files=(name,))
                there = file.lazy().select(pl.len()).collect().item()
                if after < there:
                    for rows in file._stream_file(read_bytes, after):
                        yield from rows.iter_slices(batch_rows)
                after = max(0, after - there)

    def _stream_file(self, read_bytes: int, after: int) -> Iterator[pl.DataFrame]:
        rows = self._open_files()
        end: int = rows.select(pl.len()).collect().item()
        # Where ranges leave rows out, only reading tells which is the first behind `after`.
        at, after = (0, after) if self.ranges else (after, 0)
        size = _FIRST_ROWS
        while at < end:
            found = self._narrow(rows.slice(at, size)).collect(engine="in-memory")
            at += size
            fitting = int(read_bytes * found.height // max(1, found.estimated_size())) if found.height else end
            yield found[after:]
            after = max(0, after - found.height)
            size = max(1, min(fitting, size * _GROWTH))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with explain_faults(self.place):
                yield
        except (pl.exceptions.ComputeError, FileNotFoundError) as fault:
            if isinstance(fault, FileNotFoundError) or str(fault).startswith("parquet:"):
                raise _damaged(self.place, str(fault)) from None
            raise


def open_scan(home: Home, manifest: Mapping[str, Any], open_key: Callable[[str], Cipher] | None = None) -> Scan:
    """Return the scan of a version.

    Parameters
    ----------
    home : Home
        Where the tables lie.
    manifest : mapping
        Of the version: ``table``, ``schema``, ``files`` and ``predicate``, which is None or the
        ranges of a `Scan`.
    open_key : callable, optional
        Id of a data key -> cipher; needed where the version has sensitive columns.
    """
    place = place_table(home, manifest["table"])
    schema = read_schema(manifest["schema"])
    files = tuple(f"{place.address}/{name}" for name in manifest["files"])
    sealed = {name: each["key"] for name, each in (manifest.get("sealed") or {}).items()}
    sizes = manifest.get("sizes") or {}
    return Scan(place, files, schema, tuple(schema), manifest["predicate"] or {}, sealed, open_key, sizes=sizes)


def _damaged(place: Place, what: str) -> Invalid:
    return Invalid("DATA-019", f"{place.name}: {what}", table=place.name)


def to_value(number: float | None, dtype: pl.DataType) -> Any:
    """Turn a range's end into a value that compares with a column of that type."""
    if number is None or dtype.is_numeric():
        return number
    moment = _EPOCH + timedelta(microseconds=round(number * 1e6))
    return moment.date() if dtype == pl.Date else moment


def to_number(value: Any) -> float:
    """Turn a value of a time or number column into a range's end."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()
    return float(value)


def _tighter(old: float | None, new: float | None, choose: Any) -> float | None:
    known = [end for end in (old, new) if end is not None]
    return choose(known) if known else None
