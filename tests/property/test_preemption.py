"""Runs that give way with a grace: what they hold is theirs until they have ended, then it is for whom they left."""

import math

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Spot
from mainspring.compute.scheduling.entitlements import Entitlement
from mainspring.compute.scheduling.policies import LIVE
from mainspring.compute.scheduling.shares import measure
from mainspring.compute.scheduling.state import State

CALM_S, GRACE_S = 5.0, 3.0
RULES = msgspec.structs.replace(LIVE, calm_s=CALM_S, hold_s=10.0, patience_s=1e6, threshold_gpu_s=200.0)
PATHS = ("a", "a/x", "b", "b/x", "c")
TENANTS = ("a/x", "a/y", "b/x", "c/x")

agreed = st.dictionaries(
    st.sampled_from(PATHS),
    st.builds(
        Entitlement,
        weight=st.sampled_from([0.5, 1.0, 2.0]),
        priority=st.sampled_from([None, None, 1]),
        guarantee=st.integers(0, 4).map(lambda count: (0, 0, count * WHOLE)),
        limit=st.just((math.inf, math.inf, math.inf)),
    ),
    max_size=3,
)
asked = st.lists(
    st.tuples(
        st.sampled_from(TENANTS),
        st.sampled_from([(1, 500), (1, WHOLE), (1, WHOLE), (2, WHOLE), (4, WHOLE)]),
        st.integers(0, 40),
        st.sampled_from([True, True, False]),
    ),
    min_size=1,
    max_size=16,
)


class Course:
    """A live queue in which nothing ends but by giving way, and that takes its time to."""

    def __init__(self, agreed, machines=2):
        self.state = State([Machine(f"m{at}", 64_000, 0, 4) for at in range(machines)], RULES, agreed=agreed)
        self.now = 0.0
        self.going = {}
        self.preemptions = 0

    def step(self):
        """Let a second pass, end what gave way long enough ago, decide."""
        state, self.now = self.state, self.now + 1.0
        for run_id, ends in [*self.going.items()]:
            if ends <= self.now:
                del self.going[run_id]
                ended = state.stop(run_id, self.now)
                state.submit(msgspec.structs.replace(ended.job, used_gpu_s=ended.used_gpu_s(self.now)))
        for running in state.running.values():
            running.saved_s = math.floor(self.now / 7) * 7.0 if running.job.saves else None
        held = read_held(state)
        decisions = decide(state, self.now)
        for victim in decisions.preempted:
            assert victim is state.running[victim.job.run_id]  # it keeps its place
            assert victim.gives_way
            assert self.now - victim.since_s >= CALM_S
            self.going[victim.job.run_id] = self.now + GRACE_S
            self.preemptions += 1
        self.check(held, decisions)
        return decisions

    def check(self, held, decisions):
        state = self.state
        for free in state.cluster:
            here = [(run.job.demand, spot) for run in state.running.values() for spot in run.spots]
            here = [(demand, spot.devices) for demand, spot in here if spot.machine == free.machine.name]
            for device in range(free.machine.gpus):
                assert sum(demand.gpu_milli for demand, devices in here if device in devices) <= WHOLE
        if decisions.preempted:  # once all that give way have ended, everybody has what is guaranteed, or had less
            left = read_held(state, self.going)
            for path, told in state.agreed.items():
                had, has = held.get(path, 0), left.get(path, 0)
                assert has >= min(had - self.count_going(path, decisions), told.guarantee[2])

    def count_going(self, path, decisions):
        """Return what of a path was told to end before this decision."""
        new = {victim.job.run_id for victim in decisions.preempted}
        jobs = [self.state.running[run_id].job for run_id in self.going if run_id not in new]
        return sum(measure(job.demand)[2] for job in jobs if f"{job.tenant}/".startswith(f"{path}/"))


def read_held(state, without=()):
    """Return path -> thousandths of devices that it holds."""
    held = {}
    for run_id, running in state.running.items():
        parts = running.job.tenant.split("/")
        for length in range(len(parts)):
            path = "/".join(parts[: length + 1])
            milli = 0 if run_id in without else measure(running.job.demand)[2]
            held[path] = held.get(path, 0) + milli
    return held


@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # to shrink it takes minutes
@given(agreed, asked)
def test_ten_minutes_in_which_nothing_arrives_come_to_rest(agreed, asked):
    course = Course(agreed)
    for number, (tenant, (gpus, milli), wait, saves) in enumerate(asked):
        for _ in range(wait):
            course.step()
        job = Job(f"r{number:02d}", tenant, Demand(1000, 0, gpus, milli), course.now, saves=saves)
        course.state.submit(job)
    for _ in range(420):
        course.step()
    before = course.preemptions
    for _ in range(180):
        course.step()
    assert course.preemptions == before
    assert not course.state.promised
    assert before <= 6 * len(asked) + 8


def submit(state, run_id, tenant, gpus=1, at=0.0, **values):
    state.submit(Job(run_id, tenant, Demand(1000, gpus=gpus), at, **values))


def give_way(state, now):
    return [(each.job.run_id, each.gives_way) for each in decide(state, now).preempted]


def test_who_is_due_waits_until_the_last_one_that_gives_way_has_ended_and_nobody_comes_between():
    state = State([Machine("m", 64_000, 0, 4)], RULES, agreed={"b": Entitlement(guarantee=(0, 0, 2 * WHOLE))})
    for number in range(4):
        submit(state, f"a{number}", "a/x", saves=number > 0)
    decide(state, 0.0)
    for number, running in enumerate(state.running.values()):
        running.saved_s = None if not number else 10.0 + number
    submit(state, "b", "b/x", gpus=2, at=11.0)
    submit(state, "late", "a/x", at=11.5)
    assert give_way(state, 20.0) == [("a3", "b"), ("a2", "b")]  # they lose least
    assert len(state.running) == 4
    assert give_way(state, 30.0) == []  # what is on its way is enough
    state.stop("a3", 31.0)
    assert decide(state, 31.0).begun == ()  # one device is free: it is promised
    state.stop("a2", 32.0)
    assert [each.run_id for each in decide(state, 32.0).begun] == ["b"]


def test_what_others_leave_already_is_given_once():
    state = State([Machine("m", 64_000, 0, 4)], RULES, agreed={"b": Entitlement(guarantee=(0, 0, 4 * WHOLE))})
    for number in range(4):
        submit(state, f"a{number}", "a/x")
    decide(state, 0.0)
    submit(state, "b0", "b/x", at=10.0)
    assert give_way(state, 10.0) == [("a0", "b0")]
    submit(state, "b1", "b/x", at=11.0)
    assert give_way(state, 12.0) == []  # its tenant made others give way just now
    assert give_way(state, 10.0 + CALM_S) == [("a1", "b1")]


def test_a_run_that_has_gone_leaves_its_promise_to_others():
    state = State([Machine("m", 64_000, 0, 1)], RULES, agreed={"b": Entitlement(guarantee=(0, 0, WHOLE))})
    submit(state, "a", "a/x")
    decide(state, 0.0)
    submit(state, "b", "b/x", at=10.0)
    assert give_way(state, 10.0) == [("a", "b")]
    state.stop("b", 11.0)  # cancelled
    submit(state, "c", "c/x", at=12.0)
    state.stop("a", 13.0)
    assert [each.run_id for each in decide(state, 13.0).begun] == ["c"]


@pytest.mark.parametrize(
    ("values", "machine"),
    [({"preemptible": False}, {}), ({}, {"delegated": True}), ({"saves": False}, {})],
    ids=["others wait for it", "a queue of its own", "nothing saved"],
)
def test_shares_are_levelled_but_not_at_every_price(values, machine):
    state = State([Machine("m", 64_000, 0, 4, **machine)], RULES)
    for number in range(4):
        submit(state, f"a{number}", "a/x", **values)
    decide(state, 0.0)
    for number in range(4):
        submit(state, f"b{number}", "b/x", at=10.0)
    assert give_way(state, 10.0) == []


def test_shares_are_levelled_and_no_further():
    state, gone = State([Machine("m", 64_000, 0, 4)], RULES), []
    for number in range(4):
        submit(state, f"a{number}", "a/x")
    decide(state, 0.0)
    for number in range(4):
        submit(state, f"b{number}", "b/x", at=10.0)
    now = 10.0
    while now < 100.0:
        for run_id, _ in give_way(state, now):
            gone.append(run_id)
            state.submit(state.stop(run_id, now).job)
        now += 1.0
    assert gone == ["a0", "a1"]
    assert sorted(state.running) == ["a2", "a3", "b0", "b1"]


def test_a_state_made_anew_keeps_what_was_promised():
    before = State([Machine("m", 64_000, 0, 2)], RULES, agreed={"b": Entitlement(guarantee=(0, 0, 2 * WHOLE))})
    for number in range(2):
        submit(before, f"a{number}", "a/x")
    decide(before, 0.0)
    submit(before, "b", "b/x", gpus=2, at=10.0)
    assert len(give_way(before, 10.0)) == 2
    state = State([Machine("m", 64_000, 0, 2)], RULES, agreed=before.agreed)
    state.remember(before)
    job = before.running["a1"].job
    state.note(job, (Spot("m", (1,)),), 0.0, 11.0)
    state.running["a1"].gives_way = "b"
    submit(state, "b", "b/x", gpus=2, at=10.0)
    submit(state, "late", "a/x", at=11.0)
    assert decide(state, 12.0).begun == ()
    state.stop("a1", 13.0)
    assert [each.run_id for each in decide(state, 13.0).begun] == ["b"]
