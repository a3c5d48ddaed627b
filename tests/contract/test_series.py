"""Series and what runs are found by, in both dialects: what is kept, what counts once, what is the latest."""

import math
import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from mainspring.control.leases import optimize
from mainspring.domain import messages, tracking
from mainspring.store import runs, series
from mainspring.store.indexes import read_entry


def begin(desk, **options):
    return desk.ask(messages.BeginRun(kind="step", name="fit", **options)).run


def add(desk, run, *points):
    def act(turn):
        series.add_points(turn.connection, runs.get_held(turn.connection, run.id)[1].seq, 1, points)

    desk.call(act)


def read(desk, run, key="loss"):
    return desk.ask(messages.GetSeries(run_id=run.id, key=key))


def latest(desk, run):
    return desk.ask(messages.GetRun(id=run.id)).metrics


def find(desk, text):
    return [run.id for run in desk.ask(messages.SearchRuns(filter=text)).runs]


def test_two_values_of_one_step_and_time_both_stand_and_a_second_delivery_changes_nothing(desk):
    run = begin(desk)
    told = [("loss", 1, 5.0, 0.5), ("loss", 1, 5.0, 0.25), ("loss", 1, 5.0, math.nan)]
    for _ in range(2):
        add(desk, run, *told)
    assert [repr(value) for _, _, value in read(desk, run)] == ["nan", "0.25", "0.5"]


def test_infinities_are_kept_and_compared(desk):
    run = begin(desk)
    add(desk, run, ("loss", 0, 1.0, math.inf), ("loss", 1, 1.0, -math.inf), ("gain", 0, 1.0, math.inf))
    assert [value for _, _, value in read(desk, run)] == [math.inf, -math.inf]
    assert latest(desk, run) == {"loss": -math.inf, "gain": math.inf}
    assert find(desk, "metrics.loss < -1e308 and metrics.gain > 1e308") == [run.id]


def test_nan_fulfils_no_comparison(desk):
    run = begin(desk)
    add(desk, run, ("loss", 0, 1.0, math.nan))
    assert math.isnan(latest(desk, run)["loss"])
    assert find(desk, "metrics.loss >= 0 or metrics.loss < 0") == []


points = st.lists(
    st.tuples(
        st.just("loss"),
        st.integers(0, 3),
        st.sampled_from([1.0, 2.0]),
        st.sampled_from([0.0, 0.5, -1.0, math.inf, math.nan]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(points, min_size=1, max_size=3))
def test_the_latest_is_the_greatest_by_step_time_and_value(desk, batches):
    run = begin(desk)
    for batch in batches:
        add(desk, run, *batch)
    told = [point for batch in batches for point in batch]
    place = max((step, time, 0.0 if math.isnan(value) else value) for _, step, time, value in told)
    found = latest(desk, run)["loss"]
    assert (found == place[2]) or (math.isnan(found) and place[2] == 0.0)
    assert len(read(desk, run)) == len({(step, time, repr(value)) for _, step, time, value in told})


def index(desk, run):
    found = {}

    def act(turn):
        for table in ("param_values", "tag_values"):
            query = (
                f"SELECT series_keys.key, text FROM {table} JOIN series_keys ON series_keys.id = {table}.key "
                f"JOIN runs ON runs.seq = {table}.run WHERE runs.id = :id"
            )
            found[table] = dict(map(tuple, turn.connection.execute(text(query), {"id": run.id})))

    desk.call(act)
    return found["param_values"], found["tag_values"]


def test_what_a_run_is_found_by_follows_what_it_says(desk):
    run = begin(desk, params={"rate": 0.1, "deep": True, "none": None, "list": [1, "x"]}, tags={"team": "a\0b"})
    assert index(desk, run) == ({"rate": "0.1", "deep": "true", "list": '[1,"x"]'}, {"team": "a\ufffdb"})
    assert find(desk, "params.rate <= 0.1 and params.deep = 1 and params.none = null") == [run.id]
    report = {"run_id": run.id, "attempt": run.attempt, "fence": run.fence}
    desk.ask(messages.Report(**report, offset=10, params={"rate": "fast"}, tags={"site": "north"}))
    assert find(desk, "params.rate = fast and tags.site = north") == [run.id]
    desk.ask(tracking.TagRun(run_id=run.id, tags={"site": "south"}, remove=("team",)))
    assert index(desk, run)[1] == {"site": "south"}
    assert find(desk, "tags.site = north or tags.team != x") == []


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_a_number_beyond_floats_is_a_text(value):
    assert read_entry("n", str(value))[2] is None
    assert read_entry("n", 2**63)[2] == 2.0**63


def test_a_change_that_is_undone_leaves_the_index_as_it_was(desk):
    run = begin(desk, tags={"team": "a"})

    def fail(turn):
        runs.change_run(turn.connection, runs.get_run(turn.connection, run.id), tags={"team": "b"})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        desk.call(fail)
    assert index(desk, run)[1] == {"team": "a"}
    assert find(desk, "tags.team = a") == [run.id]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.integers(-50, 400), min_size=1, max_size=120),
    most=st.sampled_from([4, 5, 9, 40, 200]),
    seed=st.integers(0, 2**16),
)
def test_a_series_that_is_thinned_out_keeps_its_ends_and_peaks(desk, steps, most, seed):
    run, source = begin(desk), random.Random(seed)
    values = [0.0, 1.0, -1.0, 99.0, math.nan, math.inf]
    add(desk, run, *(("loss", step, float(place % 3), source.choice(values)) for place, step in enumerate(steps)))
    whole = read(desk, run)
    found = desk.ask(messages.GetSeries(run_id=run.id, key="loss", most=most))
    assert len(found) <= max(most, 4)
    if len(whole) <= most:
        assert repr(found) == repr(whole)
        return
    assert {repr(point) for point in found} <= {repr(point) for point in whole}
    assert (repr(found[0][:2]), repr(found[-1][:2])) == (repr(whole[0][:2]), repr(whole[-1][:2]))
    numbers = [value for *_, value in whole if not math.isnan(value)]
    kept = [value for *_, value in found if not math.isnan(value)]
    assert not numbers or (min(kept), max(kept)) == (min(numbers), max(numbers))
    assert desk.ask(messages.GetSeries(run_id=run.id, key="none", most=most)) == []


def test_statistics_follow_what_grows(desk, record):
    for _ in range(30):
        begin(desk, params={f"p{number}": number for number in range(60)})
    query = {
        "sqlite": "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'param_values'",
        "postgresql": "SELECT count(*) FROM pg_stats WHERE tablename = 'param_values'",
    }[record]
    deadline, known = time.monotonic() + 60, [0]
    while not known[0] and time.monotonic() < deadline:  # PostgreSQL counts what has changed a moment later
        desk.call(optimize)
        desk.call(lambda turn: known.__setitem__(0, turn.connection.execute(text(query)).scalar_one()))
        time.sleep(0.05)
    assert known[0] > 0
