"""Decisions about what starts, over random triggers, events and moments."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mainspring.domain.triggers import Happening, Standing
from mainspring.pipelines.triggers import MOST_OWN, decide

NOW = 1_800_000_000.0
PIPELINES = ("train", "report")
DATASETS = ("orders", "weather")

happenings = st.builds(
    lambda dataset, age, chain: Happening(
        "data", {"dataset": dataset}, f"{dataset}@1", NOW, NOW - age, None, 0, "", chain
    ),
    st.sampled_from(DATASETS),
    st.floats(0, 1000),
    st.sampled_from([(), (), (), ("train",), ("report", "train")]),
)
triggers = st.builds(
    lambda *wanted: wanted,
    st.sampled_from(PIPELINES),
    st.sampled_from(DATASETS),
    st.sampled_from([None, 50.0, 500.0]),
)
moves = st.lists(st.one_of(st.just("end"), st.just("pause"), st.just("look"), happenings), max_size=60)


@dataclass
class World:
    """Triggers, and the runs that they started."""

    standing: list
    number: int = 0
    waiting: list = field(default_factory=list)
    running: dict = field(default_factory=dict)
    paused: set = field(default_factory=set)
    starts: list = field(default_factory=list)

    def look(self, refusals=None):
        busy = set(self.running)
        decisions = decide(self.standing, self.waiting, NOW, busy=busy, paused=self.paused, refusals=refusals)
        for decision in decisions:
            if decision.start is not None:
                pipeline = decision.standing.pipeline
                assert pipeline not in self.running, "two runs of one pipeline at once"
                assert pipeline not in decision.start.chain
                assert pipeline not in self.paused
                self.running[pipeline] = decision
                self.starts.append((pipeline, decision.start.number, decision.standing.id))
        self.standing = [decision.standing for decision in decisions]
        self.waiting = []
        return decisions


def make(wanted):
    return World([
        Standing(f"t{at}", "default", pipeline, "data", {"dataset": dataset}, cooldown_s)
        for at, (pipeline, dataset, cooldown_s) in enumerate(wanted)
    ])  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(triggers, min_size=1, max_size=4, unique_by=lambda each: each[:2]), moves)
def test_each_happening_is_counted_once_and_one_run_goes_on_at_a_time(wanted, done):
    world, seen, ends = make(wanted), dict.fromkeys(range(len(wanted)), 0), 0
    for move in done:
        if move == "end":
            ends += len(world.running)
            world.running.clear()
        elif move == "pause":
            world.paused ^= {"train"}
        elif move == "look":
            world.look()
        else:
            world.number += 1
            world.waiting.append(replace(move, number=world.number))
            for at, (_, dataset, _) in enumerate(wanted):
                seen[at] += dataset == move.facts["dataset"]
    world.look()
    for at, standing in enumerate(world.standing):
        assert standing.starts + standing.coalesced + standing.passed + standing.waiting == seen[at]
        assert (standing.pending is None) == (standing.waiting == 0)
    for pipeline in PIPELINES:
        assert sum(name == pipeline for name, *_ in world.starts) <= 1 + ends
    assert len(world.starts) == len(set(world.starts)), "started twice for the same"


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 1000), st.integers(1, 50))
def test_a_storm_is_two_starts_at_most(count, batch):
    world = make([("train", "orders", None)])
    for number in range(1, count + 1):
        world.waiting.append(Happening("data", {"dataset": "orders"}, f"orders@{number}", NOW, NOW, None, number))
        if number % batch == 0:
            world.look()
    world.look()
    world.running.clear()
    world.look()
    assert len(world.starts) <= 2
    assert world.starts[-1][1] == count, "the newest is what it starts for"
    (standing,) = world.standing
    assert standing.starts + standing.coalesced == count


@given(st.floats(0, 1e9))
def test_a_schedule_that_was_missed_starts_once(away_s):
    trigger = Standing("t", "default", "train", "time", {"expression": "*/5 * * * *", "tz": "UTC"}, due_at=NOW)
    (decision,) = decide([trigger], [], NOW + away_s)
    assert decision.start.event_time == NOW
    assert NOW + away_s < decision.standing.due_at <= NOW + away_s + 300
    (again,) = decide([decision.standing], [], NOW + away_s)
    assert again.start is None


COOLDOWN_S = 100.0


def rest(moves):
    """Let events come (event time, wall seconds later) to one trigger with a cooldown, each run ended at once."""
    standing = Standing("t", "default", "train", "data", {"dataset": "orders"}, COOLDOWN_S)
    now, starts, came = NOW, [], []
    for number, (event_time, later_s) in enumerate(moves, 1):
        now += later_s
        if event_time is not None:
            came.append(number)
        event = Happening("data", {"dataset": "orders"}, "", now, event_time or 0.0, None, number)
        happened = [] if event_time is None else [event]
        (decision,) = decide([standing], happened, now)
        standing = decision.standing
        if decision.start is not None:
            starts.append((decision.start, now, came[-1]))
    return standing, now, starts, came


ticks = st.tuples(st.one_of(st.none(), st.floats(0, 1000)), st.floats(0, 150))


@settings(max_examples=300, deadline=None)
@given(st.lists(ticks, max_size=40))
def test_a_cooldown_forgets_nothing_and_starts_nothing_twice(moves):
    standing, now, starts, came = rest(moves)
    assert standing.starts + standing.coalesced + standing.waiting == len(came)
    assert standing.passed == 0
    for start, _, newest in starts:
        assert start.number == newest, "a start brings the newest of what happened"
    marks = [start.event_time for start, *_ in starts]
    for at in range(1, len(starts)):
        apart_s = starts[at][1] - starts[at - 1][1]
        assert apart_s >= COOLDOWN_S or marks[at] - marks[at - 1] >= COOLDOWN_S
    (ended,) = decide([standing], [], now + COOLDOWN_S)
    assert (ended.start is not None) == (standing.waiting > 0), "when the cooldown has ended, what waits starts"
    if ended.start is not None:
        assert ended.start.number == came[-1]
    assert (ended.standing.pending, ended.standing.waiting) == (None, 0)
    (again,) = decide([ended.standing], [], now + 10 * COOLDOWN_S)
    assert again.start is None


@given(st.lists(st.floats(0, 400), max_size=30))
def test_where_the_clock_stands_still_a_cooldown_counts_in_event_time(times):
    last, wanted = None, []
    for number, time in enumerate(times, 1):
        if last is None or time - last >= COOLDOWN_S:
            last = time
            wanted.append(number)
    _, _, starts, _ = rest([(time, 0.0) for time in times])
    assert [start.number for start, *_ in starts] == wanted


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 150)), min_size=1, max_size=40))
def test_at_most_one_start_in_each_cooldown_where_events_come_as_they_happen(arrivals):
    moves, now = [], NOW
    for _, later_s in arrivals:
        now += later_s
        moves.append((now, later_s))
    _, _, starts, _ = rest(moves)
    at = [time for _, time, _ in starts]
    assert all(later - earlier >= COOLDOWN_S for earlier, later in pairwise(at))


def test_a_clock_that_ran_ahead_keeps_nothing_waiting_for_years():
    event = Happening("data", {"dataset": "orders"}, "", NOW, NOW, None, 1)
    standing = Standing("t", "default", "train", "data", {"dataset": "orders"}, COOLDOWN_S)
    ahead = replace(standing, started_at=NOW + 1e9, event_time=NOW + 1e9, starts=1)
    (held,) = decide([ahead], [event], NOW)
    assert held.start is None
    assert held.standing.outcome == "its cooldown lasts; what comes meanwhile starts it once"
    (decision,) = decide([held.standing], [], NOW + COOLDOWN_S)
    assert decision.start == event


def test_who_may_no_longer_starts_nothing_and_a_circle_is_named():
    world = make([("train", "orders", None)])
    event = Happening("data", {"dataset": "orders"}, "orders@2", NOW, NOW, None, 1)
    world.waiting = [event]
    (refused,) = world.look({"t0": "user:anna, who applied it, was removed"})
    assert (refused.start, refused.refused, refused.standing.passed) == (None, True, 1)
    world.waiting = [replace(event, number=2, chain=("train", "report"))]
    (circular,) = world.look()
    assert (circular.start, circular.refused) == (None, True)
    assert "train -> report -> train): it would go on for ever" in circular.standing.outcome
    assert world.starts == []


def test_a_file_that_its_own_run_changes_does_not_go_on_for_ever():
    standing = Standing("t", "default", "train", "file", {"path": "/data/in.csv"})
    starts = 0
    for _ in range(10):
        own = Happening("file", {"path": "/data/in.csv", "while": "train"}, "/data/in.csv", NOW, NOW, trigger="t")
        (decision,) = decide([standing], [own], NOW)
        standing, starts = decision.standing, starts + (decision.start is not None)
    assert starts == MOST_OWN
    assert "3 times in a row" in standing.outcome
    other = Happening("file", {"path": "/data/in.csv"}, "/data/in.csv", NOW, NOW, trigger="t")
    (decision,) = decide([standing], [other], NOW)
    assert (decision.start, decision.standing.streak) == (other, 0)
