"""The renewal policy keeps its promises whatever the history."""

from hypothesis import given
from hypothesis import strategies as st

from mainspring.monitoring.policy import YEAR_S, Attempt, History, Period, Rule, decide

DAY_S = 86_400.0
NOW = 1000 * DAY_S

losses = st.floats(0, 5)
periods = st.builds(
    Period,
    start=st.just(NOW - 30 * DAY_S),
    end=st.just(NOW),
    requests=st.integers(0, 10**6),
    rows=st.integers(0, 10**6),
    loss=losses,
    recalibrated=losses,
)
attempts = st.lists(st.builds(Attempt, time=st.floats(0, NOW), promoted=st.booleans()), max_size=8)
histories = st.builds(
    History,
    periods=st.lists(periods, max_size=3).map(tuple),
    attempts=attempts.map(lambda found: tuple(sorted(found, key=lambda each: each.time))),
    rows_then=st.integers(0, 10**7),
    rows_now=st.integers(0, 10**7),
)
rules = st.builds(
    Rule,
    cost=st.none() | st.floats(1e-3, 1e5),
    gain_per_doubling=st.floats(0, 0.5),
    horizon_s=st.floats(DAY_S, 400 * DAY_S),
    cooldown_s=st.floats(0, 100 * DAY_S),
    renewals_per_year=st.integers(0, 12),
)


@given(histories, rules)
def test_cooldown_and_budget_hold(history, rule):
    decision = decide(history, NOW, rule)
    if decision.renew:
        assert not history.attempts or NOW - history.attempts[-1].time >= rule.cooldown_s
        assert sum(NOW - each.time < YEAR_S for each in history.attempts) < rule.renewals_per_year
        assert decision.evidence["regret"] >= decision.evidence["cost"] - 0.2


@given(histories, rules)
def test_it_never_renews_without_information(history, rule):
    blind = History((), history.attempts, history.rows_then, history.rows_now)
    assert not decide(blind, NOW, rule).renew
    if history.periods:
        last = history.periods[-1]
        same = Period(last.start, last.end, last.requests, last.rows, 0.5, 0.5)
        nothing_new = History((same,), history.attempts, history.rows_now, history.rows_now)
        assert not decide(nothing_new, NOW, rule).renew


@given(histories.filter(lambda history: history.periods), rules, st.floats(0, 3))
def test_a_larger_gap_never_takes_a_renewal_back(history, rule, more):
    last = history.periods[-1]
    worse = Period(last.start, last.end, last.requests, last.rows, last.loss + more, last.recalibrated)
    before = decide(history, NOW, rule)
    after = decide(
        History((*history.periods[:-1], worse), history.attempts, history.rows_then, history.rows_now), NOW, rule
    )
    assert after.renew or not before.renew


@given(histories, rules)
def test_it_is_a_function_and_says_why(history, rule):
    decision = decide(history, NOW, rule)
    assert decision == decide(history, NOW, rule)
    assert decision.cause
    if history.periods:
        assert {"gap", "doublings", "regret", "cost", "horizon_rows"} <= decision.evidence.keys()


@given(st.integers(1, 6), st.floats(1, 60))
def test_refusals_in_a_row_slow_it_down(refusals, cooldown_days):
    rule = Rule(cost=1.0, cooldown_s=cooldown_days * DAY_S, renewals_per_year=100)
    history = History(
        (Period(NOW - 30 * DAY_S, NOW, 10_000, 10_000, 0.9, 0.1),),
        tuple(Attempt(NOW - 500 * DAY_S + number, promoted=False) for number in range(refusals)),
    )
    last = history.attempts[-1].time
    wait_s = cooldown_days * DAY_S * 2 ** (refusals - 1)
    assert decide(history, last + wait_s * 1.001, rule).renew
    assert not decide(history, last + wait_s * 0.999, rule).renew
