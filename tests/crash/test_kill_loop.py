"""A search of a hundred trials under SIGKILL: none lost, none recorded twice, told by a ledger outside the record."""

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from tests.support.kills import Ledger, Machine, send

from mainspring.domain.crashpoints import POINTS
from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import GetRun, GetSeries, ListRuns, ListVersions
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home
from mainspring.tracking.codecs import load_value

TRIALS, PARALLEL, STEPS = 100, 4, 5
SEEDS = [int(seed) for seed in os.environ.get("KILL_SEEDS", "1").split(",")]
ELSEWHERE = ("plane.", "sweep.", "migration.")  # killed at in test_plane_kills, test_sweep_kills and test_migrations
OTHER_POINTS = {point for point in POINTS if point.startswith(ELSEWHERE)}
LOOP_POINTS = sorted(POINTS - OTHER_POINTS)
PATHS = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(Path(__file__).parents[2])]))
KINDS = {"script": 3, "fork_server": 2, "worker": 4, "owner": 5}
MOST_PASSAGES = {"owner": 12, "worker": 2}  # of a crash point, by its first word; of the others 1

SCRIPT = """
import sys, time
from pathlib import Path
import mainspring as ms
from mainspring.sdk.context import active_run
from tests.support.kills import Ledger

@ms.step(cpus=0.5)
def climb(path: str, steps: int, x: float = 0.0, k: int = 1) -> list[float]:
    ledger, run = Ledger(Path(path)), active_run().run
    ledger.note("start", run.id, run.attempt, x, k)
    for step in range(steps):
        time.sleep(0.15)  # so that a search on a quick machine does not end before the kills
        ledger.note("logging", run.id, run.attempt, step)
        ms.log(score=(step + 1) * (1 - (x - 0.3) ** 2) - k / 100, step=step)
        ledger.note("logged", run.id, run.attempt, step)
    ms.write([{"x": x, "k": k}], f"climb-{k}-{abs(hash(x))}")
    ledger.note("end", run.id, run.attempt, x, k)
    return [x, k]

path, trials, parallel, steps, seed = sys.argv[1], *map(int, sys.argv[2:])
study = ms.tune(
    climb,
    {"x": ms.between(-1.0, 1.0), "k": ms.between(1, 9)},
    args=(path, steps),
    metric="score",
    pruner="median",
    budget=ms.Budget(trials=trials),
    parallel=parallel,
    seed=seed,
)
trials = [[each.number, each.run_id, each.params, each.state, each.value, each.curve] for each in study.trials]
Ledger(Path(path)).note("study", trials, study.best.id, study.params, study.value)
"""


def score(x: float, k: int, step: int) -> float:
    """What the trial logs, said once more."""
    return (step + 1) * (1 - (x - 0.3) ** 2) - k / 100


class Search:
    """The script of one home, its processes, and what the outside knows of it."""

    def __init__(self, place: Path, seed: int):
        place.mkdir()
        self.seed = seed
        self.home = place_home(place / "home")
        self.machine = Machine(place / "home")
        self.ledger = Ledger(place / "ledger")
        self.acknowledged = Ledger(place / "acknowledged")
        self.known: set[str] = set()
        self.file = place / "search.py"
        self.file.write_text(SCRIPT)
        self.client = Client(self.home, None)
        self.start()

    def start(self) -> None:
        numbers = [str(each) for each in (TRIALS, PARALLEL, STEPS, self.seed)]
        with self.file.with_suffix(".err").open("a") as errors:
            self.script = subprocess.Popen(
                [sys.executable, str(self.file), str(self.ledger.path), *numbers],
                env={**os.environ, "MAINSPRING_HOME": str(self.home.root), "PYTHONPATH": PATHS},
                stderr=errors,
            )

    def count_starts(self) -> int:
        """Return how often a trial was begun, or begun again."""
        return len(self.ledger.read("start"))

    def count_started(self) -> int:
        """Return how many points of the search were begun."""
        return len({(x, k) for _, _, x, k in self.ledger.read("start")})

    def hear(self) -> list[int]:
        """Note outside which ends the owner has acknowledged; return the attempts of all live trials."""
        try:
            runs = self.client.ask(ListRuns(kind="trial", limit=10_000))
        except MainspringError:
            return []
        for run in runs:
            if run.ended_at and run.id not in self.known:
                self.known.add(run.id)
                self.acknowledged.note("ended", *facts(run))
        return [run.attempt for run in runs if not run.ended_at]

    def wait(self) -> None:
        assert self.script.wait(120) == 0, self.file.with_suffix(".err").read_text()

    def end(self) -> None:
        if self.script.poll() is None:
            self.script.kill()
            self.script.wait()
        self.client.close()
        self.machine.kill_all()


def facts(run) -> list:
    return [run.id, run.state, run.params, run.attempt, run.ended_at, run.outputs.digest if run.outputs else None]


class Killer:
    """Kills the processes of a search: of each kind at random times, and once at each crash point.

    The plan is shuffled, spread over the search, and taken from its end. A run whose fourth worker
    is lost is given up, and rightly: what loses workers waits while a live trial is close to that,
    and until so many trials have begun or begun again that the record has every loss before it.
    """

    def __init__(self, search: Search, chance: random.Random):
        self.search = search
        self.chance = chance
        self.kills: Counter[str] = Counter()
        kinds = [kind for kind, count in KINDS.items() for _ in range(count)]
        chance.shuffle(kinds)
        early = [*LOOP_POINTS, *kinds[5:]]  # a point that is laid needs trials that come by
        chance.shuffle(early)
        self.plan = [*kinds[:5], *early]
        self.every = 0.5 * TRIALS / len(self.plan)
        self.laid = ""
        self.lost_at = 0

    def work(self) -> None:
        """Kill until the search has ended."""
        while self.search.script.poll() is None:
            time.sleep(self.chance.uniform(0.02, 0.2))
            attempts = self.search.hear()
            if self.laid and self._mark(self.laid).exists():
                self.kills[self.laid] += 1
                self.laid, self.lost_at = "", self.search.count_starts()
            due = self.search.count_started() - self.kills.total() * self.every
            if self.plan and not self.laid and attempts and due >= self.chance.uniform(0, 4):
                self._strike(self.plan[-1], max(attempts))

    def _strike(self, kind: str, attempt: int) -> None:
        """Make the next kill of the plan, unless it could be one too many for a trial."""
        time.sleep(self.chance.uniform(0, 0.2))  # anywhere in a trial, not where the last one began
        settled = self.search.count_starts() >= self.lost_at + PARALLEL
        if kind in LOOP_POINTS:
            if settled and attempt <= 2:
                self._lay(kind)
                self.plan.pop()
        elif (kind in {"owner", "script"} or (settled and attempt <= 3)) and self._kill(kind):
            self.plan.pop()

    def _kill(self, kind: str) -> bool:
        """Kill a process of a kind; tell whether there was one, and a search that could suffer from it."""
        search = self.search
        victims = [search.script.pid] if kind == "script" else getattr(search.machine, kind)()
        if search.script.poll() is not None or not victims or not send(self.chance.choice(victims), signal.SIGKILL):
            return False
        self.kills[kind] += 1
        if kind != "owner":
            self.lost_at = search.count_starts()
        if kind == "script":
            search.script.wait()
            search.start()
        return True

    def _mark(self, point: str) -> Path:
        return self.search.file.with_name(point)

    def _lay(self, point: str) -> None:
        """Put processes into the place of all others of which one will die at a crash point."""
        search = self.search
        with (search.home.state / "start.lock").open("a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)  # the script must not stand still while it holds this
            send(search.script.pid, signal.SIGSTOP)
        try:
            search.machine.kill_all()
            self.laid = point
            passage = self.chance.randint(1, MOST_PASSAGES.get(point.partition(".")[0], 1))
            os.environ["MAINSPRING_CRASH"] = f"{point}:{passage}:{self._mark(point)}"
            start_owner(search.home)
        finally:
            del os.environ["MAINSPRING_CRASH"]
            send(search.script.pid, signal.SIGCONT)


def check(search: Search) -> list:
    """Hold the record against the outside; return the trials as the search told them."""
    client = Client(search.home)
    ((trials, best_id, best_params, best_value),) = search.ledger.read("study")
    assert [number for number, *_ in trials] == list(range(TRIALS))
    runs = client.ask(ListRuns(kind="trial", limit=10_000))
    assert len({run.id for run in runs}) == len(runs)
    kept = [run for run in runs if run.state in {"succeeded", "pruned"}]
    assert Counter(int(run.tags["trial"]) for run in kept) == dict.fromkeys(range(TRIALS), 1)
    for run in runs:
        if run not in kept:  # it fell with its search, and the next search made it anew
            assert (run.state, client.ask(GetRun(id=run.parent_id)).state) == ("cancelled", "failed")
    by_id = {run.id: run for run in kept}
    recorded = [facts(run) for run in runs]
    assert all(each in recorded for each in search.acknowledged.read("ended"))
    told = {what: by_run(search.ledger.read(what)) for what in ("start", "logging", "logged", "end")}
    for _, run_id, params, state, value, curve in trials:
        run = by_id[run_id]
        assert (run.state, run.params) == (state, params)
        last = STEPS - 1 if state == "succeeded" else int(run.tags["pruned_at"])
        assert curve == [[step, score(**params, step=step)] for step in range(last + 1)]
        assert value == score(**params, step=last)
        check_points(client, run, told)
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


def check_points(client: Client, run, told) -> None:
    """Its points have no gap and no duplicate, up to the last that was acknowledged, and none is invented."""
    points = [(step, value) for step, _, value in client.ask(GetSeries(run_id=run.id, key="score"))]
    assert points == [(step, score(**run.params, step=step)) for step in range(len(points))]
    acknowledged = [step for attempt, step in told["logged"][run.id] if attempt == run.attempt]
    tried = [step for _, step in told["logging"][run.id]]
    assert max(acknowledged, default=-1) < len(points) <= max(tried) + 1
    if run.state == "succeeded":
        assert len(points) == STEPS


def check_results(client: Client, run, told) -> None:
    """It was executed as the record tells; its result and its table are there, once."""
    point = [run.params["x"], run.params["k"]]
    starts, ends = told["start"][run.id], told["end"][run.id]
    assert 1 <= len(starts) <= run.attempt, f"{run.id} was executed more often than the record tells"
    assert all(words == point for _, *words in starts)
    if run.state == "succeeded":
        assert [run.attempt, *point] in ends
        assert load_value(run.outputs, client.blobs, client.seal) == point
    if ends:
        name = f"climb-{run.params['k']}-{abs(hash(run.params['x']))}"
        versions = client.ask(ListVersions(kind="dataset", name=name))
        assert [version.details["rows"] for version in versions] == [1]


@pytest.fixture
def begin(tmp_path):
    """Begin searches; all their processes are ended after the test."""
    begun = []

    def begin_one(name: str, seed: int) -> Search:
        begun.append(Search(tmp_path / name, seed))
        return begun[-1]

    yield begin_one
    for search in begun:
        search.end()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(300)
def test_kills_lose_no_trial_and_record_none_twice(begin, seed):
    print(f"seed {seed}")
    quiet, killed = begin("quiet", seed), begin("killed", seed)
    killer = Killer(killed, random.Random(seed))
    killer.work()
    for kind in (*KINDS, *LOOP_POINTS):
        print(f"{killer.kills[kind]} kills {'at' if kind in POINTS else 'of'} {kind}")
    killed.wait()
    quiet.wait()
    trials = check(killed)
    assert trials == check(quiet)
    states = Counter(state for _, state, _, _ in trials)
    print(f"{states['succeeded']} trials succeeded, {states['pruned']} were pruned")
    assert states["pruned"] >= 1
    assert killer.kills == KINDS | dict.fromkeys(LOOP_POINTS, 1)


def test_every_crash_point_is_killed_by_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py") if path != Path(__file__))
    assert {point for point in OTHER_POINTS if point not in tests} == set()
