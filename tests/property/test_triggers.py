"""Decisions about what starts, over random triggers, events and moments."""

from dataclasses import dataclass, field

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


@given(st.lists(st.floats(0, 400), max_size=30))
def test_cooldown_counts_in_event_time(times):
    world, last, wanted = make([("train", "orders", 100.0)]), None, []
    for number, time in enumerate(times, 1):
        world.waiting = [Happening("data", {"dataset": "orders"}, "orders", NOW, time, None, number)]
        world.look()
        world.running.clear()
        if last is None or time - last >= 100:
            last = time
            wanted.append(("train", number, "t0"))
    assert world.starts == wanted


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
