"""Guarantees, limits, weights and priorities of tenants, over any course of runs."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine
from mainspring.compute.scheduling.entitlements import Entitlement
from mainspring.compute.scheduling.fitting import explain_wait
from mainspring.compute.scheduling.policies import LIVE
from mainspring.compute.scheduling.shares import measure
from mainspring.compute.scheduling.state import State

NONE = (math.inf, math.inf, math.inf)
PATHS = ("a", "a/x", "a/y", "b", "b/x")
TENANTS = ("a/x", "a/y", "b/x", "c/x")
RULES = msgspec.structs.replace(LIVE, calm_s=5.0, patience_s=60.0, hold_s=10.0, threshold_gpu_s=40.0, graceful=False)

gpu = st.integers(0, 6).map(lambda count: count * WHOLE)
agreed = st.dictionaries(
    st.sampled_from(PATHS),
    st.builds(
        Entitlement,
        weight=st.sampled_from([0.5, 1.0, 2.0]),
        priority=st.sampled_from([None, 0, 1]),
        guarantee=gpu.map(lambda milli: (0, 0, milli)),
        limit=st.one_of(st.just(NONE), gpu.map(lambda milli: (math.inf, math.inf, milli))),
    ),
    max_size=4,
)
steps = st.lists(
    st.tuples(
        st.sampled_from(TENANTS),
        st.sampled_from([(1, 500), (1, WHOLE), (2, WHOLE), (4, WHOLE), (0, WHOLE)]),
        st.integers(1, 2),
        st.integers(0, 12),
        st.integers(0, 3),
    ),
    max_size=30,
)


def read_held(state):
    """What each path holds, counted from the runs themselves."""
    held = {}
    for running in state.running.values():
        parts = running.job.tenant.split("/")
        for length in range(len(parts)):
            path = "/".join(parts[: length + 1])
            before = held.get(path, (0, 0, 0))
            held[path] = tuple(a + b for a, b in zip(before, measure(running.job.demand), strict=True))
    return held


@given(agreed, steps)
def test_limits_hold_guarantees_are_kept_and_who_reclaims_is_within_its_own(agreed, steps):
    state = State([Machine("m0", 64_000, 0, 4), Machine("m1", 64_000, 0, 4)], RULES, agreed=agreed)
    now = 0.0
    for number, (tenant, (gpus, milli), count, wait, ends) in enumerate(steps):
        now += wait
        for run_id in [*state.running][:ends]:
            state.stop(run_id, now)
        demand = Demand(1000, 0, gpus, milli, (), 1 if milli < WHOLE or not gpus else count)
        state.submit(Job(f"r{number:02d}", tenant, demand, now, saves=bool(number % 3)))
        before, jobs = read_held(state), {job.run_id: job for job in state.backlog}
        decisions = decide(state, now)
        after = read_held(state)
        for path, told in agreed.items():
            had, has = before.get(path, (0, 0, 0)), after.get(path, (0, 0, 0))
            assert all(amount <= most for amount, most in zip(has, told.limit, strict=True))
            if decisions.preempted:
                assert has[2] >= min(had[2], told.guarantee[2])
        for victim in decisions.preempted:
            assert now - victim.since_s >= RULES.calm_s
            state.submit(msgspec.structs.replace(victim.job, used_gpu_s=victim.used_gpu_s(now)))
        for begun in decisions.begun:
            assert len({spot.machine for spot in begun.spots}) == jobs[begun.run_id].demand.nodes
        for free in state.cluster:
            assert all(0 <= milli <= WHOLE for milli in free.devices)
        assert state.calm_until_s <= now + RULES.calm_s


@given(agreed, steps.map(lambda found: found[:10]))
def test_preemption_comes_to_rest_when_nothing_arrives(agreed, steps):
    """Who gave way waits again at once; still only so many give way as there are runs, and then nobody any more."""
    state = State([Machine("m0", 64_000, 0, 4)], RULES, agreed=agreed)
    for number, (tenant, (gpus, milli), _, _, _) in enumerate(steps):
        state.submit(Job(f"r{number:02d}", tenant, Demand(1000, 0, gpus, milli), float(number)))
    # Until each has been given its devices for so long that it is long, one after the other, with halves of a device.
    now, preempted = 100.0, 0
    until = now + 2 * RULES.threshold_gpu_s * (len(steps) + 1)
    while now < until:
        decisions = decide(state, now)
        preempted += len(decisions.preempted)
        for victim in decisions.preempted:
            state.submit(msgspec.structs.replace(victim.job, used_gpu_s=victim.used_gpu_s(now)))
        now += RULES.calm_s
    assert preempted <= 4 * len(steps)
    for _ in range(5):
        now += RULES.calm_s
        assert decide(state, now).preempted == ()


def submit(state, run_id, tenant, gpus=1, at=0.0, **values):
    state.submit(Job(run_id, tenant, Demand(1000, gpus=gpus), at, **values))


def begun(state, now):
    return [each.run_id for each in decide(state, now).begun]


def test_a_limit_bounds_all_below_and_is_told():
    state = State([Machine("m", 64_000, 0, 8)], RULES, agreed={"a": Entitlement(limit=(math.inf, math.inf, 2 * WHOLE))})
    for number, tenant in enumerate(("a/x", "a/y", "a/x", "b/x")):
        submit(state, f"r{number}", tenant, at=float(number))
    assert sorted(begun(state, 5.0)) == ["r0", "r1", "r3"]
    (waiting,) = state.backlog
    assert explain_wait(state, waiting) == "waiting for the quota of a: it holds 2 gpus of 2 gpus"
    state.stop("r1", 6.0)
    assert begun(state, 7.0) == ["r2"]


def test_a_run_that_its_limit_forbids_keeps_no_machine():
    state = State([Machine("m", 64_000, 0, 2)], RULES, agreed={"a": Entitlement(limit=(math.inf, math.inf, 0))})
    submit(state, "never", "a/x", gpus=2)
    submit(state, "one", "b/x", at=100.0)
    assert begun(state, 200.0) == ["one"]
    assert state.kept is None


def test_what_is_guaranteed_is_taken_back_from_who_borrowed_it_checkpoints_first():
    state = State([Machine("m", 64_000, 0, 4)], RULES, agreed={"b": Entitlement(guarantee=(0, 0, 2 * WHOLE))})
    for number in range(4):
        submit(state, f"a{number}", "a/x", saves=number == 1)
    assert begun(state, 0.0) == ["a0", "a1", "a2", "a3"]
    for number in range(3):
        submit(state, f"b{number}", "b/x", at=10.0 + number)
    decisions = decide(state, 20.0)
    assert [each.job.run_id for each in decisions.preempted] == ["a1", "a0"]
    assert [each.run_id for each in decisions.begun] == ["b0", "b1"]
    assert decide(state, 24.0).preempted == ()


def test_the_greater_priority_goes_first_and_is_taken_from_the_nearest_above():
    agreed = {"a": Entitlement(priority=1), "a/y": Entitlement(priority=-1)}
    state = State([Machine("m", 64_000, 0, 1)], RULES, agreed=agreed)
    for number, tenant in enumerate(("a/y", "b/x", "a/x")):
        submit(state, tenant, tenant, at=float(number))
    order = []
    for now in (5.0, 6.0, 7.0):
        order += begun(state, now)
        state.stop(order[-1], now)
    assert order == ["a/x", "b/x", "a/y"]


@pytest.mark.parametrize(("weight", "expected"), [(1.0, 6), (3.0, 9)])
def test_tenants_get_by_weight(weight, expected):
    state = State([Machine("m", 64_000, 0, 12)], RULES, agreed={"a": Entitlement(weight)})
    for number in range(12):
        submit(state, f"a{number:02d}", "a/x")
        submit(state, f"b{number:02d}", "b/x")
    assert sum(run_id.startswith("a") for run_id in begun(state, 1.0)) == expected
