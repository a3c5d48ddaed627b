"""Drift on made data: silence without drift, speed with it, the same answer in one call or many."""

import msgspec
import numpy as np
import pytest

from mainspring.domain.errors import Invalid
from mainspring.monitoring.baselines import make_baseline
from mainspring.monitoring.drift import DriftState, follow_drift
from mainspring.monitoring.profiles import Binning, make_profile

DAY_S = 86_400.0


def make_days(seed, days, rows=1000, shift=0.0, new_level=0.0, missing=0.0):
    """Return columns with a benign effect of each day, and their times."""
    draw = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    x = draw.normal(size=len(day)) + draw.normal(0, 0.02, days)[day] + shift
    y = np.exp(draw.normal(size=len(day)) * 2)
    y[draw.uniform(size=len(y)) < 0.02 + missing] = np.nan
    c = draw.choice(["a", "b", "c"], len(day), p=[0.6, 0.3, 0.1])
    c[draw.uniform(size=len(c)) < new_level] = "d"
    return {"x": x, "y": y, "c": c}, day * DAY_S + draw.uniform(0, DAY_S, len(day))


@pytest.fixture(scope="module")
def baseline():
    return make_baseline(make_profile(*make_days(7, 60)), alarms_per_year=1)


def profile_like(baseline, columns, times):
    binnings = {name: each.binning for name, each in baseline.columns.items()}
    return make_profile(columns, times, binnings=binnings)


def follow(baseline, columns, times, until=1e9):
    return follow_drift(baseline, profile_like(baseline, columns, times), DriftState(), until)[0]


def test_over_many_references_the_budget_holds_on_days_never_seen():
    alarms = []
    for seed in range(500, 520):
        learnt = make_baseline(make_profile(*make_days(seed, 60)), alarms_per_year=1)
        alarms.append(len(follow(learnt, *make_days(seed + 200, 365))))
    print("alarms a year, seeds 500-519 and 700-719:", alarms, "mean", np.mean(alarms))
    assert np.mean(alarms) <= 1


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_a_shift_of_a_tenth_of_a_standard_deviation_is_found_within_days(baseline, seed):
    found = follow(baseline, *make_days(seed, 20, shift=0.1))
    print("seed", seed, [(each.subject, each.event_time / DAY_S, each.evidence["statistic"]) for each in found])
    assert [each.subject for each in found] == ["x"]
    assert found[0].event_time <= 8 * DAY_S
    assert found[0].evidence["statistic"] == "level+"
    assert found[0].evidence["since"] <= found[0].event_time
    assert sum(found[0].evidence["before"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "column", "statistic"), [({"new_level": 0.05}, "c", "shape+"), ({"missing": 0.05}, "y", "missing+")]
)
def test_new_levels_and_missing_values_are_found(baseline, change, column, statistic):
    found = follow(baseline, *make_days(31, 20, **change))
    assert [(each.subject, each.evidence["statistic"]) for each in found] == [(column, statistic)]
    assert found[0].event_time <= 4 * DAY_S


def test_many_calls_give_what_one_call_gives(baseline):
    columns, times = make_days(41, 40, shift=0.08)
    whole = profile_like(baseline, columns, times)
    at_once, last = follow_drift(baseline, whole, DriftState(), 40 * DAY_S)
    state, found = DriftState(), []
    for until in np.arange(3.5, 43.5, 2.5) * DAY_S:
        past = times <= until
        profile = profile_like(baseline, {name: values[past] for name, values in columns.items()}, times[past])
        new, state = follow_drift(baseline, profile, state, min(float(until), 40 * DAY_S))
        state = msgspec.json.decode(msgspec.json.encode(state), type=DriftState)
        found += new
    assert found == at_once
    assert state == last


def test_a_block_that_has_not_ended_waits(baseline):
    columns, times = make_days(51, 3, shift=5.0)
    found, state = follow_drift(baseline, profile_like(baseline, columns, times), DriftState(), 1.5 * DAY_S)
    assert state.next_block == 1
    assert all(each.event_time <= DAY_S for each in found)


def test_an_alarm_is_raised_once_and_again_after_a_return_to_the_usual(baseline):
    columns, times = make_days(61, 90)
    day = np.floor(times / DAY_S)
    columns["x"] = columns["x"] + np.where((day < 20) | (day >= 70), 0.5, 0.0)
    found = [each for each in follow(baseline, columns, times) if each.subject == "x"]
    assert found[0].event_time <= 3 * DAY_S
    assert len(found) == 2
    assert found[1].evidence["since"] >= 69 * DAY_S


def test_a_short_reference_is_refused():
    with pytest.raises(Invalid, match="13 blocks") as error:
        make_baseline(make_profile(*make_days(1, 13)), alarms_per_year=1)
    assert error.value.code == "MON-003"


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(Invalid) as error:
        make_baseline(make_profile(*make_days(1, 20)), alarms_per_year=0)
    assert error.value.code == "MON-006"


def test_a_column_without_any_value_never_alarms_while_it_stays_so():
    columns, times = make_days(3, 30)
    columns["empty"] = np.full(len(times), np.nan)
    baseline = make_baseline(make_profile(columns, times), alarms_per_year=1)
    assert baseline.columns["empty"].binning == Binning("number")
    assert follow(baseline, {**columns}, times) == []
