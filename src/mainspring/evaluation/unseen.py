"""Whether a model saw the rows that are to judge it, proven from lineage alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mainspring.domain.records import Version

Ranges = Mapping[str, Mapping[str, Any]]


def find_seen(data: Version, trained_on: Iterable[Version]) -> str | None:
    """Tell how the judging rows were seen in training or search.

    Parameters
    ----------
    data : Version
        The dataset version that is to judge.
    trained_on : iterable of Version
        The dataset versions that training and search read.

    Returns
    -------
    str or None
        What overlaps; None when nothing does.

    Notes
    -----
    Two parts of one table are disjoint when some column bounds them to ranges that do not meet,
    however often each was cut. That holds across versions of the table too, since a row keeps its
    value in that column. Anything else of the same table counts as seen.
    """
    for version in trained_on:
        if version.id == data.id:
            return f"training read {version.reference} itself"
        if _table(version) == _table(data) and not _disjoint(_ranges(data), _ranges(version)):
            return f"training read {version.reference}, which overlaps {data.reference}"
    return None


def _table(version: Version) -> str:
    return str(version.manifest["table"])


def _ranges(version: Version) -> Ranges:
    ranges: Ranges = version.manifest.get("predicate") or {}
    return ranges


def _disjoint(one: Ranges, other: Ranges) -> bool:
    return any(_apart(one[column], other[column]) for column in one.keys() & other.keys())


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return _ends_before(one, other) or _ends_before(other, one)


def _ends_before(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    until, start = one.get("until"), other.get("from")
    return until is not None and start is not None and bool(until <= start)
