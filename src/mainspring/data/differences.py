"""What differs between two tables."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

# No column of a table has such a name.
_OLD, _NEW = "\x00old", "\x00new"


class Difference(NamedTuple):
    """Rows and columns that one version has and the other has not.

    Attributes
    ----------
    added, removed : int
        Rows by key, or whole rows where there is no key.
    changed : int
        Rows of one key with other values in the columns that both have; 0 without a key.
    columns_added, columns_removed : tuple of str
        Names.
    """

    added: int
    removed: int
    changed: int
    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return any(self)

    def __str__(self) -> str:
        parts = [f"+{self.added:,} -{self.removed:,} ~{self.changed:,} rows"]
        parts += [f"+{name}" for name in self.columns_added] + [f"-{name}" for name in self.columns_removed]
        return ", ".join(parts)


def compare_tables(before: pl.DataFrame, after: pl.DataFrame, key: list[str]) -> Difference:
    """Count what differs.

    Parameters
    ----------
    before, after : polars.DataFrame
        Two versions.
    key : list of str
        Columns that identify a row; empty: whole rows are compared, with their number.

    Returns
    -------
    Difference
        From `before` to `after`.
    """
    both = [name for name in before.columns if name in after.columns and before.schema[name] == after.schema[name]]
    columns_added = tuple(name for name in after.columns if name not in before.columns)
    columns_removed = tuple(name for name in before.columns if name not in after.columns)
    if key and set(key) <= set(both):
        removed = before.join(after, on=key, how="anti", nulls_equal=True).height
        added = after.join(before, on=key, how="anti", nulls_equal=True).height
        same = before.select(both).join(after.select(both), on=both, how="semi", nulls_equal=True).height
        changed = before.height - removed - same
        return Difference(added, removed, changed, columns_added, columns_removed)
    if not both:
        return Difference(after.height, before.height, 0, columns_added, columns_removed)
    old, new = (frame.group_by(both).len(name) for frame, name in ((before, _OLD), (after, _NEW)))
    joined = old.join(new, on=both, how="full", nulls_equal=True)
    change = joined[_NEW].fill_null(0).cast(pl.Int64) - joined[_OLD].fill_null(0).cast(pl.Int64)
    return Difference(
        int(change.filter(change > 0).sum()), -int(change.filter(change < 0).sum()), 0, columns_added, columns_removed
    )
