"""A search that runs in real processes, and a killer that paces it: it goes no further than the plan of kills."""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.support.histories import Call, Held
from tests.support.homes import lapse, place_twins
from tests.support.kills import Ledger, Machine, send
from tests.support.witnesses import Witness

from mainspring.control.processes import process_start
from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import ListRuns
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home
from mainspring.store.places import SETTING, read_place

PARALLEL, STEPS = 4, 4
PATHS = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(Path(__file__).parents[2])]))
MOST_PASSAGES = {"owner": 12, "worker": 2}  # of a crash point, by its first word; of the others 1
MOST_ATTEMPTS = {"fork_server": 3, "worker": 3}
"""What loses attempts of trials that go on, and the last attempt that it may meet; a run has four."""

SCRIPT = """
import sys, time
from pathlib import Path
import mainspring as ms
from mainspring.sdk.context import active_run
from tests.support.kills import Ledger

@ms.step(cpus=0.5)
def climb(path: str, gate: str, steps: int, x: float = 0.0, k: int = 1) -> list[float]:
    ledger, run = Ledger(Path(path)), active_run().run
    ledger.note("start", run.id, run.attempt, time.monotonic(), x, k)
    for step in range(steps):
        while step == steps // 2 and int(run.tags["trial"]) >= int(Path(gate).read_text()):
            time.sleep(0.01)  # the plan of kills is behind
        time.sleep(0.02)
        ledger.note("logging", run.id, run.attempt, time.monotonic(), step)
        ms.log(score=(step + 1) * (1 - (x - 0.3) ** 2) - k / 100, step=step)
        ledger.note("logged", run.id, run.attempt, time.monotonic(), step)
    ms.write([{"x": x, "k": k}], f"climb-{k}-{abs(hash(x))}")
    ledger.note("end", run.id, run.attempt, time.monotonic(), x, k)
    return [x, k]

path, gate, trials, parallel, steps, seed = *sys.argv[1:3], *map(int, sys.argv[3:])
study = ms.tune(
    climb,
    {"x": ms.between(-1.0, 1.0), "k": ms.between(1, 9)},
    args=(path, gate, steps),
    metric="score",
    pruner="median",
    budget=ms.Budget(trials=trials),
    parallel=parallel,
    seed=seed,
)
trials = [[each.number, each.run_id, each.params, each.state, each.value, each.curve] for each in study.trials]
Ledger(Path(path)).note("study", trials, study.best.id, study.params, study.value)
"""


class Search:
    """The script, in one of its homes, the processes of all of them, and what the outside knows.

    Parameters
    ----------
    place : Path
        A folder to make.
    seed, trials : int
        Of the search.
    record : str
        The address of a database that two homes share; empty: one home with a file of its own.
    """

    def __init__(self, place: Path, seed: int, trials: int, record: str = ""):
        place.mkdir()
        self.seed, self.trials = seed, trials
        self.homes = self._place(place, record)
        self.machines = [Machine(home.root) for home in self.homes]
        self.clients = [Client(home, None) for home in self.homes]
        self.at = 0
        self.ledger = Ledger(place / "ledger")
        self.witness = Witness()
        self.known: set[str] = set()
        self.left_behind: set[str] = set()
        self.gate = place / "gate"
        self.file = place / "search.py"
        self.file.write_text(SCRIPT)
        self.open(trials)
        self.start()

    def _place(self, place: Path, record: str) -> list:
        kept = os.environ.pop(SETTING, None)
        try:
            if not record:
                return [place_home(place / "home")]
            os.environ[SETTING] = record
            homes = place_twins(place)
            for home in homes:
                start_owner(home)  # and the home remembers its record
            return homes
        finally:
            os.environ.pop(SETTING, None)
            if kept is not None:
                os.environ[SETTING] = kept

    @property
    def home(self):
        """Where the script runs."""
        return self.homes[self.at]

    @property
    def machine(self) -> Machine:
        return self.machines[self.at]

    def find(self, kind: str) -> list[int]:
        """Return the processes of a kind that serve the script; ``standby``: the owner of the other home."""
        if kind == "script":
            return [self.script.pid]
        return self.machines[1 - self.at].owner() if kind == "standby" else getattr(self.machine, kind)()

    def start(self) -> None:
        numbers = [str(each) for each in (self.trials, PARALLEL, STEPS, self.seed)]
        with self.file.with_suffix(".err").open("a") as errors:
            self.script = subprocess.Popen(
                [sys.executable, str(self.file), str(self.ledger.path), str(self.gate), *numbers],
                env={**os.environ, "MAINSPRING_HOME": str(self.home.root), "PYTHONPATH": PATHS},
                stderr=errors,
            )

    def open(self, number: int) -> None:
        """Let the trials below a number pass the gate."""
        draft = self.gate.with_suffix(".draft")
        draft.write_text(str(number))
        draft.replace(self.gate)

    def count_started(self) -> int:
        """Return how many points of the search were begun."""
        return len({(x, k) for *_, x, k in self.ledger.read("start")})

    def hear(self) -> list:
        """Write down what the owners tell of the trials; return those that live, None when nobody answers."""
        for client in [self.clients[self.at], *self.clients]:
            try:
                runs = self.witness.see_runs(client, ListRuns(kind="trial", limit=10_000))
            except MainspringError:
                continue
            now = time.monotonic()
            for run in runs:
                if run.ended_at and run.id not in self.known:
                    self.known.add(run.id)
                    self.witness.calls.append(Call(f"end {run.id}", now, now, tell(run)))
            return [run for run in runs if not run.ended_at]
        return []

    def move(self) -> None:
        """Take the script's machine away, and go on at the other one, which is told that nobody hears of it.

        What its runs had logged and not yet told is in journals there: `left_behind` names them.
        """
        node = read_place(self.home.root).node
        self.script.kill()
        self.script.wait()
        self.machine.kill_all()
        self.left_behind |= {run_id for run_id, *_ in self.ledger.read("start")} - self.known
        lapse(self.homes[1 - self.at], node)
        self.at = 1 - self.at
        start_owner(self.home)
        self.start()

    def wait(self) -> None:
        assert self.script.wait(120 + self.trials) == 0, self.file.with_suffix(".err").read_text()

    def end(self) -> None:
        if self.script.poll() is None:
            self.script.kill()
            self.script.wait()
        for client, machine in zip(self.clients, self.machines, strict=True):
            client.close()
            machine.kill_all()

    def count_takeovers(self) -> int:
        """Return how often an owner took on what another one had."""
        logs = [home.logs / "owner.log" for home in self.homes]
        return sum(log.read_text().count("took over from") for log in logs if log.exists())

    def list_holds(self) -> list[Held]:
        """Return who executed which run from when to when, as the executions have told."""
        times: dict[tuple[str, int], list[float]] = {}
        for what in ("start", "logging", "logged", "end"):
            for run_id, attempt, at, *_ in self.ledger.read(what):
                times.setdefault((run_id, attempt), []).append(at)
        return [Held(run_id, f"attempt {n}", min(each), max(each), n) for (run_id, n), each in times.items()]


def tell(run) -> str:
    """Return the facts of an end that must never change."""
    digest = run.outputs.digest if run.outputs else None
    return json.dumps([run.state, run.params, run.attempt, run.ended_at, digest])


class Killer:
    """Kills the processes of a search: so many of each kind at random times, and once at each crash point.

    Parameters
    ----------
    search : Search
        Whose gate it opens: trials wait where the plan is behind, and the plan waits where they are.
    chance : Random
        Shuffles the plan.
    kinds : dict of str to int
        How many of what to kill: ``script``, ``owner``, ``worker``, ``fork_server``; ``standby``:
        the owner of the other home; ``machine``: all in the script's home, which goes on in the other.
    points : list of str
        Crash points.

    Notes
    -----
    No step depends on how fast the machine is. A run whose fourth worker is lost is given up, and
    rightly: what loses workers waits while a live trial is close to that, and until the record
    has every loss before it.
    """

    def __init__(self, search: Search, chance: random.Random, kinds: dict[str, int], points: list[str]):
        self.search = search
        self.chance = chance
        self.points = points
        self.most = MOST_ATTEMPTS | dict.fromkeys(points, 2)  # to lay one loses an attempt before
        self.kills: Counter[str] = Counter()
        self.plan = [*points, *(kind for kind, count in kinds.items() for _ in range(count))]
        chance.shuffle(self.plan)
        self.every = 0.5 * search.trials / len(self.plan)
        self.laid, self.laid_at = "", 0

    def work(self) -> None:
        """Kill until the search has ended."""
        while self.search.script.poll() is None:
            time.sleep(self.chance.uniform(0.02, 0.15))
            live = self.search.hear()
            self._open(live)
            if self.laid and self._mark(self.laid).exists():
                self.kills[self.laid] += 1
                self.laid = ""
            elif self.laid and self.search.count_started() >= self.laid_at + 2 * PARALLEL:
                if self._settled(live) and all(run.attempt <= 2 for run in live):
                    self._lay(self.laid)  # nobody came to it: the one that it was laid for may have ended first
            elif live and self.plan and not self.laid and self.search.count_started() >= self._due():
                time.sleep(self.chance.uniform(0, 0.1))  # anywhere in a trial, not where the last one began
                if self._strike(self.plan[-1], live):
                    self.plan.pop()
        self.search.wait()
        left = [*self.plan, *([self.laid] if self.laid else [])]
        told = f"{left} are left of the plan, {self.laid or 'none'} was laid; {self.kills.total()} kills were made"
        assert left == [], f"the search has ended before the plan: {told}"

    def _due(self) -> float:
        return self.kills.total() * self.every

    def _open(self, live: list) -> None:
        """Let trials pass: as many as the next kill needs to come by, and those that were lost too often for it."""
        if not self.plan and not self.laid:
            self.search.open(self.search.trials)
        elif self.laid:
            self.search.open(self.search.count_started() + PARALLEL)
        else:
            lost = [int(run.tags["trial"]) + 1 for run in self._find_spared(live)]
            self.search.open(max([int(self._due()) + 2 * PARALLEL, *lost]))

    def _strike(self, kind: str, live: list) -> bool:
        """Make the next kill of the plan, unless it could be one too many for a trial."""
        if kind in self.most and (not self._settled(live) or self._find_spared(live)):
            return False
        if kind in self.points:
            self._lay(kind)
            return True
        return self._kill(kind)

    def _settled(self, live: list) -> bool:
        """Tell whether the record has every loss until now."""
        return all(run.state == "queued" or (run.state == "running" and process_start(run.pid)) for run in live)

    def _find_spared(self, live: list) -> list:
        """Return the trials for which the next kill could be one too many."""
        most = self.most.get(self.plan[-1]) if self.plan else None
        return [run for run in live if most is not None and run.attempt > most]

    def _kill(self, kind: str) -> bool:
        """Kill a process of a kind; tell whether there was one, and a search that could suffer from it."""
        search = self.search
        if search.script.poll() is not None:
            return False
        if kind == "machine":
            search.move()
        else:
            if kind == "standby":
                start_owner(search.homes[1 - search.at])  # unless it is there
            victims = search.find(kind)
            if not victims or not send(self.chance.choice(victims), signal.SIGKILL):
                return False
            if kind == "script":
                search.script.wait()
                search.start()
        self.kills[kind] += 1
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
            self.laid, self.laid_at = point, search.count_started()
            passage = self.chance.randint(1, MOST_PASSAGES.get(point.partition(".")[0], 1))
            os.environ["MAINSPRING_CRASH"] = f"{point}:{passage}:{self._mark(point)}"
            start_owner(search.home)
        finally:
            del os.environ["MAINSPRING_CRASH"]
            send(search.script.pid, signal.SIGCONT)
