"""What is usual: how much a reference varies from block to block, and the thresholds from that."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from mainspring.domain.errors import Invalid
from mainspring.monitoring.distances import Floats, group_bins, measure_distance, score_bins
from mainspring.monitoring.profiles import Binning, Counts, Profile

MIN_BLOCKS = 14
MIN_ROWS = 20
SLACK = 0.75
CAP = 6.0

_YEAR_S = 365.25 * 86_400
_YEARS = 400
_RUN_BLOCKS = 7
_EULER = 0.5772156649015329

StatisticName = Literal["level", "shape", "missing"]


class Statistic(msgspec.Struct, frozen=True):
    """How one statistic of a column varies in the reference.

    Attributes
    ----------
    mean : float
        Over the blocks; of ``shape`` the mean square, less what sampling rows explains, >= 0.
    between : float
        Variance between blocks beyond what sampling rows explains, >= 0.
    within : float
        Sampling variance of a block of one row.
    bias : float
        Mean square that sampling adds to a block of one row; 0 but for ``shape``.
    """

    mean: float
    between: float
    within: float
    bias: float = 0.0

    def expect(self, rows: Floats) -> Floats:
        """Return the value that is usual for blocks of that many rows."""
        return np.sqrt(self.mean + self.bias / rows) if self.bias else np.full(len(rows), self.mean)

    def vary(self, rows: Floats) -> Floats:
        """Return the variance that is usual for blocks of that many rows."""
        return np.asarray(np.maximum(self.between + self.within / rows, 1e-12))


class ColumnBaseline(msgspec.Struct, frozen=True):
    """What is usual of one column.

    Attributes
    ----------
    binning : Binning
        Its bins.
    pool : list of int
        The reference's counts by bin.
    statistics : dict of str to Statistic
        ``level`` (normal scores, numbers only), ``shape`` (distance), ``missing`` (share).
    thresholds : dict of str to float
        By series, such as ``level+``: where its cumulative sum alarms.
    """

    binning: Binning
    pool: list[int]
    statistics: dict[str, Statistic]
    thresholds: dict[str, float] = {}


class Baseline(msgspec.Struct, frozen=True):
    """What is usual, with thresholds that keep a budget of alarms.

    Attributes
    ----------
    block_s : float
        Length of a block in seconds.
    blocks : int
        Number of blocks of the reference.
    alarms_per_year : float
        The budget, over all columns together.
    columns : dict of str to ColumnBaseline
        By column.
    """

    block_s: float
    blocks: int
    alarms_per_year: float
    columns: dict[str, ColumnBaseline]


def make_baseline(profile: Profile, alarms_per_year: float, seed: int = 0) -> Baseline:
    """Learn from a reference what is usual.

    Parameters
    ----------
    profile : Profile
        Of the reference, at least `MIN_BLOCKS` blocks of `MIN_ROWS` rows.
    alarms_per_year : float
        So many false alarms a year are accepted over all columns, > 0.
    seed : int
        Of the resampling.

    Returns
    -------
    Baseline

    Raises
    ------
    Invalid
        MON-003 when the reference has too few blocks, MON-006 when the budget is not above zero.

    Notes
    -----
    Each series gets an equal share of the budget. Its threshold is the quantile of the yearly
    maximum of its cumulative sum over 400 years drawn from the reference in runs of seven blocks
    (so that weekdays and the memory of the series stay); a Gumbel law, the limit of such maxima,
    fitted by probability-weighted moments gives quantiles that 400 years cannot show. Each drawn
    year also errs in mean and spread as one that learnt them from so few blocks does. No threshold
    is lower than that of normal blocks (Siegmund 1985).
    """
    if not alarms_per_year > 0:
        raise Invalid("MON-006", f"alarms_per_year={alarms_per_year}", alarms_per_year=alarms_per_year)
    full = [number for number, rows in enumerate(_count_rows(profile)) if rows >= MIN_ROWS]
    if len(full) < MIN_BLOCKS:
        raise Invalid(
            "MON-003",
            f"the reference has {len(full)} blocks of at least {MIN_ROWS} rows, {MIN_BLOCKS} are needed",
            blocks=len(full),
            wanted=MIN_BLOCKS,
        )
    columns, series = {}, {}
    for name, binning in profile.binnings.items():
        table = profile.table(name)[full]
        columns[name] = _describe(binning, table)
        for key, values in standardise(columns[name], table, leave_one_out=True).items():
            series[name, key] = values
    thresholds = _find_thresholds(np.stack([*series.values()], axis=1), profile.block_s, alarms_per_year, seed)
    by_column: dict[str, dict[str, float]] = {name: {} for name in columns}
    for (name, key), threshold in zip(series, thresholds, strict=True):
        by_column[name][key] = float(threshold)
    described = {name: msgspec.structs.replace(each, thresholds=by_column[name]) for name, each in columns.items()}
    return Baseline(profile.block_s, len(full), alarms_per_year, described)


def standardise(column: ColumnBaseline, table: Counts, *, leave_one_out: bool = False) -> dict[str, Floats]:
    """Return how unusual each block is, in standard deviations, by series.

    Parameters
    ----------
    column : ColumnBaseline
        What is usual.
    table : array (blocks, bins)
        Counts.
    leave_one_out : bool
        The blocks are the reference's own: measure each against the others.

    Returns
    -------
    dict of str to array (blocks)
        ``level+``, ``level-``, ``shape+``, ``missing+``, ``missing-``; 0 where a block has too few rows to tell,
        within ``[-CAP, CAP]`` so that one wild block does not outweigh weeks.
    """
    rows = table.sum(axis=1)
    known = rows - table[:, -1]
    series = {}
    for name, values in _measure(column.binning, table, np.asarray(column.pool), leave_one_out=leave_one_out).items():
        usual = column.statistics[name]
        size = rows if name == "missing" else known
        counted = np.maximum(size, 1).astype(np.float64)
        z = (values - usual.expect(counted)) / np.sqrt(usual.vary(counted))
        z = np.where(size >= MIN_ROWS, np.clip(z, -CAP, CAP), 0.0)
        series[f"{name}+"] = z
        if name != "shape":
            series[f"{name}-"] = -z
    return series


def _describe(binning: Binning, table: Counts) -> ColumnBaseline:
    pool = table.sum(axis=0)
    rows = table.sum(axis=1)
    known = rows - table[:, -1]
    statistics = {}
    for name, values in _measure(binning, table, pool, leave_one_out=True).items():
        size = rows if name == "missing" else known
        enough = size >= MIN_ROWS
        statistics[name] = _fit_statistic(name, values[enough], size[enough].astype(np.float64), binning, pool)
    return ColumnBaseline(binning, [int(count) for count in pool], statistics)


def _fit_statistic(name: str, values: Floats, size: Floats, binning: Binning, pool: Counts) -> Statistic:
    within, bias = _find_noise(name, binning, pool, size)
    if len(values) < 2:
        return Statistic(0.0, 0.0, within, bias)
    square = float((values**2).mean() - (bias / size).mean())
    mean = max(square, 0.0) if bias else float(values.mean())
    expected = Statistic(mean, 0.0, within, bias).expect(size)
    spread = float(((values - expected) ** 2).sum()) / (len(values) - 1)
    return Statistic(mean, max(spread - float((within / size).mean()), 0.0), within, bias)


def _measure(binning: Binning, table: Counts, pool: Counts, *, leave_one_out: bool) -> dict[str, Floats]:
    rows, known = table.sum(axis=1), table[:, :-1].sum(axis=1)
    others = pool - table if leave_one_out else pool
    groups = group_bins(binning, pool)
    measured = {"missing": table[:, -1] / np.maximum(rows, 1)}
    measured["shape"] = measure_distance(table[:, :-1], others[..., :-1], groups)
    if binning.kind == "number":
        measured["level"] = table[:, :-1] @ score_bins(binning, pool) / np.maximum(known, 1)
    return measured


def _find_noise(name: str, binning: Binning, pool: Counts, size: Floats) -> tuple[float, float]:
    """Return the sampling variance and the bias in the square of a block of one row."""
    if name == "missing":
        share = float(pool[-1]) / max(float(pool.sum()), 1.0)
        # Where nothing was missing, a quarter of a row a block counts as noise.
        return max(share * (1 - share), 0.25 / max(float(size.mean()) if len(size) else 1.0, 1.0)), 0.0
    if name == "shape":
        used = int(np.unique(group_bins(binning, pool)[pool[:-1] > 0]).size)
        return 1 / 16, max(used - 1, 0.5) / 8
    scores = score_bins(binning, pool)
    known = max(float(pool[:-1].sum()), 1.0)
    mean = float(pool[:-1] @ scores) / known
    return float(pool[:-1] @ (scores - mean) ** 2) / known, 0.0


def _find_thresholds(z: Floats, block_s: float, alarms_per_year: float, seed: int) -> Floats:
    steps = max(round(_YEAR_S / block_s), 1)
    blocks, width = z.shape
    chance = min(alarms_per_year / width, 0.5)
    draw = np.random.default_rng([seed, 1])
    # Mean and spread were themselves learnt from few blocks: each year has its own error of both.
    offset = draw.normal(0, blocks**-0.5, (_YEARS, width))
    scale = np.sqrt((blocks - 1) / draw.chisquare(blocks - 1, (_YEARS, width)))
    maxima = np.zeros((_YEARS, width))
    sums = np.zeros((_YEARS, width))
    for row in draw_blocks(blocks, steps, _YEARS, seed).T:
        sums = np.maximum(sums + z[row] * scale + offset - SLACK, 0.0)
        np.maximum(maxima, sums, out=maxima)
    ordered = np.sort(maxima, axis=0)
    weights = (np.arange(_YEARS) / (_YEARS - 1))[:, None]
    first, second = ordered.mean(axis=0), (ordered * weights).mean(axis=0)
    spread = np.maximum((2 * second - first) / np.log(2), 1e-9)
    fitted = first - _EULER * spread - spread * np.log(-np.log1p(-chance))
    simulated = np.maximum(fitted, np.quantile(ordered, 1 - chance, axis=0))
    return np.asarray(np.maximum(simulated, _find_floor(steps / chance)))


def _find_floor(run_length: float) -> float:
    """Return the threshold that standard normal blocks pass once in that many (Siegmund's approximation)."""
    reach = 1.0
    for _ in range(50):
        reach = math.log(2 * SLACK**2 * run_length + 1 + 2 * SLACK * reach) / (2 * SLACK)
    return reach - 1.166


def draw_blocks(blocks: int, steps: int, years: int, seed: int) -> NDArray[np.int64]:
    """Draw years of block numbers from a reference in runs of seven, as a circle.

    Returns
    -------
    array (years, steps)
    """
    starts = np.random.default_rng(seed).integers(blocks, size=(years, -(-steps // _RUN_BLOCKS)))
    drawn: NDArray[np.int64] = ((starts[:, :, None] + np.arange(_RUN_BLOCKS)) % blocks).reshape(years, -1)[:, :steps]
    return drawn


def _count_rows(profile: Profile) -> list[int]:
    first = next(iter(profile.binnings), None)
    return [] if first is None else [int(rows) for rows in profile.table(first).sum(axis=1)]
