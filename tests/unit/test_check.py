"""A check on made data: what it finds, what it hands on, and that nothing later than `until` counts."""

import dataclasses

import msgspec
import numpy as np
import pytest

from mainspring.domain.errors import Invalid
from mainspring.monitoring.check import Labels, Requests, Settings, State, check, learn
from mainspring.monitoring.policy import Attempt, Rule
from mainspring.sdk.monitors import Monitor

DAY_S = 86_400.0
MONTH_S = 30 * DAY_S
RULE = Rule(cost=100.0, gain_per_doubling=0.01, renewals_per_year=5)
SETTINGS = Settings(labels="outcomes", key="id", target="late", event_time="at", alarms_per_year=2, policy=RULE)


def make_rows(seed, days, start=0, rows=200, shift=0.0, drift=0.0):
    """Return times, the one input, what a well-made model says and what happens when `shift` moves the odds."""
    draw = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows) + start
    x = draw.normal(size=len(day)) + drift
    said = 1 / (1 + np.exp(1.5 - x))
    happened = draw.uniform(size=len(day)) < 1 / (1 + np.exp(1.5 - x - shift))
    return day * DAY_S + np.sort(draw.uniform(0, DAY_S, (days, rows))).ravel(), x, said, happened.astype(float)


@pytest.fixture(scope="module")
def reference():
    times, x, _, _ = make_rows(1, 45)
    return learn({"x": x}, times, SETTINGS)


def make_month(seed, month, model="m@1", **changes):
    times, x, said, happened = make_rows(seed, 30, start=45 + 30 * month, **changes)
    keys = np.array([f"k{month}-{number}" for number in range(len(times))], dtype=object)
    return Requests(times, {"x": x}, said, np.full(len(times), model, dtype=object), keys), Labels(
        keys, happened, times
    )


def until_of(month):
    return (75 + 30 * month) * DAY_S


def test_a_quiet_month_decides_nothing_and_scores_its_estimate(reference):
    requests, labels = make_month(11, 0)
    outcome = check(reference, requests, labels, State(), SETTINGS, model="m@1", until=until_of(0))
    facts = outcome.performance
    assert outcome.alarms == []
    assert not outcome.decision.renew
    assert facts["requests"] == facts["labelled"] == 6000
    assert facts["estimated"]["auc"]["value"] == pytest.approx(facts["realised"]["auc"]["value"], abs=0.02)
    assert abs(facts["estimator"]["log_loss"]) < 0.02
    assert facts["estimator"]["log_loss_held"]
    assert outcome.state.calibration.said


def test_rows_without_a_prediction_count_as_requests_alone(reference):
    requests, labels = make_month(11, 0)
    said = requests.probabilities.copy()
    said[::10] = np.nan
    gaps = dataclasses.replace(requests, probabilities=said)
    outcome = check(reference, gaps, labels, State(), SETTINGS, model="m@1", until=until_of(0))
    assert (outcome.performance["requests"], outcome.performance["labelled"]) == (6000, 5400)
    assert outcome.performance["estimated"]["rows"] == outcome.performance["realised"]["rows"] == 5400
    assert outcome.state.periods[0].rows == 5400
    assert msgspec.json.decode(msgspec.json.encode(outcome.state), type=State) == outcome.state


def test_a_change_of_the_odds_alarms_and_asks_for_a_renewal(reference):
    requests, labels = make_month(12, 0, shift=1.2)
    outcome = check(reference, requests, labels, State(), SETTINGS, model="m@1", until=until_of(0))
    assert [(each.kind, each.subject) for each in outcome.alarms] == [
        ("performance", "log_loss"),
        ("regret", "log_loss"),
    ]
    assert outcome.decision.renew
    assert outcome.decision.evidence["gap"] > 0.05
    assert outcome.performance["estimated"]["log_loss"]["value"] < outcome.performance["realised"]["log_loss"]["low"]
    again = check(
        reference, requests, labels, State(), SETTINGS, model="m@1", until=until_of(0),
        attempts=tuple(Attempt(number * DAY_S, promoted=True) for number in range(5)),
    )  # fmt: skip
    assert not again.decision.renew
    assert "5 renewals a year" in again.decision.cause


def test_a_change_of_an_input_is_drift_and_no_reason_to_renew(reference):
    requests, labels = make_month(13, 0, drift=0.3)
    outcome = check(reference, requests, labels, State(), SETTINGS, model="m@1", until=until_of(0))
    assert [(each.kind, each.subject) for each in outcome.alarms] == [("drift", "x")]
    assert not outcome.decision.renew


def test_calibration_learnt_in_one_month_mends_the_estimate_of_the_next(reference):
    first, its_labels = make_month(14, 0, shift=0.8)
    second, next_labels = make_month(15, 1, shift=0.8)
    one = check(reference, first, its_labels, State(), SETTINGS, model="m@1", until=until_of(0))
    labels = Labels(*(np.concatenate(pair) for pair in zip(
        (its_labels.keys, its_labels.outcomes, its_labels.times),
        (next_labels.keys, next_labels.outcomes, next_labels.times), strict=True)))  # fmt: skip
    two = check(reference, second, labels, one.state, SETTINGS, model="m@1", until=until_of(1))
    assert abs(two.performance["estimator"]["log_loss"]) < abs(one.performance["estimator"]["log_loss"]) / 3
    assert two.performance["estimator"]["calibrated"]
    assert len(two.state.periods) == 2


def test_rows_after_until_change_nothing_to_the_byte(reference):
    requests, labels = make_month(16, 0, shift=0.5)
    until = until_of(0) - 10.5 * DAY_S
    poison = requests.times > until
    assert 0 < poison.sum() < len(poison)
    wild = Requests(
        requests.times,
        {"x": np.where(poison, 1e6, requests.columns["x"])},
        np.where(poison, 0.999, requests.probabilities),
        np.where(poison, "other@9", requests.models).astype(object),
        requests.keys,
    )
    lies = Labels(labels.keys, np.where(labels.times > until, 1 - labels.outcomes, labels.outcomes), labels.times)
    plain = check(reference, requests, labels, State(), SETTINGS, model="m@1", until=until)
    poisoned = check(reference, wild, lies, State(), SETTINGS, model="m@1", until=until)
    assert msgspec.json.encode(plain) == msgspec.json.encode(poisoned)


def test_state_travels_as_json_and_overlapping_rows_do_no_harm(reference):
    requests, labels = make_month(17, 0, shift=0.4)
    half = until_of(0) - 15.2 * DAY_S
    one = check(reference, requests, labels, State(), SETTINGS, model="m@1", until=half)
    state = msgspec.convert(msgspec.to_builtins(one.state), State)
    all_rows = check(reference, requests, labels, state, SETTINGS, model="m@1", until=until_of(0))
    later = requests.times > state.drift.next_block * DAY_S - 1
    some_rows = check(reference, requests.select(later), labels, state, SETTINGS, model="m@1", until=until_of(0))
    assert msgspec.json.encode(all_rows) == msgspec.json.encode(some_rows)
    assert one.performance["labelled"] + all_rows.performance["labelled"] == 6000


def test_labels_that_come_late_are_waited_for(reference):
    requests, labels = make_month(18, 0)
    early = labels.times < until_of(0) - 20 * DAY_S
    known = Labels(labels.keys[early], labels.outcomes[early], labels.times[early])
    one = check(reference, requests, known, State(), SETTINGS, model="m@1", until=until_of(0))
    assert one.performance["labelled"] == early.sum()
    two = check(reference, requests, labels, one.state, SETTINGS, model="m@1", until=until_of(0) + 1)
    assert two.performance["labelled"] == (~early).sum()
    nothing = check(reference, requests, Labels(*(each[:0] for each in (labels.keys, labels.outcomes, labels.times))),
                    State(), SETTINGS, model="m@1", until=until_of(0))  # fmt: skip
    assert not nothing.decision.renew
    assert nothing.state.labelled_until is None


def test_a_new_model_begins_anew_and_needs_rows_of_its_own(reference):
    requests, labels = make_month(19, 0, shift=1.2)
    one = check(reference, requests, labels, State(), SETTINGS, model="m@1", until=until_of(0))
    following, its_labels = make_month(20, 1, shift=1.2)
    two = check(reference, following, its_labels, one.state, SETTINGS, model="m@2", until=until_of(1))
    assert two.state.periods == []
    assert not two.decision.renew
    assert two.performance["labelled"] == 6000


def test_requests_without_outcome_count_as_asked_only(reference):
    requests, labels = make_month(21, 0)
    kept = np.arange(len(labels.keys)) % 4 != 0
    outcome = check(
        reference, requests, Labels(labels.keys[kept], labels.outcomes[kept], labels.times[kept]), State(), SETTINGS,
        model="m@1", until=until_of(0),
    )  # fmt: skip
    assert outcome.performance["requests"] == 6000
    assert outcome.performance["labelled"] == kept.sum()


def test_without_drift_and_labels_there_is_an_estimate_only():
    times, x, _, _ = make_rows(1, 5)
    settings = Settings(event_time="at", drift=False)
    requests, _ = make_month(22, 0)
    outcome = check(learn({"x": x}, times, settings), requests, None, State(), settings, model="m@1", until=until_of(0))
    assert outcome.alarms == []
    assert "estimated" in outcome.performance
    assert "realised" not in outcome.performance
    assert not outcome.decision.renew


def test_a_monitor_is_a_value_that_a_check_reads():
    body = Monitor(labels="outcomes", key="id", target="late", event_time="at", delay="2d", cost=500).body()
    settings = msgspec.convert({name: value for name, value in body.items() if value is not None}, Settings)
    assert settings.delay_s == 2 * DAY_S
    assert settings.policy.cost == 500
    assert settings.context == [{"name": "id", "datatype": "BYTES"}, {"name": "at", "datatype": "BYTES"}]
    assert msgspec.json.decode(msgspec.json.encode(body)) == body


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        ({"labels": "outcomes", "target": "late", "event_time": "at"}, "MON-005", "without key"),
        ({"labels": "outcomes", "key": "id", "event_time": "at"}, "MON-005", "without target"),
        ({"labels": "outcomes", "key": "id", "target": "late"}, "MON-005", "event_time"),
        ({"event_time": "at", "alarms_per_year": 0}, "MON-006", "alarms_per_year=0"),
        ({"event_time": "at", "cost": 0}, "MON-006", "cost=0"),
        ({"event_time": "at", "alarms_per_year": float("nan")}, "MON-006", "alarms_per_year=nan"),
        ({"event_time": "at", "gain_per_doubling": -1}, "MON-006", "gain_per_doubling=-1"),
        ({"event_time": "at", "performance": "maybe"}, "MON-006", "maybe"),
        ({"event_time": "at", "horizon": "soon"}, "RUN-003", "soon"),
    ],
)
def test_a_monitor_that_cannot_work_is_refused(arguments, code, what):
    with pytest.raises(Invalid, match=what) as error:
        Monitor(**arguments)
    assert error.value.code == code
