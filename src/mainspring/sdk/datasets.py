"""Datasets: named tables in versions, read lazily and written once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from mainspring.domain.errors import Unavailable
from mainspring.domain.html import tells_errors
from mainspring.domain.records import Version
from mainspring.sdk.exposures import expose
from mainspring.sdk.handles import Handle
from mainspring.sdk.lineage import find_dataset, record_read

if TYPE_CHECKING:
    import polars as pl

    from mainspring.data.differences import Difference
    from mainspring.data.scans import Scan
    from mainspring.sdk.client import Client
    from mainspring.sdk.contracts import Contract
    from mainspring.sdk.features import FeatureView, Joined
    from mainspring.security.ciphers import Cipher

_SHOWN_ROWS = 8
_MASK = "•••"


class Dataset(Handle):
    """A handle on one version of a dataset; nothing is asked or read before it is needed.

    Parameters
    ----------
    reference : str
        ``name`` (the latest version), ``name@12``, ``name@alias`` or ``name@2026-11-01``. The
        first use decides which version it is; from then on the handle stays on it.

    Raises
    ------
    Invalid
        DATA-001 when the reference is none.

    Notes
    -----
    Reading rows within a run records that the run read the version.

    Examples
    --------
    >>> made = ms.write([{"id": 1, "price": 2.5}], "priced")
    >>> ms.Dataset("priced").polars()["price"].to_list()
    [2.5]
    """

    _kind = "dataset"

    def _find(self, reference: str) -> Version:
        return find_dataset(reference)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.version.details["rows"])

    @property
    def event_time(self) -> str | None:
        """Name of the column that tells when a row happened, as the contract says."""
        name: str | None = self.version.details.get("event_time")
        return name

    @property
    def key(self) -> list[str]:
        """Names of the columns that identify a row, as the contract or the write says."""
        return list(self.version.details.get("key") or ())

    @property
    def schema(self) -> pl.Schema:
        """Names and Polars types of the columns."""
        return self._open().schema

    def scan(self) -> Scan:
        """Return file list, columns and ranges: what every engine needs to read the rows."""
        record_read(self.version)
        return self._open()

    def polars(self) -> pl.DataFrame:
        """Read the rows as a Polars frame; times are UTC without zone."""
        return self.scan().polars()

    def pandas(self) -> Any:
        """Read the rows as a pandas frame.

        Raises
        ------
        Unavailable
            DATA-018 when pandas is not installed.
        """
        try:
            import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except ImportError:
            raise Unavailable("DATA-018", "pandas is not installed", fix="pip install pandas") from None
        return pd.DataFrame({series.name: series.to_numpy() for series in self.polars().iter_columns()})

    def arrow(self) -> Any:
        """Read the rows as an Arrow table (`arro3.core.Table`, which any Arrow library takes)."""
        from arro3.core import Table

        return Table.from_arrow(self.polars())

    def head(self, count: int = 5) -> pl.DataFrame:
        """Read the first rows."""
        scan = self.scan()
        return scan.collect(scan.lazy().head(count))

    def xy(self, target: str, *, drop: Iterable[str] = ()) -> tuple[pl.DataFrame, pl.Series]:
        """Part the rows into features and labels.

        Parameters
        ----------
        target : str
            The column of labels.
        drop : iterable of str
            Further columns that are no features.

        Returns
        -------
        tuple of polars.DataFrame and polars.Series
            All columns but the target, the key, the event time and `drop`; the target.

        Raises
        ------
        Invalid
            DATA-005 when a column is not there.
        """
        from mainspring.data.columns import require_columns

        rows = self.polars()
        require_columns([target, *drop], rows.columns, what=f"xy of {self.name}")
        aside = {target, *drop, *self.key, self.event_time}
        return rows.select(name for name in rows.columns if name not in aside), rows[target]

    def split(
        self, by: str | None = None, *, last: str | float | None = None, at: datetime | str | float | None = None
    ) -> tuple[Dataset, Dataset]:
        """Part the rows in time: what was before, and the recent rest.

        Parameters
        ----------
        by : str, optional
            A column of times or numbers without gaps; by default the event time.
        last : str or number
            How much the recent part holds, back from the latest value: ``"14d"``; a number is
            seconds, or units of a column of numbers.
        at : datetime, ISO text or number
            Where the recent part begins; UTC.

        Returns
        -------
        tuple of Dataset
            Versions of ``NAME.past`` (values below the border) and ``NAME.recent`` (the others).
            They share the files of this one; nothing is copied.

        Raises
        ------
        Invalid
            DATA-005 when the column is not there, DATA-015 when it has gaps or is no time or
            number, when not exactly one of `last` and `at` is given, or when a part is empty.
        """
        from mainspring.sdk.splits import split_version

        return tuple(map(Dataset.of, split_version(self.version, self._open(), by, last, at)))  # type: ignore[return-value]

    def join(self, *views: FeatureView, using: Iterable[Dataset] = ()) -> Joined:
        """Add the features of views to the rows, each as it was known at the row's event time.

        Parameters
        ----------
        *views : FeatureView
            In order; a later one may use what an earlier one added.
        using : iterable of Dataset
            The versions to read where a view's source has that name. A source that is not among
            them is read in its latest version, and a step that does so runs again once there is
            a newer one.

        Returns
        -------
        Joined
            Nothing is read before ``.polars()``.

        Raises
        ------
        Invalid
            DATA-016 when no view reads one of `using`.
        """
        from mainspring.sdk.features import Joined

        return Joined(self, views, using)

    def diff(self, other: Dataset | str) -> Difference:
        """Count the rows and columns that differ, from the other version to this one.

        Parameters
        ----------
        other : Dataset or str
            A handle or reference.
        """
        from mainspring.data.differences import compare_tables

        before = other if isinstance(other, Dataset) else Dataset(other)
        return compare_tables(before.polars(), self.polars(), self.key)

    def quarantined(self) -> pl.DataFrame:
        """Read the rows that broke the contract up to this version, with `reason`; maybe none."""
        import polars as pl

        reference = self.version.details.get("quarantine")
        if reference is None:
            return pl.DataFrame(schema={"reason": pl.String, "source_row": pl.Int64})
        return Dataset(reference).polars()

    def _open(self) -> Scan:
        from mainspring.sdk.lineage import current_client

        client = current_client()
        return client.tables.open_scan(self.version, partial(_open_key, client, self.version))

    @tells_errors
    def _repr_html_(self) -> str:
        import polars as pl

        details = self.version.details
        private = set(details.get("private") or ())
        shown = self.scan().select(*(name for name in self.schema if name not in private))
        head = shown.lazy().head(_SHOWN_ROWS).with_columns(pl.lit(_MASK).alias(name) for name in private)
        quarantined = details.get("quarantined") or 0
        note = f" · {quarantined:,} quarantined: {details['reasons']}" if quarantined else ""
        table = head.select(list(self.schema)).collect()._repr_html_()
        return f"<p><b>{escape(self.reference)}</b> · {self.rows:,} rows{escape(note)}</p>{table}"


def _open_key(client: Client, version: Version, id: str) -> Cipher:  # noqa: A002
    """Return the key of a sensitive column; whoever reads it has seen it."""
    cipher = client.data_keys.open(id)
    expose(name for name, each in version.manifest["sealed"].items() if each["key"] == id)
    return cipher


def write(
    rows: Any,
    name: str,
    *,
    contract: type[Contract] | None = None,
    mode: str = "overwrite",
    key: str | list[str] | None = None,
) -> Dataset:
    """Write rows as a new version of a dataset; equal content is the same version.

    Parameters
    ----------
    rows : object
        A `source`, a Dataset, a Polars or pandas frame, a list of dicts, or anything with an
        Arrow C stream.
    name : str
        The dataset.
    contract : Contract, optional
        What the rows must keep. An append or upsert without one keeps the dataset's own.
    mode : str
        ``overwrite`` (default): the rows are the new version; ``append``: they come after those
        of the latest version; ``upsert``: a row with a known key takes the place of the old
        one, the others are added.
    key : str or list of str, optional
        Columns that identify a row; by default the contract's.

    Returns
    -------
    Dataset
        The version, pinned.

    Raises
    ------
    Invalid
        DATA-001 a bad name, DATA-003 or DATA-004 an unreadable or empty source, DATA-005 a
        column too few or too many, DATA-006 a column of another type, DATA-007 a column of the
        contract that is not there, DATA-009 a broken check with the policy fail, DATA-010 a bad
        mode or key, DATA-011 a type that tables do not hold.
    Conflict
        DATA-013 another writer, DATA-014 another program in the table.

    Notes
    -----
    Guarantees: rows that break the contract go to the dataset ``NAME.quarantine`` with a reason:
    rows given = rows accepted + rows in quarantine, and the version's details count them. A
    write that fails leaves no version. A write that was killed is found again: the rows are
    there once when it is repeated by the same run, by a new run of the same step with the same
    inputs, or as the next write.
    Lineage: the versions that the active run has read are the version's inputs.

    Examples
    --------
    >>> ms.write([{"id": 1, "price": 2.5}], "prices").reference
    'prices@1'
    """
    from mainspring.sdk.writes import write_rows

    return Dataset.of(write_rows(rows, name, contract=contract, mode=mode, key=key))
