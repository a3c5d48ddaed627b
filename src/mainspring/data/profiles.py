"""What an aggregate pass tells of each column."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

import polars as pl


def profile_expressions(frame: pl.DataFrame) -> list[pl.Expr]:
    """Return aggregates to add to a select; `make_profile` reads their row."""
    expressions = []
    for name, dtype in frame.schema.items():
        expressions.append(pl.col(name).null_count().alias(f"null {name}"))
        if dtype.is_numeric() or dtype.base_type() in {pl.Datetime, pl.Date}:
            expressions += [
                pl.col(name).min().alias(f"min {name}"),
                pl.col(name).max().alias(f"max {name}"),
            ]
    return expressions


def make_profile(frame: pl.DataFrame, row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name the aggregates of one row.

    Parameters
    ----------
    frame : polars.DataFrame
        What they were computed of.
    row : mapping
        The row of a select with `profile_expressions`.

    Returns
    -------
    dict
        Column -> ``count`` of values, ``null``, and ``min``, ``max`` of numbers and times as
        JSON; the extremes of texts are left out, for they may tell about a person.
    """
    profile: dict[str, dict[str, Any]] = {}
    for name in frame.columns:
        null = row[f"null {name}"]
        profile[name] = {"count": frame.height - null, "null": null}
        if f"min {name}" in row:
            profile[name] |= {"min": _to_json(row[f"min {name}"]), "max": _to_json(row[f"max {name}"])}
    return profile


def profile_rows(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Profile a frame in a pass of its own."""
    return make_profile(frame, frame.select(profile_expressions(frame)).row(0, named=True))


def merge_profiles(first: dict[str, dict[str, Any]], second: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the profile of both parts together, for the columns of the second."""
    merged = {}
    for name, new in second.items():
        old = first.get(name, {"count": 0, "null": 0})
        merged[name] = {"count": old["count"] + new["count"], "null": old["null"] + new["null"]}
        for end, choose in (("min", min), ("max", max)):
            if end in new:
                known = [each[end] for each in (old, new) if each.get(end) is not None]
                merged[name][end] = choose(known) if known else None
    return merged


def hide_extremes(profile: dict[str, dict[str, Any]], private: Collection[str]) -> dict[str, dict[str, Any]]:
    """Leave out the extremes of columns that tell about a person."""
    return {
        name: {"count": facts["count"], "null": facts["null"]} if name in private else facts
        for name, facts in profile.items()
    }


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, int) or value - value == 0:
        return value if isinstance(value, int | float | None) else float(value)
    return None
