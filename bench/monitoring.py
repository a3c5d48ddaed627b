"""What it costs to compare a million rows with a reference that was learnt before."""

from __future__ import annotations

import time

import numpy as np

from bench.figures import Figure
from mainspring.monitoring.baselines import make_baseline
from mainspring.monitoring.drift import DriftState, follow_drift
from mainspring.monitoring.profiles import make_profile

ROWS, NUMBERS, CATEGORIES, DAYS, SEED = 1_000_000, 15, 5, 60, 7


def measure_drift(repeats: int) -> list[Figure]:
    """Profile a million rows of twenty columns and follow their drift."""
    draw = np.random.default_rng(SEED)
    times = np.sort(draw.uniform(0, DAYS * 86_400.0, ROWS))
    levels = np.array([f"level {number}" for number in range(30)], dtype=object)
    columns = {f"number {number}": draw.normal(size=ROWS).astype(np.float32) for number in range(NUMBERS)}
    columns |= {f"category {number}": levels[draw.integers(30, size=ROWS)] for number in range(CATEGORIES)}
    baseline = make_baseline(make_profile(columns, times), alarms_per_year=2)
    binnings = {name: each.binning for name, each in baseline.columns.items()}
    spent = []
    for _ in range(min(repeats, 3)):
        began = time.process_time()
        follow_drift(baseline, make_profile(columns, times, binnings=binnings), DriftState(), 1e9)
        spent.append(time.process_time() - began)
    return [Figure("drift of 1M rows x 20 columns", spent, "s", 1.5, "CPU, against a learnt baseline")]
