"""Zones, owners, rented machines and budgets, over any course of runs."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.bursting import explain_rents
from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Rent
from mainspring.compute.scheduling.fitting import explain_wait
from mainspring.compute.scheduling.policies import LIVE, POLICIES
from mainspring.compute.scheduling.simulation import Arrival, simulate
from mainspring.compute.scheduling.state import State
from mainspring.compute.scheduling.traces import read_arrivals, read_machines
from mainspring.domain.errors import Invalid

OWNERS = ("a", "b/x")
TENANTS = ("a/x", "a/y", "b/x", "b/y")
RENTS = (None, Rent(2.0, 10.0, 5.0), Rent(1.0, 0.0, 0.0))

machines = st.lists(
    st.tuples(
        st.sampled_from([1000, 4000]),
        st.integers(0, 3),
        st.sampled_from(["A100", "T4"]),
        st.sampled_from([("home", None), ("lab", None), ("cloud", RENTS[1]), ("spot", RENTS[2])]),
        st.sampled_from(["", "site", "site"]),
        st.sampled_from(["", "", "", *OWNERS]),
    ),
    min_size=1,
    max_size=5,
).map(
    lambda found: [
        Machine(f"m{at}", cores, 0, gpus, kind, pool, pool != "home", zone, owner, rent)
        for at, (cores, gpus, kind, (pool, rent), zone, owner) in enumerate(found)
    ]
)
steps = st.lists(
    st.tuples(
        st.sampled_from(TENANTS),
        st.sampled_from([(0, WHOLE), (1, 500), (1, WHOLE), (2, WHOLE)]),
        st.sampled_from([(), (), ("A100",)]),
        st.integers(1, 2),
        st.sampled_from(["", "", "", "cloud"]),
        st.sampled_from(["", "site"]),
        st.integers(0, 8),
        st.integers(0, 2),
    ),
    max_size=25,
)


def make_demand(tenant, devices, kinds, nodes, pool, zone):
    owners = tuple(path for path in OWNERS if f"{tenant}/".startswith(f"{path}/"))
    gpus, milli = devices
    return Demand(500, 0, gpus, milli, kinds if gpus else (), nodes if milli == WHOLE else 1, pool, zone, owners)


def list_free(machines, running, demand):
    """Of each machine at home that may take a demand, what is free: counted from the runs themselves."""
    found = []
    for machine in machines:
        may = machine.rent is None and demand.pool in {"", machine.pool} and demand.zone in {"", machine.zone}
        may = may and (not machine.owner or machine.owner in demand.owners)
        if not may or (demand.gpus and demand.gpu_types and machine.gpu_type not in demand.gpu_types):
            continue
        devices, cores = [WHOLE] * machine.gpus, machine.cpu_milli
        for each in running:
            for spot in each.spots:
                if spot.machine == machine.name:
                    cores -= each.job.demand.cpu_milli
                    for device in spot.devices:
                        devices[device] -= each.job.demand.gpu_milli
        found.append((machine, cores, devices))
    return found


def idles(machines, running, demand):
    """Whether something that a demand might use is free at home, which could hold it if it were empty."""
    found = list_free(machines, running, demand)
    could = Counter(
        machine.pool for machine, _, _ in found if machine.cpu_milli >= demand.cpu_milli and machine.gpus >= demand.gpus
    )
    if max(could.values(), default=0) < demand.nodes:  # a gang is in one pool
        return False
    if demand.gpus:
        return any(milli >= demand.gpu_milli for _, _, devices in found for milli in devices)
    return any(cores >= demand.cpu_milli for _, cores, _ in found)


@given(machines, steps, st.sets(st.sampled_from(["a", "b/x"])), st.sampled_from([LIVE, POLICIES["mainspring"]]))
def test_nothing_leaves_its_zone_and_nothing_is_rented_while_home_idles(machines, steps, spent, policy):
    state = State(machines, policy)
    state.renting.spent = frozenset(spent)
    known, used_at, now = {each.name: each for each in machines}, {}, 0.0
    for number, (*asked, wait, ends) in enumerate(steps):
        now += wait
        for run_id in [*state.running][:ends]:
            for spot in state.stop(run_id, now).spots:
                used_at[spot.machine] = now
        tenant, demand = asked[0], make_demand(*asked)
        state.submit(Job(f"r{number:02d}", tenant, demand, now))
        before = {*state.running}
        decisions = decide(state, now)
        started = [state.running[each.run_id] for each in decisions.begun]
        busy = {spot.machine for run_id in before for spot in state.running[run_id].spots if run_id in state.running}
        for running in started:
            job = running.job
            for spot in running.spots:
                machine = known[spot.machine]
                assert job.demand.zone in {"", machine.zone}
                assert not machine.owner or f"{job.tenant}/".startswith(f"{machine.owner}/")
                if machine.rent is None:
                    continue
                assert not any(path in spent for path in (job.tenant, job.tenant[0]))
                if job.demand.pool:
                    continue  # it was asked for by name
                assert not idles(machines, state.running.values(), job.demand)
                lately = now - used_at.get(machine.name, -1e9) < machine.rent.idle_s
                waited = now - job.submitted_s >= machine.rent.after_s
                assert waited or lately or machine.name in busy or machine.name in {
                    other.machine for each in started if each is not running for other in each.spots
                }  # fmt: skip
            assert len({known[spot.machine].pool for spot in running.spots if known[spot.machine].rent}) <= 1
        for free in state.cluster:
            assert all(0 <= milli <= WHOLE for milli in free.devices)


HOME = Machine("home", 64_000, 0, 8, "A100", "home")
CLOUD = Machine("cloud", 64_000, 0, 8, "A100", "cloud", True, rent=Rent(2.5, 600.0, 300.0))


def submit(state, run_id, gpus=1, at=0.0, tenant="a/x", **asked):
    state.submit(Job(run_id, tenant, Demand(0, gpus=gpus, **asked), at))


def begin(state, now):
    return {each.run_id: each.spots[0].machine for each in decide(state, now).begun}


def explain(state, run_id, now):
    return explain_rents(state, next(job for job in state.backlog if job.run_id == run_id), now)


def test_a_machine_is_rented_after_the_wait_and_taken_by_others_until_it_has_been_idle():
    state = State([HOME, CLOUD], LIVE)
    submit(state, "all", 8)
    submit(state, "one", at=10.0)
    submit(state, "two", at=20.0)
    assert begin(state, 30.0) == {"all": "home"}
    assert explain(state, "one", 200.0) == ["cloud: waits 3min, bursts after 10min"]
    assert begin(state, 609.0) == {}
    # The second has not waited as long, and goes where a machine is rented already.
    assert begin(state, 610.0) == {"one": "cloud", "two": "cloud"}
    for run_id in ("one", "two"):
        state.stop(run_id, 700.0)
    submit(state, "three", at=900.0)
    assert begin(state, 900.0) == {"three": "cloud"}
    state.stop("three", 1000.0)
    assert state.renting.describe("cloud", 1100.0) == "0 in use, 1 idle, given back after 5min"
    submit(state, "four", at=1300.0)
    assert begin(state, 1300.0) == {}
    assert state.renting.describe("cloud", 1300.0) == (
        "given back; a run that has waited 10min rents one while home is full"
    )
    assert begin(state, 1900.0) == {"four": "cloud"}


def test_nothing_is_rented_for_what_home_has_too_little_of_while_some_is_free():
    state = State([HOME, CLOUD], LIVE)
    submit(state, "six", 6)
    assert begin(state, 0.0) == {"six": "home"}
    submit(state, "four", 4, at=0.0)
    assert begin(state, 5000.0) == {}
    assert explain(state, "four", 5000.0) == ["cloud: home has 2 of 8 gpus free"]
    submit(state, "typed", 4, at=0.0, gpu_types=("A100",))
    assert explain(state, "typed", 5000.0) == ["cloud: home has 2 of 8 A100 free"]
    submit(state, "large", 16, at=0.0)
    assert explain(state, "large", 5000.0) == ["cloud: none of its machines could hold it"]


def test_who_may_not_pay_or_be_there_is_told():
    state = State([HOME, CLOUD._replace(owner="b")], LIVE)
    submit(state, "all", 8)
    begin(state, 0.0)
    submit(state, "secret", zone="site")
    submit(state, "mine")
    submit(state, "poor", tenant="b/y", owners=("b",))
    state.renting.spent = frozenset({"b"})
    assert begin(state, 1000.0) == {}
    assert explain(state, "secret", 1000.0) == ["cloud: it may not hold what is sensitive"]
    assert explain(state, "mine", 1000.0) == ["cloud: it takes runs of b alone"]
    assert explain(state, "poor", 1000.0) == ["cloud: the budget of b is spent"]
    state.renting.spent = frozenset()
    assert begin(state, 1001.0) == {"poor": "cloud"}


def test_a_pool_that_is_asked_for_by_name_is_rented_at_once_while_there_is_money():
    state = State([HOME, CLOUD], LIVE)
    state.renting.spent = frozenset({"a/x"})
    submit(state, "named", pool="cloud")
    submit(state, "other", tenant="a/y", pool="cloud")
    assert begin(state, 0.0) == {"other": "cloud"}
    (named,) = state.backlog
    assert explain_wait(state, named) == "waiting for the pool cloud: the budget of a/x is spent"


def test_the_cheaper_pool_is_rented_first():
    cheap = CLOUD._replace(name="cheap", pool="cheap", gpus=1, rent=Rent(1.0, 600.0, 300.0))
    state = State([CLOUD, cheap], LIVE)
    for number in range(3):
        submit(state, f"r{number}")
    assert begin(state, 600.0) == {"r0": "cheap", "r1": "cloud", "r2": "cloud"}


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_gang_is_not_split_between_home_and_what_is_rented(nodes):
    rented = [CLOUD._replace(name=f"c{number}") for number in range(nodes)]
    state = State([HOME, *rented], LIVE)
    submit(state, "gang", 8, nodes=2)
    begun = decide(state, 601.0).begun
    assert [{spot.machine for spot in each.spots} for each in begun] == ([{"c0", "c1"}] if nodes == 2 else [])


arrivals = st.lists(
    st.tuples(st.sampled_from(TENANTS), st.integers(0, 2), st.sampled_from(["", "site"]), *[st.integers(0, 60)] * 2),
    max_size=25,
).map(
    lambda found: [
        Arrival(f"r{at:02d}", tenant, Demand(500, gpus=gpus, zone=zone), float(came), float(length))
        for at, (tenant, gpus, zone, came, length) in enumerate(found)
    ]
)


@given(machines, arrivals, st.sampled_from([LIVE, *POLICIES.values()]))
def test_a_played_trace_has_no_start_off_site_and_none_that_is_rented_while_home_idles(machines, arrivals, policy):
    machines = [machine._replace(owner="") for machine in machines]
    told = simulate(machines, arrivals, policy, checkpoint_s=10.0, restart_s=1.0)
    assert (told.off_site, told.idle_bursts) == (0, 0)
    assert not any(math.isnan(course.ended_s) for course in told.courses)
    prices = [machine.rent.price for machine in machines if machine.rent]
    assert 0.0 <= told.cost <= 2 * sum(prices) * told.span_s / 3600 + 1e-9  # one by its cores, others by devices


def test_what_a_trace_rents_is_paid_by_the_part_and_the_hour():
    arrivals = [Arrival(name, "a", Demand(0, gpus=gpus), 0.0, 7200.0) for name, gpus in (("a", 8), ("b", 4))]
    told = simulate([HOME, CLOUD], arrivals, LIVE)
    assert [course.began_s for course in told.courses] == [0.0, 600.0]
    assert told.cost == 2 * 2.5 * 4 / 8


def test_a_trace_says_what_is_rented_and_what_stays(tmp_path):
    nodes, runs = tmp_path / "nodes.csv", tmp_path / "runs.csv"
    nodes.write_text(
        "sn,cpu_milli,memory_mib,gpu,model,pool,zone,price,burst_after\nh,8000,0,1,T4,,site,,\nc,8000,0,1,T4,cloud,,2.5,60\n"
    )
    runs.write_text(
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,creation_time,deletion_time,zone\n"
        "a,0,0,1,1000,,0,100,\nb,0,0,1,1000,,0,100,site\nc,0,0,1,1000,,0,100,\n"
    )
    home, cloud = read_machines(nodes)
    assert (home.zone, home.rent, cloud.pool, cloud.rent) == ("site", None, "cloud", Rent(2.5, 60.0))
    assert [each.demand.zone for each in read_arrivals(runs)] == ["", "site", ""]
    told = simulate([home, cloud], read_arrivals(runs), POLICIES["best-fit"])
    assert [course.began_s for course in told.courses] == [0.0, 100.0, 60.0]
    nodes.write_text("sn,cpu_milli,memory_mib,gpu,model,price\nh,8000,0,1,T4,dear\n")
    with pytest.raises(Invalid, match="SIM-001") as caught:
        read_machines(nodes)
    assert "price is 'dear'" in caught.value.what
