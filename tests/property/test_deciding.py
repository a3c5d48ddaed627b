"""Decisions over traces of any kind: what they promise, and that time alone moves them."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine
from mainspring.compute.scheduling.entitlements import Entitlement
from mainspring.compute.scheduling.figures import sum_up
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.policies import POLICIES
from mainspring.compute.scheduling.shares import Shares
from mainspring.compute.scheduling.simulation import Arrival, simulate
from mainspring.compute.scheduling.state import State

OURS = msgspec.structs.replace(POLICIES["mainspring"], threshold_gpu_s=50.0, calm_s=5.0, patience_s=40.0)
RULES = [OURS, *(policy for name, policy in POLICIES.items() if name != "mainspring")]

machines = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 4)), min_size=1, max_size=4).map(
    lambda found: [
        Machine(f"m{number}", cores * 1000, 0, gpus, pool=f"p{number % 2}")
        for number, (cores, gpus) in enumerate(found)
    ]
)
one = st.tuples(st.integers(0, 4000), st.sampled_from(((0, WHOLE), (1, 500), (1, WHOLE), (2, WHOLE), (4, WHOLE))))
asked = st.tuples(one, st.integers(1, 2)).map(lambda told: Demand(told[0][0], 0, *told[0][1], (), told[1]))
arrivals = st.lists(
    st.tuples(st.sampled_from(("a", "b", "c/x", "c/y")), asked, st.integers(0, 100), st.integers(0, 60)), max_size=25
).map(
    lambda found: [
        Arrival(
            f"r{number:02d}",
            tenant,
            demand._replace(nodes=1 if demand.shares else demand.nodes),
            float(at),
            float(length),
        )
        for number, (tenant, demand, at, length) in enumerate(found)
    ]
)


@given(machines, arrivals, st.sampled_from(RULES), st.integers(0, 3))
def test_every_run_that_could_start_ends_and_no_device_is_given_twice(machines, arrivals, policy, seed):
    if policy.placement == "random":
        arrivals = [msgspec.structs.replace(each, demand=each.demand._replace(nodes=1)) for each in arrivals]
    told = simulate(machines, arrivals, policy, seed=seed, checkpoint_s=10.0, restart_s=1.0)
    assert len(told.courses) + told.refused == len(arrivals)
    for course in told.courses:
        assert not math.isnan(course.ended_s), course
        assert course.ended_s - course.began_s >= course.arrival.duration_s - 1e-6
        assert course.began_s >= course.arrival.at_s
    gpus = sum(machine.gpus for machine in machines)
    assert told.gpu_s_held <= gpus * told.span_s + 1e-6
    figures = sum_up(told, gpus, policy.name, seed)
    assert 0 <= figures.goodput <= figures.utilisation + 1e-9
    assert 0 < figures.jain <= 1 + 1e-9
    assert told == simulate(machines, arrivals, policy, seed=seed, checkpoint_s=10.0, restart_s=1.0)


@given(machines, arrivals, st.data())
def test_nothing_that_fits_is_left_waiting_and_only_long_runs_give_way_to_short_ones(machines, arrivals, data):
    state = State(machines, OURS, Mix.of(each.demand for each in arrivals))
    now = 0.0
    for arrival in sorted(arrivals, key=lambda each: each.at_s):
        if not state.cluster.could_hold(arrival.demand):
            continue
        now = max(now, arrival.at_s)
        state.submit(Job(arrival.run_id, arrival.tenant, arrival.demand, now))
        if state.running and data.draw(st.booleans()):
            state.stop(data.draw(st.sampled_from(sorted(state.running))), now)
        decisions = decide(state, now)
        for victim in decisions.preempted:
            assert state.is_long(victim.used_gpu_s(now))
            assert now - victim.since_s >= OURS.calm_s
            used = victim.used_gpu_s(now)
            state.submit(msgspec.structs.replace(victim.job, used_gpu_s=used))
        if decisions.preempted:
            assert any(not state.is_long(state.running[each.run_id].job.used_gpu_s) for each in decisions.begun)
        for begun in decisions.begun:
            names = {spot.machine for spot in begun.spots}
            assert len(names) == state.running[begun.run_id].job.demand.nodes
            assert len({state.machines[name].pool for name in names}) == 1
        gave_way = {each.job.run_id for each in decisions.preempted}
        for job in state.backlog:
            if job.run_id not in gave_way:
                assert state.find(job.demand) is None, job


@pytest.mark.parametrize("patient", [False, True])
def test_a_gang_starts_under_a_stream_of_small_runs_that_never_ends(patient):
    """Small runs overlap, so that no machine is ever free by itself; the gang asks for both."""
    machines = [Machine("m0", 8000, 0, 2), Machine("m1", 8000, 0, 2)]
    small, gang = Demand(0, gpus=1), Demand(0, gpus=2, nodes=2)
    arrivals = [Arrival(f"s{number:04d}", "a", small, number * 5.0, 22.0) for number in range(400)]
    arrivals.append(Arrival("gang", "b", gang, 7.0, 10.0))
    policy = msgspec.structs.replace(POLICIES["best-fit"], patience_s=100.0 if patient else 0.0)
    told = simulate(machines, arrivals, policy)
    gang_began = next(course.began_s for course in told.courses if course.arrival.run_id == "gang")
    if patient:
        # It is overdue at 107; of the four runs on its machines none is replaced, and each lasts 22.
        assert gang_began <= 107 + 22 + 5
    else:
        assert gang_began >= 400 * 5


def test_machines_are_kept_for_one_run_after_the_other():
    machines = [Machine("m0", 8000, 0, 1)]
    arrivals = [Arrival(f"r{number}", "a", Demand(0, gpus=1), float(number), 10.0) for number in range(6)]
    told = simulate(machines, arrivals, msgspec.structs.replace(OURS, preempts=False))
    assert [course.began_s for course in told.courses] == [0, 10, 20, 30, 40, 50]


def test_short_runs_pass_long_ones_that_go_on_from_their_checkpoints():
    machines = [Machine("m0", 8000, 0, 1)]
    arrivals = [
        Arrival("long", "a", Demand(0, gpus=1), 0.0, 1000.0),
        Arrival("short", "b", Demand(0, gpus=1), 100.0, 10.0),
    ]
    told = simulate(machines, arrivals, OURS, checkpoint_s=30.0, restart_s=5.0)
    long, short = told.courses
    assert short.began_s == 100
    assert long.attempts == 2
    assert long.lost_gpu_s == 10  # of 100 seconds 90 were saved
    assert long.ended_s == 110 + 5 + 910
    assert told.preemptions == 1


def test_the_first_come_closes_the_door_when_nobody_may_pass():
    machines = [Machine("m0", 8000, 0, 2)]
    arrivals = [
        Arrival("a", "t", Demand(0, gpus=1), 0.0, 10.0),
        Arrival("b", "t", Demand(0, gpus=2), 1.0, 10.0),
        Arrival("c", "t", Demand(0, gpus=1), 2.0, 10.0),
    ]
    began = {
        name: [c.began_s for c in simulate(machines, arrivals, POLICIES[name]).courses] for name in ("fifo", "best-fit")
    }
    assert began["fifo"] == [0, 10, 20]
    assert began["best-fit"] == [0, 12, 2]


def test_the_shortest_goes_first_when_it_is_known():
    machines = [Machine("m0", 8000, 0, 1)]
    lengths = (50.0, 30.0, 10.0)
    arrivals = [
        Arrival(f"r{number}", "t", Demand(0, gpus=1), float(number), each) for number, each in enumerate(lengths)
    ]
    told = simulate(machines, arrivals, POLICIES["sjf"])
    assert [course.began_s for course in told.courses] == [0, 60, 50]


def test_tenants_share_by_weight_and_what_they_had_is_remembered():
    machines = [Machine("m0", 0, 0, 4)]
    shares = Shares(machines, half_life_s=100.0, entitlements={"b": Entitlement(2.0)})
    gpu = Demand(0, gpus=1)
    for tenant in ("a", "b", "lab/x", "lab/y"):
        shares.start(tenant, gpu, 0.0)
    assert shares.score("a", 0.0) == (0.25,)
    assert shares.score("b", 0.0) == (0.125,)
    assert shares.score("lab/x", 0.0) == (0.5, 0.25)
    shares.end("a", gpu, 100.0)
    assert shares.score("a", 100.0)[0] == pytest.approx(0.125)
    assert shares.score("a", 200.0)[0] == pytest.approx(0.0625)


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=20))
def test_the_mean_of_what_was_held_is_the_integral(changes):
    """In closed form from change to change, or summed in small steps."""
    shares, held, mean, now, step = Shares([Machine("m", 0, 0, 10)], half_life_s=20.0), 0, 0.0, 0.0, 0.01
    rate = math.log(2) / 20
    for wait, starts in changes:
        for _ in range(round(wait / step)):
            mean += rate * step * (held - mean)
        now += wait
        if starts:
            shares.start("t", Demand(0, gpus=1), now)
            held += 1
        elif held:
            shares.end("t", Demand(0, gpus=1), now)
            held -= 1
    assert shares.score("t", now)[0] == pytest.approx((mean + held) / 10, abs=0.01)


def test_a_run_is_submitted_once_and_can_be_taken_out():
    state = State([Machine("m", 1000, 0, 0)], OURS)
    state.submit(Job("r", "t", Demand(1000), 0.0))
    with pytest.raises(ValueError, match="there already"):
        state.submit(Job("r", "t", Demand(1000), 0.0))
    assert state.stop("r", 0.0) is None
    assert decide(state, 1.0).begun == ()
    assert state.stop("nobody", 0.0) is None
