"""The queue's past as a trace: what is mended is told, and what is changed is what was asked."""

import re
from random import Random

import pytest

from mainspring.compute.scheduling.demands import Demand, Machine
from mainspring.compute.scheduling.entitlements import Entitlement
from mainspring.compute.scheduling.figures import sum_up
from mainspring.compute.scheduling.plans import play, tell_answer
from mainspring.compute.scheduling.policies import POLICIES
from mainspring.compute.scheduling.replays import change_demand, change_machines, make_replay
from mainspring.compute.scheduling.simulation import Arrival, simulate
from mainspring.compute.scheduling.traces import read_arrivals, read_machines, write_arrivals, write_machines
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.planning import Stay
from mainspring.domain.records import Attempt, Resources

LAB = [Machine("lab/a", 16_000, 64 << 30, 4, "A", "lab"), Machine("lab/b", 8_000, 32 << 30, 2, "A", "lab")]
HOME = Machine("local", 4_000, 8 << 30, pool="local")
DAY_S = 86_400.0


def stay(number, came, began, ended, *, gpus=1.0, attempts=()):
    asked = Resources(cpus=2, gpus=gpus)
    return Stay(
        f"{number}", "air", "user:anna", "step", "fit", asked, "lab/a", "succeeded", came, began, ended, [*attempts]
    )


def test_a_run_lasts_as_long_as_its_attempts_together():
    tried = Attempt(1, "preempted", started_at=1010.0, ended_at=1030.0, place="lab/a")
    (found,), notes = make_replay([stay(1, 1000.0, 1100.0, 1150.0, attempts=[tried])], 2000.0)
    assert found == Arrival("1", "air/anna", Demand(2000, gpus=1), 0.0, 70.0, 10.0)
    assert notes == []


def test_what_contradicts_itself_is_left_out_and_told():
    found, notes = make_replay([stay(1, 10.0, 20.0, 15.0), stay(2, 10.0, 5.0, 15.0), stay(3, 10.0, 20.0, 30.0)], 99.0)
    assert [each.run_id for each in found] == ["3"]
    assert notes == ["2 runs have ended before it began or began before it came: a clock was set; left out"]


def test_a_gap_is_shortened_and_told():
    found, notes = make_replay([stay(1, 0.0, 0.0, 60.0), stay(2, 40 * DAY_S, 40 * DAY_S, 40 * DAY_S + 5)], 1e9)
    assert [each.at_s for each in found] == [0.0, DAY_S + 60]
    assert notes == ["nothing came or ran for 40 days, from day 0 on: shortened to one"]


def test_what_goes_on_counts_until_now():
    (found,), notes = make_replay([stay(1, 10.0, 20.0, None)], 120.0)
    assert found.duration_s == 100
    assert notes == ["1 run has not ended yet, and counts with what it has run"]


def test_what_is_written_is_read(tmp_path):
    asked = [
        Demand(2000, 3 << 20, 1, 500, (), 1, "lab"),
        Demand(500, gpus=2, gpu_types=("A", "B"), nodes=2),
        Demand(1000),
    ]
    arrivals = [Arrival(f"{n + 2}", "air/anna", each, n * 10.0, 30.0, 4.0) for n, each in enumerate(asked)]
    write_arrivals(tmp_path / "runs.csv", arrivals)
    write_machines(tmp_path / "nodes.csv", [*LAB, HOME])
    assert read_arrivals(tmp_path / "runs.csv") == arrivals
    assert read_machines(tmp_path / "nodes.csv") == [*LAB, HOME]


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [({"gpus": 2}, [2, 2, 4]), ({"gpus": 5}, [1, 2, 4, 4]), ({"gpus": -3}, [1, 2]), ({"nodes": 1}, [2, 4, 4]),
     ({"nodes": -1}, [4]), ({"gpus": 1, "nodes": -1}, [1, 4])],
)  # fmt: skip
def test_machines_are_more_or_fewer(asked, gpus):
    found = change_machines([*LAB, HOME], "lab", **asked)
    assert HOME in found
    assert sorted(each.gpus for each in found if each.pool == "lab") == gpus
    assert len({each.name for each in found}) == len(found)


def test_devices_come_with_their_part_of_a_machine():
    (added,) = [each for each in change_machines(LAB, "lab", gpus=2) if each not in LAB]
    assert (added.cpu_milli, added.memory_bytes, added.gpu_type) == (8_000, 32 << 30, "A")


@pytest.mark.parametrize(
    ("pool", "asked", "fault", "told"),
    [
        ("moon", {"gpus": 1}, NotFound, "POOL-001: no machine of a pool 'moon' answers"),
        ("lab", {"gpus": -7}, Invalid, "PLAN-001: 7 gpus are to be taken from the pool lab, which has fewer"),
        ("lab", {"nodes": -3}, Invalid, "PLAN-001: 3 machines are to be taken"),
    ],
)
def test_what_is_not_there_is_not_changed(pool, asked, fault, told):
    with pytest.raises(fault) as caught:
        change_machines(LAB, pool, **asked)
    assert told in f"{caught.value.code}: {caught.value.what}"


def test_demand_grows_and_shrinks_by_chance():
    arrivals = [Arrival(f"{number}", "", Demand(1), float(number), 1.0) for number in range(1000)]
    more, fewer = change_demand(arrivals, 2.2), change_demand(arrivals, 0.7)
    assert 2100 < len(more) < 2300
    assert 600 < len(fewer) < 800
    assert len({each.run_id for each in more}) == len(more)
    assert change_demand(arrivals, 1.0) == arrivals


def make_arrivals(seed=5, count=200):
    randomness = Random(seed)
    return [
        Arrival(
            f"{n}",
            f"air/{randomness.choice('ab')}",
            Demand(1000, gpus=1, pool="lab"),
            n * 60.0,
            randomness.uniform(60, 900),
        )
        for n in range(count)
    ]


def test_more_devices_shorten_the_wait_and_say_so():
    arrivals = make_arrivals()
    today, planned = (play(each, arrivals, {}) for each in (LAB, change_machines(LAB, "lab", gpus=4)))
    assert planned.figures.wait_mean_s < today.figures.wait_mean_s
    assert tell_answer("4 gpus more in lab", today.figures, planned.figures).startswith("with 4 gpus more in lab the ")
    assert [part for _, part in today.waits][-1] == 1.0


def test_a_limit_binds_in_the_past_too():
    arrivals = make_arrivals()
    agreed = {"air/a": Entitlement(limit=(float("inf"), float("inf"), 1000.0))}
    free, bound = (play(LAB, arrivals, each) for each in ({}, agreed))
    assert bound.figures.wait_p99_s > free.figures.wait_p99_s
    said = (
        r"with a limit the median wait falls from \d+m to \d+m, that of the longest hundredth rises from \d+m to \d+h"
    )
    assert re.fullmatch(said, tell_answer("a limit", free.figures, bound.figures))


def test_figures_count_what_lies_idle_and_who_is_late():
    """Two runs of two devices on a machine of three: one device lies idle beside a run that wants two."""
    arrivals = [Arrival(name, name, Demand(0, gpus=2), 0.0, 100.0) for name in ("a", "b")]
    told = simulate([Machine("n", 0, gpus=3)], arrivals, POLICIES["fifo"])
    figures = sum_up(told, 3, "fifo", 0, ["mended"])
    assert figures.fragmentation == pytest.approx(1 / 3 / 2)
    # Each has a part of one and a half devices, on which it would have taken 133 s; the second took 200.
    assert figures.finish_time_p99 == pytest.approx(1.5)
    assert figures.unfair == 0.5
    assert figures.notes == ["mended"]
