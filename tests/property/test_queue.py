"""Decisions of the live queue: what goes first, what is held back for what is large, and what is told of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.compute.engine import Node
from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Spot
from mainspring.compute.scheduling.fitting import explain_wait, find_misfit, make_demand
from mainspring.compute.scheduling.fragments import Mix
from mainspring.compute.scheduling.line import list_in_line
from mainspring.compute.scheduling.policies import LIVE
from mainspring.compute.scheduling.state import State
from mainspring.domain.records import Resources
from mainspring.domain.states import URGENT

NOW = 1_000.0
GB = 10**9


def machine(name, *has):
    return Machine(name, *has, pool="local")


resources = st.builds(
    Resources,
    cpus=st.sampled_from([0.5, 1.0, 2.0, 3.0]),
    memory_bytes=st.sampled_from([None, 1 * GB, 3 * GB]),
    gpus=st.sampled_from([0.0, 0.0, 0.5, 1.0]),
)
kinds = st.sampled_from(["step", "trial", "gate", "pipeline", "study", "check"])
nodes = st.lists(
    st.tuples(st.sampled_from([1000, 2000, 4000]), st.sampled_from([2 * GB, 8 * GB]), st.sampled_from([0, 2])),
    min_size=1,
    max_size=3,
).map(lambda rows: [machine(f"n{at}", *row) for at, row in enumerate(rows)])


def make_job(run_id, kind, asked, waited, tenant="default/anna"):
    return Job(run_id, tenant, make_demand(kind, asked), NOW - waited, urgent=kind in URGENT)


@st.composite
def states(draw, longest=100.0):
    state = State(draw(nodes), LIVE)
    asks = draw(st.lists(st.tuples(kinds, resources, st.sampled_from(["a/x", "a/y", "b/x"])), max_size=12))
    for at, (kind, asked, tenant) in enumerate(asks):
        state.submit(make_job(f"{at:04d}", kind, asked, draw(st.floats(0.0, longest)), tenant))
    # What runs already was started by an earlier decision.
    if draw(st.booleans()):
        for begun in decide(state, NOW - 200.0).begun:
            if draw(st.booleans()):
                state.stop(begun.run_id, NOW - 100.0)
    return state


def check_capacity(state):
    for free in state.cluster:
        runs = [(run.job.demand, spot) for run in state.running.values() for spot in run.spots]
        here = [(demand, spot.devices) for demand, spot in runs if spot.machine == free.machine.name]
        assert sum(demand.cpu_milli for demand, _ in here) <= free.machine.cpu_milli
        assert sum(demand.memory_bytes for demand, _ in here) <= free.machine.memory_bytes
        for device in range(free.machine.gpus):
            assert sum(demand.gpu_milli for demand, devices in here if device in devices) <= WHOLE


@given(states())
def test_nothing_is_placed_beyond_capacity(state):
    decide(state, NOW)
    check_capacity(state)


@given(states(longest=LIVE.hold_s))
def test_what_fits_is_started_while_nobody_has_waited_too_long(state):
    decide(state, NOW)
    for job in state.backlog:
        assert state.find(job.demand) is None


@given(states())
def test_every_run_that_waits_has_a_place_in_line_and_a_reason(state):
    decide(state, NOW)
    held = {path: list(account.held) for path, account in state.shares._nodes.items()}
    line = list_in_line(state, NOW)
    assert sorted(job.run_id for job in line) == sorted(job.run_id for job in state.backlog)
    assert list_in_line(state, NOW, 3) == line[:3]
    urgent = [job.urgent for job in line]
    assert urgent == sorted(urgent, reverse=True)
    for job in line:
        assert explain_wait(state, job).startswith("waiting ")
    assert {path: state.shares._nodes[path].held for path in held} == held


@given(states())
def test_of_equal_runs_of_a_tenant_the_earlier_never_starts_later(state):
    jobs = [*state.backlog]
    started = {begun.run_id for begun in decide(state, NOW).begun}
    for late in jobs:
        for early in jobs:
            same = (early.tenant, early.demand, early.urgent) == (late.tenant, late.demand, late.urgent)
            if same and early.submitted_s < late.submitted_s and late.run_id in started:
                assert early.run_id in started


@given(states())
def test_a_pipeline_always_has_a_place(state):
    state.submit(make_job("zzzz", "pipeline", Resources(cpus=64.0), 0.0))
    assert "zzzz" in {begun.run_id for begun in decide(state, NOW).begun}


@given(st.lists(st.sampled_from([0.5, 1.0]), min_size=1, max_size=8))
def test_a_large_run_that_has_waited_is_not_passed_over(small):
    state = State([machine("n", 2000, 8 * GB)], LIVE)
    state.note(make_job("a", "step", Resources(), 50.0), (Spot("n"),), NOW - 50.0, NOW - 50.0)
    state.submit(make_job("0000", "step", Resources(cpus=2.0), LIVE.hold_s + 1))
    for at, cpus in enumerate(small, 1):
        state.submit(make_job(f"{at:04d}", "step", Resources(cpus=cpus), 0.0))
    state.submit(make_job("memory", "study", Resources(memory_bytes=GB), 0.0))
    assert [begun.run_id for begun in decide(state, NOW).begun] == ["memory"]
    assert (
        explain_wait(state, Job("j", "a", Demand(1000), 0.0)) == "waiting its turn: a larger run before it starts first"
    )
    state.stop("a", NOW)
    assert decide(state, NOW).begun[0].run_id == "0000"


def test_what_a_run_that_waits_too_long_does_not_lack_is_for_everybody():
    state = State([machine("n", 4000, 8 * GB, 1)], LIVE)
    state.note(make_job("a", "step", Resources(gpus=1), 50.0), (Spot("n", (0,)),), NOW - 50.0, NOW - 50.0)
    state.submit(make_job("gpu", "step", Resources(cpus=3, gpus=1), LIVE.hold_s + 1))
    state.submit(make_job("half", "step", Resources(gpus=0.5), 0.0))
    state.submit(make_job("cores", "step", Resources(cpus=3), 0.0))
    assert [begun.run_id for begun in decide(state, NOW).begun] == ["cores"]


def test_machines_that_are_kept_give_others_what_is_left_and_urgent_runs_what_they_ask():
    day = LIVE.patience_s
    state = State([machine("n", 4000, 8 * GB, 2)], LIVE)
    state.note(make_job("a", "step", Resources(gpus=1), day), (Spot("n", (0,)),), NOW - day, NOW - day)
    state.submit(make_job("old", "step", Resources(cpus=1, gpus=2), day + 1))
    for name, kind, asked in (
        ("part", "step", Resources(gpus=0.5)),
        ("most", "step", Resources(cpus=3)),
        ("rest", "step", Resources(cpus=2)),
        ("gate", "gate", Resources(cpus=1)),
    ):
        state.submit(make_job(name, kind, asked, 0.0))
    assert [begun.run_id for begun in decide(state, NOW).begun] == ["gate"]
    assert state.kept == ("old", ("n",))
    state.stop("gate", NOW)
    assert [begun.run_id for begun in decide(state, NOW).begun] == ["rest"]
    state.stop("a", NOW)
    assert [begun.run_id for begun in decide(state, NOW).begun] == ["old"]


def test_a_parent_that_waits_lends_its_cores():
    state = State([machine("n", 1000, 8 * GB)], LIVE)
    state.note(make_job("a", "step", Resources(), 5.0), (Spot("n"),), NOW, NOW)
    state.submit(make_job("b", "step", Resources(), 0.0))
    assert decide(state, NOW).begun == ()
    state.lend("a", NOW)
    state.lend("a", NOW)
    assert [begun.run_id for begun in decide(state, NOW).begun] == ["b"]
    state.submit(make_job("c", "step", Resources(), 0.0))
    state.lend("a", NOW, lent=False)  # it goes on while its child still runs
    state.stop("b", NOW)
    assert decide(state, NOW).begun == ()
    state.stop("a", NOW)
    assert [begun.run_id for begun in decide(state, NOW).begun] == ["c"]


def test_reasons_name_what_is_missing():
    state = State([machine("local", 2000, 8 * GB)], LIVE)
    state.note(make_job("a", "step", Resources(memory_bytes=4 * GB), 9.0), (Spot("local"),), NOW, NOW)
    assert explain_wait(state, Job("j", "a", Demand(2000), 0.0)) == "waiting for 1 of 2 cpus on local"
    assert explain_wait(state, Job("j", "a", Demand(0, 7 * GB), 0.0)) == "waiting for 3 GB of 7 GB memory on local"
    assert (
        explain_wait(state, Job("j", "a", Demand(0, gpus=1), 0.0))
        == "waiting for the pool local: none of its machines takes runs now"
    )
    lab = State([machine("n0", 2000, GB, 2), machine("n1", 2000, GB, 2)], LIVE)
    lab.note(make_job("a", "step", Resources(gpus=1), 9.0), (Spot("n0", (0,)),), NOW, NOW)
    lab.note(make_job("b", "step", Resources(gpus=2), 9.0), (Spot("n1", (0, 1)),), NOW, NOW)
    lab.note(make_job("c", "step", Resources(gpus=0.75), 9.0), (Spot("n0", (1,)),), NOW, NOW)
    assert (
        explain_wait(lab, Job("j", "a", Demand(0, gpus=1, gpu_milli=500), 0.0))
        == "waiting for 0.25 of 0.5 gpus on 2 nodes"
    )
    assert explain_wait(lab, Job("j", "a", Demand(0, gpus=2), 0.0)) == "waiting for 2 of 2 gpus on 2 nodes"


def test_tenants_stand_in_line_by_what_they_would_have():
    state = State([machine("n", 4000, 8 * GB)], LIVE)
    for number in range(3):
        state.submit(make_job(f"x{number}", "step", Resources(), 9.0 - number, "a/x"))
        state.submit(make_job(f"y{number}", "step", Resources(), 5.0 - number, "a/y"))
    line = [job.run_id for job in list_in_line(state, NOW)]
    assert line == ["x0", "y0", "x1", "y1", "x2", "y2"]
    assert [begun.run_id for begun in decide(state, NOW).begun] == line[:4]


@given(nodes, kinds, resources)
def test_a_misfit_never_starts_and_a_fit_starts_on_an_empty_pool(machines, kind, asked):
    state = State(machines, LIVE, Mix({}))
    state.submit(make_job("a", kind, asked, 0.0))
    nodes = [Node(each.name, each.cpu_milli / 1000, each.memory_bytes, float(each.gpus)) for each in machines]
    assert bool(decide(state, NOW).begun) == (find_misfit(nodes, kind, asked) == "")


def test_what_may_travel_goes_to_another_pool_when_home_is_full_and_what_asks_for_one_goes_there():
    state = State([machine("local", 1000), Machine("lab/n1", 8000, pool="lab", away=True)], LIVE)
    asks = [("step", Resources()), ("step", Resources()), ("gate", Resources()), ("step", Resources(pool="lab"))]
    for number, (kind, asked) in enumerate(asks):
        state.submit(make_job(f"{number}", kind, asked, 9.0 - number))
    begun = {each.run_id: each.spots[0].machine for each in decide(state, NOW).begun}
    assert begun == {"2": "local", "0": "lab/n1", "1": "lab/n1", "3": "lab/n1"}
    state.submit(make_job("4", "gate", Resources(), 0.0))
    decide(state, NOW)
    assert explain_wait(state, next(iter(state.backlog))) == "waiting for 1 of 1 cpu on local"


@pytest.mark.parametrize(("cpus", "most"), [(2 / 12, 12), (2 / 100, 100), (0.3, 6), (1e-6, 50)])
def test_as_many_run_at_once_as_fit_by_what_they_ask(cpus, most):
    state = State([machine("local", 2000)], LIVE)
    for number in range(most + (2 if cpus > 1e-3 else 0)):
        state.submit(make_job(f"{number}", "step", Resources(cpus=cpus), 0.0))
    assert len(decide(state, NOW).begun) == most


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Resources(cpus=5), "it asks 5 cpus; the largest node, local/big, has 4"),
        (Resources(memory_bytes=32 * GB), "it asks 32 GB of memory; the largest node, local/big, has 16 GB"),
        (Resources(gpus=1), "it asks 1 gpu; the largest node, local/small, has 0"),
        (Resources(gpus=1.5), "it asks 1.5 gpus; whole devices are given, or a part of one"),
        (Resources(), ""),
    ],
)
def test_a_misfit_names_the_largest_node(asked, told):
    pool = [Node("local/small", 2.0, 2 * GB), Node("local/big", 4.0, 16 * GB)]
    assert find_misfit(pool, "step", asked) == told
    assert find_misfit([], "step", asked) == "the pool has no node"
