"""A search under SIGKILL: no trial is lost, none recorded twice, told by a ledger outside the record.

Two plans on each kind of record, 500 trials in all, between them at every crash point. ``KILL_TRIALS=500``
makes the whole loop of each, ``KILL_SEEDS=1,2,3`` other plans.
"""

import os
import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from tests.support.histories import Entry
from tests.support.searches import STEPS, Killer, Search, tell

from mainspring.domain.crashpoints import POINTS
from mainspring.domain.messages import GetRun, GetSeries, ListRuns, ListVersions
from mainspring.sdk.client import Client
from mainspring.tracking.codecs import load_value

TRIALS = int(os.environ.get("KILL_TRIALS", "125"))
WHOLE = TRIALS >= 500
SEEDS = [int(seed) for seed in os.environ.get("KILL_SEEDS", "").split(",") if seed]
# Killed at in test_plane_kills, test_sweep_kills, test_retention_kills, test_migrations, test_sink_kills,
# test_trigger_kills, test_preemption_kills, test_prediction_kills, test_mlflow_import and test_folder_export.
ELSEWHERE = (
    "plane.",
    "sweep.",
    "retention.",
    "litter.",
    "migration.",
    "courier.",
    "trigger.",
    "preempt.",
    "predict.",
    "import.",
    "export.",
)
OTHER_POINTS = {point for point in POINTS if point.startswith(ELSEWHERE)}
LOOP_POINTS = sorted(POINTS - OTHER_POINTS)
KINDS = {
    "sqlite": {"script": 3, "fork_server": 2, "worker": 4, "owner": 5},
    "postgresql": {"script": 1, "fork_server": 2, "worker": 3, "owner": 4, "standby": 2, "machine": 3},
}
# The points of workers lie in the same code on both; the whole loop has them on both.
LAID = {"sqlite": LOOP_POINTS, "postgresql": [each for each in LOOP_POINTS if WHOLE or each.startswith("owner.")]}


def list_loops():
    """Return record, seed and crash points of each loop: short loops of one record share its points."""
    for first, record in enumerate(KINDS, 1):
        seeds = SEEDS or [first, first + len(KINDS)]
        for at, seed in enumerate(seeds):
            yield record, seed, LAID[record] if WHOLE else LAID[record][at :: len(seeds)]


def score(x: float, k: int, step: int) -> float:
    """What the trial logs, said once more."""
    return (step + 1) * (1 - (x - 0.3) ** 2) - k / 100


def check(search: Search) -> list:
    """Hold the record against the outside; return the trials as the search told them."""
    client = Client(search.home)
    search.hear()
    ((trials, best_id, best_params, best_value),) = search.ledger.read("study")
    assert [number for number, *_ in trials] == list(range(search.trials))
    runs = client.ask(ListRuns(kind="trial", limit=10_000))
    assert len({run.id for run in runs}) == len(runs)
    kept = [run for run in runs if run.state in {"succeeded", "pruned"}]
    assert Counter(int(run.tags["trial"]) for run in kept) == dict.fromkeys(range(search.trials), 1)
    for run in runs:
        if run not in kept:  # it fell with its search, and the next search made it anew
            assert (run.state, client.ask(GetRun(id=run.parent_id)).state) == ("cancelled", "failed")
    by_id = {run.id: run for run in kept}
    search.witness.held += search.list_holds()
    looked_at = search.witness.check(Entry(f"end {run.id}", tell(run)) for run in runs if run.id in search.known)
    print(f"{looked_at} facts of the history looked at")
    told = {what: by_run(search.ledger.read(what)) for what in ("start", "logging", "logged", "end")}
    for _, run_id, params, state, value, curve in trials:
        run = by_id[run_id]
        assert (run.state, run.params) == (state, params)
        last = STEPS - 1 if state == "succeeded" else int(run.tags["pruned_at"])
        assert curve == [[step, score(**params, step=step)] for step in range(last + 1)]
        assert value == score(**params, step=last)
        check_points(client, run, told, left_behind=run_id in search.left_behind)
        check_results(client, run, told)
    won = [(value, -number, run_id) for number, run_id, _, state, value, _ in trials if state == "succeeded"]
    assert max(won)[2] == best_id
    assert (by_id[best_id].params, max(won)[0]) == (best_params, best_value)
    return [[params, state, value, curve] for _, _, params, state, value, curve in trials]


def by_run(lines: list[list]) -> defaultdict[str, list[list]]:
    """Return what was told of each run."""
    found = defaultdict(list)
    for run_id, *words in lines:
        found[run_id].append(words)
    return found


def check_points(client: Client, run, told, *, left_behind: bool) -> None:
    """Its points have no gap and no duplicate, up to the last that was acknowledged, and none is invented."""
    points = [(step, value) for step, _, value in client.ask(GetSeries(run_id=run.id, key="score"))]
    assert points == [(step, score(**run.params, step=step)) for step in range(len(points))]
    acknowledged = [step for attempt, _, step in told["logged"][run.id] if attempt == run.attempt]
    tried = [step for *_, step in told["logging"][run.id]]
    assert len(points) <= max(tried) + 1
    assert max(acknowledged, default=-1) < len(points) or left_behind
    if run.state == "succeeded":
        assert len(points) == STEPS


def check_results(client: Client, run, told) -> None:
    """It was executed as the record tells; its result and its table are there, once."""
    point = [run.params["x"], run.params["k"]]
    starts, ends = told["start"][run.id], told["end"][run.id]
    assert 1 <= len(starts) <= run.attempt, f"{run.id} was executed more often than the record tells"
    assert all(words == point for _, _, *words in starts)
    if run.state == "succeeded":
        assert [run.attempt, *point] in [[attempt, *words] for attempt, _, *words in ends]
        assert load_value(run.outputs, client.blobs, client.seal) == point
    if ends:
        name = f"climb-{run.params['k']}-{abs(hash(run.params['x']))}"
        versions = client.ask(ListVersions(kind="dataset", name=name))
        assert [version.details["rows"] for version in versions] == [1]


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begin searches; all their processes are ended after the test."""
    begun = []
    monkeypatch.setenv("MAINSPRING_IDLE_S", "600")  # an owner that stands by has nothing to do

    def begin_one(name: str, seed: int, record: str = "") -> Search:
        begun.append(Search(tmp_path / name, seed, TRIALS, record))
        return begun[-1]

    yield begin_one
    for search in begun:
        search.end()


@pytest.mark.parametrize(("record", "seed", "points"), list(list_loops()))
@pytest.mark.timeout(240 + 6 * TRIALS)
def test_kills_lose_no_trial_and_record_none_twice(begin, request, record, seed, points):
    print(f"{TRIALS} trials, seed {seed}")
    address = request.getfixturevalue("database") if record == "postgresql" else ""
    quiet, killed = begin("quiet", seed), begin("killed", seed, address)
    kinds = {kind: count * max(1, TRIALS // 100) for kind, count in KINDS[record].items()}
    killer = Killer(killed, random.Random(seed), kinds, points)
    killer.work()
    for kind in (*kinds, *points):
        print(f"{killer.kills[kind]} kills {'at' if kind in POINTS else 'of'} {kind}")
    killed.wait()
    quiet.wait()
    trials = check(killed)
    assert trials == check(quiet)
    states = Counter(state for _, state, _, _ in trials)
    print(f"{killer.kills.total()} kills; {states['succeeded']} trials succeeded, {states['pruned']} were pruned")
    assert states["pruned"] >= 1
    assert killed.count_takeovers() >= killer.kills["machine"]
    assert killer.kills == kinds | dict.fromkeys(points, 1)


def test_every_crash_point_is_killed_by_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py") if path != Path(__file__))
    assert {point for point in OTHER_POINTS if point not in tests} == set()
