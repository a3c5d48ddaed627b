"""Binned profiles: how many values of each column fell into each bin, block by block of event time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainspring.domain.errors import Invalid

DAY_S = 86_400.0
MAX_BINS = 32
_SAMPLE = 200_000

Counts = NDArray[np.int64]


class Binning(msgspec.Struct, frozen=True):
    """How the values of one column fall into bins; the last bin holds the missing ones.

    Attributes
    ----------
    kind : str
        ``number`` or ``category``.
    edges : tuple of float
        Of a number: inner borders, ascending; a value equal to a border lies above it.
    levels : tuple of str
        Of a category: the known ones, most frequent first; the bin after them takes all others.
    """

    kind: Literal["number", "category"]
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of bins, the bin of missing values included."""
        return len(self.edges) + 2 if self.kind == "number" else len(self.levels) + 2

    @property
    def labels(self) -> list[str]:
        """A name for each bin."""
        if self.kind == "category":
            return [*self.levels, "other", "missing"]
        borders = [f"{edge:.4g}" for edge in self.edges]
        if not borders:
            return ["any", "missing"]
        between = [f"{low} to {high}" for low, high in pairwise(borders)]
        return [f"below {borders[0]}", *between, f"from {borders[-1]}", "missing"]


class Profile(msgspec.Struct):
    """Counts of each column by block and bin.

    Attributes
    ----------
    block_s : float
        Length of a block of event time in seconds, > 0; block `i` starts at ``i * block_s``.
    blocks : list of int
        The blocks that have rows, ascending.
    binnings : dict of str to Binning
        By column.
    counts : dict of str to list of list of int
        By column, one row of counts for each block.

    Notes
    -----
    It is plain data: `msgspec.json` and `msgspec.msgpack` encode and decode it as it is.
    """

    block_s: float
    blocks: list[int]
    binnings: dict[str, Binning]
    counts: dict[str, list[list[int]]]

    def table(self, column: str) -> Counts:
        """Return a column's counts, one row for each block and one column for each bin."""
        return np.asarray(self.counts[column], dtype=np.int64).reshape(len(self.blocks), self.binnings[column].size)


def fit_binning(values: ArrayLike, max_bins: int = MAX_BINS) -> Binning:
    """Choose bins from a reference.

    Parameters
    ----------
    values : array
        Numbers (NaN is missing), or anything else as categories (None is missing).
    max_bins : int
        At most that many bins, those of other and missing values aside.

    Returns
    -------
    Binning
        Numbers: one bin for each value where there are few, else bins of equal share.
    """
    array = np.asarray(values)
    if not is_number(array):
        known, counts = np.unique(_text(array), return_counts=True)
        order = sorted((-count, str(level)) for level, count in zip(known, counts, strict=True) if level != _MISSING)
        return Binning("category", levels=tuple(level for _, level in order[:max_bins]))
    numbers = array.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) > _SAMPLE:
        numbers = numbers[:: len(numbers) // _SAMPLE + 1]
    values_known = np.unique(numbers)
    if len(values_known) <= max_bins:
        edges = (values_known[1:] + values_known[:-1]) / 2
    else:
        edges = np.unique(np.quantile(numbers, np.arange(1, max_bins) / max_bins))
    return Binning("number", edges=tuple(float(edge) for edge in edges))


def find_bins(binning: Binning, values: ArrayLike) -> NDArray[np.int64]:
    """Return the bin of each value."""
    array = np.asarray(values)
    missing = binning.size - 1
    if binning.kind == "category":
        index: dict[Any, int] = {level: number for number, level in enumerate(binning.levels)}
        index[None] = index[_MISSING] = missing
        bins = np.fromiter((index.get(each, missing - 1) for each in array.tolist()), np.int64, len(array))
        unknown = np.flatnonzero(bins == missing - 1)
        texts = _text(array[unknown])  # a NaN, or a level that is no text
        bins[unknown] = [index.get(each, missing - 1) for each in texts.tolist()]
        return bins
    numbers = array.astype(np.float64)
    bins = np.searchsorted(np.asarray(binning.edges), numbers, side="right")
    return np.where(np.isnan(numbers), missing, bins).astype(np.int64)


def make_profile(
    columns: Mapping[str, ArrayLike],
    times: ArrayLike,
    *,
    binnings: Mapping[str, Binning] | None = None,
    block_s: float = DAY_S,
) -> Profile:
    """Count columns by block and bin.

    Parameters
    ----------
    columns : mapping of str to array
        Equally long.
    times : array of float
        Event time of each row, seconds since 1970 UTC.
    binnings : mapping of str to Binning, optional
        The bins of an earlier profile; default: fitted to these columns.
    block_s : float
        Length of a block in seconds, > 0.

    Returns
    -------
    Profile

    Raises
    ------
    Invalid
        MON-001 when a column of the binnings is not there.
    """
    if binnings is None:
        binnings = {name: fit_binning(values) for name, values in columns.items()}
    for name in binnings:
        if name not in columns:
            raise Invalid("MON-001", f"there is no column {name!r}", column=name, columns=sorted(columns))
    blocks, position = np.unique(find_blocks(times, block_s), return_inverse=True)
    counts = {}
    for name, binning in binnings.items():
        cells = position * binning.size + find_bins(binning, columns[name])
        table = np.bincount(cells, minlength=len(blocks) * binning.size).reshape(len(blocks), binning.size)
        counts[name] = table.tolist()
    return Profile(block_s, [int(block) for block in blocks], dict(binnings), counts)


def merge_profiles(first: Profile, second: Profile) -> Profile:
    """Add two profiles of the same bins, as of two parts of one table.

    Raises
    ------
    Invalid
        MON-002 when their bins or blocks differ.
    """
    if first.block_s != second.block_s or first.binnings != second.binnings:
        raise Invalid("MON-002", "profiles of different bins cannot be added")
    blocks = sorted({*first.blocks, *second.blocks})
    place = {block: number for number, block in enumerate(blocks)}
    counts = {}
    for name, binning in first.binnings.items():
        table = np.zeros((len(blocks), binning.size), dtype=np.int64)
        for part in (first, second):
            table[[place[block] for block in part.blocks]] += part.table(name)
        counts[name] = table.tolist()
    return Profile(first.block_s, blocks, dict(first.binnings), counts)


def find_blocks(times: ArrayLike, block_s: float) -> NDArray[np.int64]:
    """Return the number of the block that each time falls into.

    Examples
    --------
    >>> find_blocks([0.0, 86_399.0, 86_400.0], 86_400.0).tolist()
    [0, 0, 1]
    """
    return np.floor(np.asarray(times, dtype=np.float64) / block_s).astype(np.int64)


def is_number(values: NDArray[Any]) -> bool:
    """Tell whether an array holds numbers or truth values."""
    return values.dtype.kind in "biuf"


_MISSING = "\ufffe"


def _text(values: NDArray[Any]) -> NDArray[Any]:
    """Return text with a mark where a value is missing."""
    if values.dtype.kind == "U":
        return values
    return np.asarray([_MISSING if each is None or each != each else str(each) for each in values.tolist()])  # noqa: PLR0124 - NaN
