"""What was made of sensitive columns under another name, and so is sensitive itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import GetVersion
from mainspring.domain.records import Version
from mainspring.sdk.exposures import is_exposed, seen_sources
from mainspring.sdk.lineage import current_client

if TYPE_CHECKING:
    import polars as pl

    from mainspring.sdk.client import Client


def find_derived(frame: pl.DataFrame, declared: Collection[str] = ()) -> set[str]:
    """Return the columns that may hold what was read from sensitive ones.

    Parameters
    ----------
    frame : polars.DataFrame
        What is about to be stored.
    declared : collection of str
        Columns that a contract says something of: that word counts.

    Returns
    -------
    set of str
        Empty where nothing sensitive was seen. Else every column but those that are declared, and
        those with no other values than a version that was read holds plainly under the same name.

    Notes
    -----
    Cost: nothing, until something sensitive was seen; then columns of the versions that were read are
    read again. A text that was a number there counts as derived.
    """
    from mainspring.data.columns import make_storable

    if not is_exposed():
        return set()
    stored = make_storable(frame.select(name for name in frame.columns if name not in declared))
    given = (series.drop_nulls() for series in stored.iter_columns())
    doubtful = {each.name: (each.drop_nans() if each.dtype.is_float() else each).unique() for each in given}
    client = current_client()
    for reference in sorted(seen_sources()):
        if any(series.len() for series in doubtful.values()):
            _strike_out(doubtful, reference, client)
    return {name for name, series in doubtful.items() if series.len()}


def _strike_out(doubtful: dict[str, pl.Series], reference: str, client: Client) -> None:
    """Take away the values that a version holds plainly."""
    import polars as pl

    try:
        version: Version = client.ask(GetVersion(kind="dataset", reference=reference))
        scan = client.tables.open_scan(version, client.data_keys.open)
        names = [
            name
            for name, series in doubtful.items()
            if series.len() and name not in scan.sealed and _compare(scan.schema.get(name), series.dtype)
        ]
        known = scan.select(*names).polars() if names else None
    except (MainspringError, OSError):  # it was deleted, or its files are gone: it shows nothing to be plain
        return
    for name in names:
        assert known is not None
        plain = known.select(pl.col(name).cast(doubtful[name].dtype, strict=False))
        doubtful[name] = doubtful[name].to_frame().join(plain, on=name, how="anti").to_series()


def _compare(stored: pl.DataType | None, dtype: pl.DataType) -> bool:
    return stored is not None and (stored == dtype or (stored.is_numeric() and dtype.is_numeric()))
