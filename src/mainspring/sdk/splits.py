"""Splits in time: two versions that share the files of a third."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from mainspring.domain.errors import Invalid
from mainspring.domain.messages import PutVersion
from mainspring.domain.records import Version
from mainspring.domain.units import parse_duration
from mainspring.sdk.context import active_run
from mainspring.sdk.lineage import current_client

if TYPE_CHECKING:
    import polars as pl

    from mainspring.data.scans import Scan


def split_version(version: Version, scan: Scan, by: str | None, last: Any, at: Any) -> tuple[Version, Version]:
    """Record the two parts of a version; `Dataset.split` tells all."""
    from mainspring.data.columns import require_columns

    column = by or version.details.get("event_time")
    if column is None:
        raise Invalid("DATA-015", f"{version.reference} has no event time", fix="name the column: split(by=...)")
    require_columns([column], scan.schema, what="split")
    if column in scan.sealed:
        raise Invalid("DATA-015", f"{column} is sensitive, and the record would tell where it was cut", column=column)
    values = scan.select(column).polars().to_series()
    border = _find_border(values, last, at)
    below = int((values < border).sum())
    if below in {0, values.len()}:
        empty = "past" if below == 0 else "recent"
        raise Invalid("DATA-015", f"the {empty} part of {version.reference} at {column} = {border} is empty")
    parts = (("past", None, border, below), ("recent", border, None, values.len() - below))
    past, recent = (_record_part(version, scan, column, part) for part in parts)
    return past, recent


def _find_border(values: pl.Series, last: Any, at: Any) -> Any:
    from mainspring.data.scans import to_number, to_value

    name, dtype = values.name, values.dtype
    if (last is None) == (at is None):
        raise Invalid("DATA-015", f"a split by {name} with {'both' if at is not None else 'neither'} of last and at")
    if not dtype.is_numeric() and not dtype.is_temporal():
        raise Invalid("DATA-015", f"{name} holds {dtype}, which has no order in time", column=name)
    gaps = values.null_count()
    if gaps or values.is_empty():
        raise Invalid("DATA-015", f"{gaps:,} of {values.len():,} rows have no {name}", column=name)
    if at is not None:
        try:
            moment = datetime.fromisoformat(at) if isinstance(at, str) else at
            return to_value(to_number(moment), dtype)
        except (TypeError, ValueError):
            raise Invalid("DATA-015", f"at={at!r} is no time or number") from None
    width = _read_number(last, name, dtype) if dtype.is_numeric() else parse_duration(last)
    return to_value(to_number(values.max()) - width, dtype)


def _read_number(last: Any, name: str, dtype: Any) -> float:
    try:
        return float(last)
    except (TypeError, ValueError):
        raise Invalid("DATA-015", f"last={last!r} is no number, and {name} holds {dtype}", column=name) from None


def _record_part(version: Version, scan: Scan, column: str, part: tuple[str, Any, Any, int]) -> Version:
    from mainspring.data.digests import chain_digest
    from mainspring.data.scans import to_number

    label, since, until, rows = part
    ends = [None if end is None else to_number(end) for end in (since, until)]
    ranges = scan.within(column, *ends).ranges
    kept = ("key", "event_time", "columns", "private", "sealed", "contract", "quarantine")
    details = {name: version.details.get(name) for name in kept}
    details |= {"of": version.id, "by": column, "from": ends[0], "until": ends[1], "rows": rows}
    active = active_run()
    recorded: Version = current_client().ask(
        PutVersion(
            kind="dataset",
            name=f"{version.name}.{label}",
            digest=chain_digest(version.digest, f"split {version.name}", f"{column} {ends[0]} {ends[1]}"),
            manifest={**version.manifest, "predicate": dict(ranges)},
            details=details,
            run_id=active.run.id if active is not None else None,
            inputs=(version.id,),
        )
    )
    return recorded
