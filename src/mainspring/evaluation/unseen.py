"""Whether a model saw the rows that are to judge it, proven from lineage alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mainspring.domain.records import Version


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
    Two parts of one dataset are disjoint when they were cut by the same column into ranges
    that do not meet; that holds across versions of the dataset too, since a row keeps its
    value in that column. Anything of the same dataset that is not such a part counts as seen.
    """
    family = _family(data)
    for version in trained_on:
        if version.id == data.id:
            return f"training read {version.reference} itself"
        if _family(version) == family and not _disjoint(_cut(data), _cut(version)):
            return f"training read {version.reference}, which overlaps {data.reference}"
    return None


def _cut(version: Version) -> dict[str, Any] | None:
    details = version.details
    return details if isinstance(details, dict) and details.get("of") else None


def _family(version: Version) -> str:
    return version.name.rpartition(".")[0] if _cut(version) else version.name


def _disjoint(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    if one is None or other is None or one["by"] != other["by"]:
        return False
    return _ends_before(one, other) or _ends_before(other, one)


def _ends_before(one: dict[str, Any], other: dict[str, Any]) -> bool:
    until, start = one.get("until"), other.get("from")
    return until is not None and start is not None and bool(until <= start)
