"""Decisions of the queue, over random states."""

from hypothesis import given
from hypothesis import strategies as st

from mainspring.compute.decide import PATIENCE_S, Placed, Queued, State, cpus_of, decide, find_misfit, has_room, rank_of
from mainspring.compute.engine import Node
from mainspring.domain.records import Resources

NOW = 1_000.0
GB = 10**9

resources = st.builds(
    Resources,
    cpus=st.sampled_from([0.5, 1.0, 2.0, 3.0]),
    memory_bytes=st.sampled_from([None, 1 * GB, 3 * GB]),
    gpus=st.sampled_from([0.0, 0.0, 1.0]),
)
kinds = st.sampled_from(["step", "trial", "gate", "pipeline", "study", "check"])
nodes = st.lists(
    st.tuples(st.sampled_from([1.0, 2.0, 4.0]), st.sampled_from([2 * GB, 8 * GB]), st.sampled_from([0.0, 2.0])),
    min_size=1,
    max_size=3,
).map(lambda rows: tuple(Node(f"local/n{at}", *row) for at, row in enumerate(rows)))


@st.composite
def states(draw, patience=None):
    pool = draw(nodes)
    asks = draw(st.lists(st.tuples(kinds, resources, st.floats(0.0, 100.0)), max_size=12))
    queued = tuple(
        Queued(f"{at:04d}", kind, asked, NOW - (waited if patience is None else min(waited, patience)))
        for at, (kind, asked, waited) in enumerate(asks)
    )
    state = State(pool, queued)
    # What already runs was placed by an earlier decision, so it fits.
    chosen = {start.run_id: start.node for start in decide(state, NOW).starts}
    keep = draw(st.integers(0, len(chosen)))
    names = list(chosen)[:keep]
    placed = tuple(
        Placed(each.run_id, each.kind, each.resources, chosen[each.run_id]) for each in queued if each.run_id in names
    )
    return State(pool, tuple(each for each in queued if each.run_id not in names), placed)


def use(state, decisions):
    asked = {each.run_id: each for each in state.queued}
    used = {node.name: [0.0, 0, 0.0] for node in state.nodes}
    rows = [(each.node, each.kind, each.resources) for each in state.placed]
    rows += [(start.node, asked[start.run_id].kind, asked[start.run_id].resources) for start in decisions.starts]
    for node, kind, want in rows:
        used[node][0] += cpus_of(kind, want)
        used[node][1] += want.memory_bytes or 0
        used[node][2] += want.gpus
    return used


def fits(node, used, run):
    return (
        used[0] + cpus_of(run.kind, run.resources) <= node.cpus
        and used[1] + (run.resources.memory_bytes or 0) <= node.memory_bytes
        and used[2] + run.resources.gpus <= node.gpus
    )


@given(states())
def test_nothing_is_placed_beyond_capacity(state):
    used = use(state, decide(state, NOW))
    for node in state.nodes:
        assert used[node.name][0] <= node.cpus
        assert used[node.name][1] <= node.memory_bytes
        assert used[node.name][2] <= node.gpus


@given(states(patience=PATIENCE_S))
def test_what_fits_is_started_while_nobody_has_waited_too_long(state):
    decisions = decide(state, NOW)
    used = use(state, decisions)
    started = {start.run_id for start in decisions.starts}
    for run in state.queued:
        if run.run_id not in started:
            assert not any(fits(node, used[node.name], run) for node in state.nodes)


@given(states())
def test_every_run_either_starts_or_waits_with_a_reason_and_a_rank(state):
    decisions = decide(state, NOW)
    told = [start.run_id for start in decisions.starts] + [wait.run_id for wait in decisions.waits]
    assert sorted(told) == sorted(run.run_id for run in state.queued)
    assert [wait.rank for wait in decisions.waits] == list(range(1, len(decisions.waits) + 1))
    assert all(wait.reason for wait in decisions.waits)


@given(states())
def test_of_equal_runs_the_earlier_never_starts_later(state):
    started = {start.run_id for start in decide(state, NOW).starts}
    for late in state.queued:
        for early in state.queued:
            same = (rank_of(early.kind), early.resources) == (rank_of(late.kind), late.resources)
            same = same and cpus_of(early.kind, early.resources) == cpus_of(late.kind, late.resources)
            if same and early.run_id < late.run_id and late.run_id in started:
                assert early.run_id in started


@given(st.lists(st.sampled_from([0.5, 1.0]), min_size=1, max_size=8))
def test_a_large_run_that_has_waited_is_not_overtaken(small):
    node = Node("local/n", 2.0, 8 * GB)
    large = Queued("0000", "step", Resources(cpus=2.0), NOW - PATIENCE_S - 1)
    queued = (large, *(Queued(f"{at:04d}", "step", Resources(cpus=ask), NOW) for at, ask in enumerate(small, 1)))
    busy = (Placed("a", "step", Resources(cpus=1.0), "local/n"),)
    assert decide(State((node,), queued, busy), NOW).starts == ()
    first = decide(State((node,), queued), NOW).starts[0]
    assert first.run_id == large.run_id


@given(states())
def test_a_pipeline_always_has_a_place(state):
    pipeline = Queued("zzzz", "pipeline", Resources(cpus=64.0), NOW)
    more = State(state.nodes, (*state.queued, pipeline), state.placed)
    assert "zzzz" in {start.run_id for start in decide(more, NOW).starts}


def test_a_parent_that_waits_lends_its_cores():
    node = Node("local/n", 1.0, 8 * GB)
    child = Queued("b", "step", Resources(), NOW)
    parent = Placed("a", "step", Resources(), "local/n", waits=True)
    assert [start.run_id for start in decide(State((node,), (child,), (parent,)), NOW).starts] == ["b"]


def test_reasons_name_what_is_missing():
    node = Node("local", 2.0, 8 * GB)
    queued = (Queued("b", "step", Resources(cpus=2.0), NOW), Queued("c", "step", Resources(memory_bytes=7 * GB), NOW))
    busy = (Placed("a", "step", Resources(cpus=1.0, memory_bytes=4 * GB), "local"),)
    waits = decide(State((node,), queued, busy), NOW).waits
    assert [wait.reason for wait in waits] == [
        "waiting for 1 of 2 cpus on local",
        "waiting for 3 GB of 7 GB memory on local",
    ]


@given(nodes, kinds, resources)
def test_a_misfit_never_starts_and_a_fit_starts_on_an_empty_pool(pool, kind, asked):
    starts = decide(State(pool, (Queued("a", kind, asked, NOW),)), NOW).starts
    assert bool(starts) == (find_misfit(pool, kind, asked) == "")


@given(states())
def test_without_room_only_what_waits_for_others_starts(state):
    kinds = {run.run_id: run.kind for run in state.queued}
    if not has_room(state):
        assert {kinds[start.run_id] for start in decide(state, NOW).starts} <= {"pipeline", "study"}


def test_a_misfit_names_the_largest_node():
    pool = [Node("local/small", 2.0, 2 * GB), Node("local/big", 4.0, 16 * GB)]
    assert find_misfit(pool, "step", Resources(memory_bytes=32 * GB)) == (
        "it asks 32 GB of memory; the largest node, local/big, has 16 GB"
    )
    assert find_misfit(pool, "step", Resources(gpus=1)) == "it asks 1 gpu; the largest node, local/small, has 0"
