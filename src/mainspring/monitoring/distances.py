"""How far the counts of a block lie from those of a reference."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mainspring.monitoring.profiles import Binning, Counts

MAX_GROUPS = 12

Floats = NDArray[np.float64]


def score_bins(binning: Binning, pool: Counts) -> Floats:
    """Return a normal score for each bin of a number, from the reference's shares.

    Notes
    -----
    Van der Waerden scores of the middle of each bin: a shift of the column by a fraction of its
    standard deviation shifts their mean by about that fraction, whatever its distribution.
    """
    known = pool[:-1].astype(np.float64)
    total = known.sum()
    if binning.kind != "number" or total <= 0:
        return np.zeros(binning.size - 1)
    middle = (np.cumsum(known) - known / 2) / total
    normal = NormalDist()
    return np.asarray([normal.inv_cdf(min(max(share, 0.5 / total), 1 - 0.5 / total)) for share in middle])


def group_bins(binning: Binning, pool: Counts) -> NDArray[np.int64]:
    """Return the group of each bin but the missing one: at most twelve, of like share.

    Notes
    -----
    A distance over many bins is mostly noise when a block has some hundred rows.
    """
    known = pool[:-1].astype(np.float64)
    if binning.kind == "category":
        return np.minimum(np.arange(len(known)), MAX_GROUPS - 1)
    middle = (np.cumsum(known) - known / 2) / max(known.sum(), 1.0)
    return np.unique(np.floor(middle * MAX_GROUPS).astype(np.int64), return_inverse=True)[1]


def measure_distance(block: Counts, pool: Counts, groups: NDArray[np.int64]) -> Floats:
    """Return the Jensen-Shannon distance of each block from a reference.

    Parameters
    ----------
    block : array (blocks, bins)
        Counts without the bin of missing values.
    pool : array (bins) or (blocks, bins)
        The reference's counts.
    groups : array (bins)
        From `group_bins`.

    Returns
    -------
    array (blocks)
        Root of the divergence in nats, 0 to 0.83.

    Notes
    -----
    When nothing differs, 8 m times its square follows a chi-squared law with one degree less than
    there are groups, where 1 / m = 1 / rows + 1 / reference rows; its root is close to normal.
    """
    here, there = _sum_groups(block, groups), _sum_groups(np.broadcast_to(pool, block.shape), groups)
    p = here / np.maximum(here.sum(axis=1), 1.0)[:, None]
    q = there / np.maximum(there.sum(axis=1), 1.0)[:, None]
    middle = (p + q) / 2
    return np.sqrt(np.maximum((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2, 0.0))


def _sum_groups(counts: NDArray[np.int64], groups: NDArray[np.int64]) -> Floats:
    summed = np.zeros((counts.shape[0], int(groups.max(initial=0)) + 1))
    for bin_number, group in enumerate(groups):
        summed[:, group] += counts[:, bin_number]
    return summed


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray((p * np.log(ratio)).sum(axis=1))
