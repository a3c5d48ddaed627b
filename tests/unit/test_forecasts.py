"""When a run will start and what would have it start now, where both can be told by hand."""

from random import Random

import msgspec
import pytest

from mainspring.compute.scheduling.backlog import Job
from mainspring.compute.scheduling.deciding import decide
from mainspring.compute.scheduling.demands import Demand, Machine
from mainspring.compute.scheduling.durations import Durations, Going, Past
from mainspring.compute.scheduling.entitlements import Entitlement
from mainspring.compute.scheduling.forecasts import Margin, forecast, shrink, starts_now, stretch
from mainspring.compute.scheduling.outlooks import look_ahead
from mainspring.compute.scheduling.policies import LIVE
from mainspring.compute.scheduling.remedies import find_remedy
from mainspring.compute.scheduling.sketches import Sketch, sketch
from mainspring.compute.scheduling.state import State

ONE = Demand(1000, gpus=1)
BARE = Margin(0.0, 0.0)
INFINITE = float("inf")


def make_past(lasted, demand=ONE, tenant="air/anna"):
    return [Past(tenant, "fit", demand, -9e5 + number, -9e5 + number, -9e5 + number + each)
            for number, each in enumerate(lasted)]  # fmt: skip


def make_sketch(machines, running=(), asked=ONE, *, agreed=None, drained=(), past=(), now=40.0, tenant="air/anna"):
    """One run waits for `asked` since 0; what runs began at 0."""
    state = State(machines, LIVE, None, agreed or {})
    for number, demand in enumerate(running):
        state.submit(Job(f"held{number}", tenant, demand, 0.0))
    decide(state, 0.0)
    assert len(state.running) == len(running)
    state.submit(Job("mine", tenant, asked, 0.0))
    assert not decide(state, now).begun
    names = dict.fromkeys(("mine", *state.running), "fit")
    return sketch(state, "mine", now, line=list(state.backlog), drained=drained, past=past, names=names)


def test_what_always_lasts_as_long_tells_the_start():
    known = make_sketch([Machine("n", 4000, gpus=1)], [ONE], past=make_past([100.0] * 20))
    found = forecast(known, margin=BARE, samples=10)
    assert (found.low_s, found.half_s, found.high_s) == pytest.approx((60, 60, 60))
    wide = forecast(known, margin=Margin(0.5, 0.5), samples=10)
    assert wide.low_s < 60 < wide.high_s


def test_a_start_lies_between_what_was_seen():
    past = make_past([50.0] * 10 + [340.0] * 10)
    found = forecast(make_sketch([Machine("n", 4000, gpus=1)], [ONE], past=past), margin=BARE, samples=60)
    assert (found.low_s, found.high_s) == pytest.approx((10, 300))


def test_what_runs_longer_than_anything_before_goes_on():
    durations = Durations(make_past([5.0] * 50))
    drawn = [durations.draw("air/anna", "fit", ONE, Random(7), after_s=1000.0) for _ in range(50)]
    assert min(drawn) >= 1000
    assert durations.draw("air/anna", "fit", ONE, Random(7)) == 5.0


def test_the_likest_runs_tell_most():
    others = make_past([900.0] * 8, Demand(1000, gpus=2)) + make_past([70.0] * 99, tenant="x")
    durations = Durations(make_past([5.0] * 8) + others)
    assert durations.draw("air/anna", "fit", ONE, Random(1)) == 5.0
    assert durations.draw("air/anna", "fit", Demand(1000, gpus=2), Random(1)) == 900.0
    assert durations.draw("somebody", "else", ONE, Random(1)) in {5.0, 70.0}


def test_what_goes_on_stands_for_something_longer():
    seen = make_past([10.0] * 10 + [500.0] * 10)
    durations = Durations(seen, [Going("air/anna", "fit", ONE, 100.0)] * 180)
    drawn = [durations.draw("air/anna", "fit", ONE, Random(number)) for number in range(400)]
    assert set(drawn) == {10.0, 500.0}
    assert drawn.count(500.0) > 350


def test_what_nothing_makes_room_for_is_not_foretold():
    drained = [Machine("n", 4000, gpus=1, pool="lab")]
    known = make_sketch([], asked=ONE._replace(pool="lab"), drained=drained)
    assert forecast(known, samples=5) is None
    assert find_remedy(known) == "resume node n"


def test_a_wait_is_the_same_after_the_scale():
    assert [shrink(stretch(each)) for each in (0.0, 1.0, 1e6)] == pytest.approx([0.0, 1.0, 1e6])
    assert shrink(-3.0) == 0.0


@pytest.mark.parametrize(
    ("machines", "running", "asked", "agreed", "told"),
    [
        ([Machine("n", 8000, gpus=2)], [ONE], Demand(1000, gpus=2), {}, "ask for 1 gpu instead of 2"),
        ([Machine("n", 8000, gpus=1)], [ONE], ONE, {}, "1 gpu more"),
        ([Machine("n", 4000)], [Demand(2000)], Demand(4000), {}, "ask for 2 cpus instead of 4"),
        ([Machine("n", 4000, 8 << 30)], [Demand(1000, 6 << 30)], Demand(1000, 4 << 30), {},
         "ask for 2.1 GB of memory instead of 4.3 GB"),
        ([Machine("n", 8000, gpus=4)], [ONE], ONE, {"air/anna": Entitlement(limit=(INFINITE, INFINITE, 1000.0))},
         "a quota of 1 gpu more for air/anna"),
        ([Machine("n", 8000, gpus=1, pool="lab"), Machine("m", 8000, gpus=1, pool="new")], [ONE._replace(pool="lab")],
         ONE._replace(pool="lab"), {}, "ask for any pool instead of lab"),
        ([Machine("n", 8000, gpus=2, gpu_type="A"), Machine("m", 8000, gpus=1, gpu_type="B")],
         [Demand(1000, gpus=2, gpu_types=("A",))], ONE._replace(gpu_types=("A",)), {}, "ask for any type of gpu"),
    ],
)  # fmt: skip
def test_the_one_change(machines, running, asked, agreed, told):
    known = make_sketch(machines, running, asked, agreed=agreed)
    assert not starts_now(known, known.count_typical())
    assert find_remedy(known) == told


def test_who_waits_behind_others_is_told_of_a_guarantee():
    """There is room for it beside the run that is held for, but not its turn."""
    state = State([Machine("n", 3000)], LIVE, agreed={"air/ben": Entitlement(priority=1)})
    state.submit(Job("held", "air/ben", Demand(2000), 0.0))
    decide(state, 0.0)
    state.submit(Job("large", "air/ben", Demand(3000), 1.0))
    state.submit(Job("mine", "air/anna", Demand(1000), 2.0))
    assert not decide(state, 100.0).begun
    known = sketch(state, "mine", 100.0, line=list(state.backlog))
    assert find_remedy(known) == "a guarantee of 1 cpu for air/anna"


def test_a_sketch_travels():
    known = make_sketch([Machine("n", 8000, gpus=1)], [ONE], past=make_past([100.0] * 20))
    there = msgspec.msgpack.decode(msgspec.msgpack.encode(known), type=Sketch)
    assert look_ahead(there) == look_ahead(known)
    assert look_ahead(there).change == "1 gpu more"
