"""What a search may spend, as properties: nobody overdraws, whenever runs begin."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.errors import Invalid
from mainspring.tuning.budgets import Budget, Prices, Spent, Use, add_up, find_reached, lasts_s
from mainspring.tuning.repeats import SHARE, TOP, count_repeated, count_whole

AMOUNTS = st.floats(0.01, 10)
LIMITS = st.one_of(st.none(), AMOUNTS)
BUDGETS = st.builds(Budget, trials=st.just(100), hours=LIMITS, gpu_hours=LIMITS, cost=LIMITS)
PRICES = st.builds(Prices, st.floats(0, 2), st.floats(0, 5))
WORK = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 4), st.floats(0, 7200), st.floats(1, 7200)), max_size=5)
"""(cpus, gpus, begins after s, takes s)"""


def use_at(now_s, work):
    return [
        Use(cpus, gpus, min(max(now_s - begin, 0), takes), live=now_s < begin + takes)
        for cpus, gpus, begin, takes in work
    ]


@given(BUDGETS, PRICES, WORK)
def test_whoever_looks_again_in_time_never_overdraws(budget, prices, work):
    now_s = 0.0
    for _ in range(200):
        uses = use_at(now_s, work)
        spent = add_up(uses, prices, hours=now_s / 3600)
        for name in ("hours", "gpu_hours", "cost"):
            limit = getattr(budget, name)
            assert limit is None or getattr(spent, name) <= limit * (1 + 1e-9) + 1e-12
        if find_reached(budget, spent) is not None or not any(use.live for use in uses):
            return
        wait_s = lasts_s(budget, spent, uses, prices)
        now_s += min(wait_s, 60.0) if wait_s > 1e-6 else 1e-6
        if wait_s <= 1e-6:
            return  # the rest is below a microsecond


@given(BUDGETS, PRICES, WORK)
def test_what_is_spent_grows(budget, prices, work):
    spent = [add_up(use_at(now_s, work), prices, hours=now_s / 3600) for now_s in (0, 100, 10_000)]
    assert spent == sorted(spent)
    reached = [find_reached(budget, each) is not None for each in spent]
    assert reached == sorted(reached)


def test_without_limits_of_time_it_lasts():
    use = Use(1, 1, 10, live=True)
    assert lasts_s(Budget(trials=1), Spent(), [use], Prices(1, 1)) == math.inf
    assert lasts_s(Budget(gpu_hours=1), Spent(gpu_hours=0.5), [use, use], Prices()) == 900
    assert lasts_s(Budget(cost=3.0), Spent(cost=4.0), [use], Prices(1, 1)) == 0


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf, "ten", True])
@pytest.mark.parametrize("name", ["trials", "hours", "gpu_hours", "cost"])
def test_a_limit_that_is_none_is_refused(name, limit):
    with pytest.raises(Invalid, match="TUNE-005"):
        Budget(**{name: limit})
    with pytest.raises(Invalid, match="TUNE-005"):
        Budget()
    with pytest.raises(Invalid, match="TUNE-005"):
        Budget(trials=1.5)


@given(st.integers(1, 500), st.integers(0, 10))
def test_runs_on_fresh_seeds_take_a_fifth_at_most(trials, repeats):
    top = count_repeated(trials, repeats)
    assert top * repeats * SHARE <= trials
    assert top in {0, *range(2, TOP + 1)}
    assert count_repeated(None, repeats) == (TOP if repeats else 0)


@given(st.lists(st.lists(st.sampled_from(["succeeded", "failed", "cancelled"]), min_size=3, max_size=3), max_size=5))
def test_only_seeds_that_all_were_run_on_count(states):
    count = count_whole(states)
    assert all("cancelled" not in each for each in states[:count])
    assert count == len(states) or "cancelled" in states[count]
