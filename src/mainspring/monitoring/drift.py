"""Drift: cumulative sums of how unusual each block is, in event time."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from mainspring.monitoring.baselines import MIN_ROWS, SLACK, Baseline, ColumnBaseline, standardise
from mainspring.monitoring.findings import Finding
from mainspring.monitoring.profiles import DAY_S, Profile


class ColumnState(msgspec.Struct):
    """Where the cumulative sums of a column stand.

    Attributes
    ----------
    sums : dict of str to float
        By series, >= 0.
    since : int or None
        The block in which the present excursion began.
    alarmed : bool
        It has alarmed since then; it alarms again only after a return to the usual.
    after : list of int
        Counts by bin since then.
    """

    sums: dict[str, float] = {}
    since: int | None = None
    alarmed: bool = False
    after: list[int] = []


class DriftState(msgspec.Struct):
    """Where the monitor stands.

    Attributes
    ----------
    next_block : int or None
        First block that was not looked at; None: begin with the first there is.
    columns : dict of str to ColumnState
        By column.
    """

    next_block: int | None = None
    columns: dict[str, ColumnState] = {}


def follow_drift(
    baseline: Baseline, profile: Profile, state: DriftState, until: float
) -> tuple[list[Finding], DriftState]:
    """Go through the blocks that have ended and were not looked at.

    Parameters
    ----------
    baseline : Baseline
        What is usual.
    profile : Profile
        Counts with the baseline's bins and blocks.
    state : DriftState
        As the call before returned it; it is not changed.
    until : float
        Event time; blocks that end later wait for the next call.

    Returns
    -------
    list of Finding
        A finding for each column that left the usual, in order of time.
    DriftState
        For the next call.

    Notes
    -----
    Page's one-sided sums ``max(0, s + z - 0.75)``; two calls give what one call over both spans gives.
    """
    ready = [
        (number, block)
        for number, block in enumerate(profile.blocks)
        if (block + 1) * baseline.block_s <= until and (state.next_block is None or block >= state.next_block)
    ]
    positions = [number for number, _ in ready]
    findings: list[Finding] = []
    columns = dict(state.columns)
    for name, usual in baseline.columns.items():
        table = profile.table(name)[positions]
        series = standardise(usual, table)
        current = msgspec.convert(msgspec.to_builtins(columns.get(name, ColumnState())), ColumnState)
        for row, (_, block) in enumerate(ready):
            if table[row].sum() < MIN_ROWS:
                continue
            z = {key: round(float(values[row]), 6) for key, values in series.items()}
            if _advance(usual, current, z, block, table[row].tolist()):
                findings.append(_describe(name, usual, current, z, block, baseline))
        columns[name] = current
    following = int(np.floor(until / baseline.block_s))
    following = following if state.next_block is None else max(following, state.next_block)
    return sorted(findings, key=lambda each: (each.event_time, each.subject)), DriftState(following, columns)


def _advance(usual: ColumnBaseline, column: ColumnState, z: dict[str, float], block: int, counts: list[int]) -> bool:
    """Bring a column's sums behind one block; tell whether it alarms now."""
    for key, threshold in usual.thresholds.items():
        # Twice the threshold is enough to stand on; more would keep a column that recovered alarmed for long.
        column.sums[key] = min(max(column.sums.get(key, 0.0) + z[key] - SLACK, 0.0), 2 * threshold)
    if not any(column.sums.values()):
        column.since, column.alarmed, column.after = None, False, []
        return False
    if column.since is None:
        column.since, column.after = block, [0] * len(counts)
    column.after = [old + new for old, new in zip(column.after, counts, strict=True)]
    over = any(column.sums[key] >= threshold for key, threshold in usual.thresholds.items())
    fires = over and not column.alarmed
    column.alarmed = column.alarmed or over
    return fires


def _describe(
    name: str, usual: ColumnBaseline, column: ColumnState, z: dict[str, float], block: int, baseline: Baseline
) -> Finding:
    assert column.since is not None
    key = max(usual.thresholds, key=lambda each: column.sums[each] / usual.thresholds[each])
    blocks = block - column.since + 1
    evidence: dict[str, Any] = {
        "column": name,
        "statistic": key,
        "since": column.since * baseline.block_s,
        "blocks": blocks,
        "z": round(z[key], 3),
        "cumulative": round(column.sums[key], 3),
        "threshold": round(usual.thresholds[key], 3),
        "alarms_per_year": baseline.alarms_per_year,
        "reference_blocks": baseline.blocks,
        "bins": usual.binning.labels,
        "before": _shares(usual.pool),
        "after": _shares(column.after),
    }
    words = {
        "level+": "is higher", "level-": "is lower", "shape+": "is distributed differently",
        "missing+": "is missing more often", "missing-": "is missing less often",
    }  # fmt: skip
    unit = "day" if baseline.block_s == DAY_S else "block"
    summary = f"{name} {words[key]} than usual for {blocks} {unit}{'s' if blocks > 1 else ''}"
    return Finding("drift", name, summary, evidence, (block + 1) * baseline.block_s)


def _shares(counts: list[int]) -> list[float]:
    total = max(sum(counts), 1)
    return [round(count / total, 5) for count in counts]
