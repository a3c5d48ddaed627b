"""A search on eight devices under random kills of workers and owner: no trial is lost, none is recorded twice.

``DEVICE_TRIALS=500`` makes it as large as a search of a day, ``DEVICE_SEED=7`` gives another course of kills.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.support.kills import Ledger, Machine, send

from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import GetSeries, ListRuns
from mainspring.domain.pools import AddPool
from mainspring.tracking.codecs import load_value

TRIALS = int(os.environ.get("DEVICE_TRIALS", "24"))
SEED = int(os.environ.get("DEVICE_SEED", "20261122"))
GPUS, STEPS = 8, 4
PATHS = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(Path(__file__).parents[2])]))

SCRIPT = """
import fcntl, os, sys, time
from pathlib import Path
import mainspring as ms
from mainspring.sdk.context import active_run
from tests.support.kills import Ledger

@ms.step(cpus=0.1, gpus=1, pool="rack")
def climb(folder: str, steps: int, last: int, x: float = 0.0) -> float:
    ledger, run, device = Ledger(Path(folder) / "ledger"), active_run().run, os.environ["CUDA_VISIBLE_DEVICES"]
    with (Path(folder) / f"device-{device}").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            ledger.note("clash", run.id, run.attempt, device)
        ledger.note("start", run.id, run.attempt, device)
        saved, total = ms.checkpoint(), {"steps": []}
        for step in range(saved.restore(total), steps):
            while step == 2 and int(run.tags["trial"]) >= last and not (Path(folder) / "enough").exists():
                time.sleep(0.01)  # the plan of kills is behind
            total["steps"].append(step)
            ms.log(score=x * (step + 1), step=step)
            saved.save(total, step=step)
            time.sleep(0.05)
        assert total["steps"] == list(range(steps))
        ledger.note("end", run.id, run.attempt, device)
    return x * steps

folder, trials, steps, seed = sys.argv[1], *map(int, sys.argv[2:])
study = ms.tune(
    climb,
    {"x": ms.between(-1.0, 1.0)},
    args=(folder, steps, trials - 16),
    metric="score",
    pruner="none",
    budget=ms.Budget(trials=trials),
    parallel=8,
    seed=seed,
)
trials = [[each.number, each.run_id, each.params["x"], each.state, each.value] for each in study.trials]
Ledger(Path(folder) / "ledger").note("study", trials)
"""


class Devices:
    """The search and who kills in it, so that no trial loses more workers than it may."""

    def __init__(self, client, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.ledger = Ledger(folder / "ledger")
        self.machine = Machine(client.home.root)
        self.kills: Counter[str] = Counter()
        self.chance = random.Random(SEED)
        self.plan = ["owner"] * max(2, TRIALS // 16) + ["worker"] * max(5, TRIALS // 5)
        self.chance.shuffle(self.plan)

    def search(self) -> None:
        """Search to the end, killing now and then."""
        file = self.folder / "search.py"
        file.write_text(SCRIPT)
        words = [sys.executable, str(file), str(self.folder), *(str(each) for each in (TRIALS, STEPS, SEED))]
        env = {**os.environ, "PYTHONPATH": PATHS}
        with (self.folder / "errors").open("w") as errors:
            script = subprocess.Popen(words, env=env, stderr=errors)
            try:
                for kind in self.plan:
                    time.sleep(self.chance.uniform(0.1, 0.6))
                    for _ in range(100):
                        if script.poll() is not None or self.kill(kind):
                            break
                        time.sleep(0.1)
                (self.folder / "enough").touch()
                status = script.wait(180 + 6 * TRIALS)
            finally:
                script.kill()
                script.wait()
        assert status == 0, (self.folder / "errors").read_text()

    def kill(self, kind: str) -> bool:
        """Kill the owner, or the worker of a trial that has lost no more than one; tell whether there was one."""
        if kind == "owner":
            killed = [pid for pid in self.machine.owner() if send(pid, signal.SIGKILL)]
        else:
            try:
                live = self.client.ask(ListRuns(kind="trial", state="running", limit=100))
            except MainspringError:
                return False
            found = [run.pid for run in live if run.pid and run.attempt <= 2]
            killed = [pid for pid in self.chance.sample(found, min(1, len(found))) if send(pid, signal.SIGKILL)]
        self.kills[kind] += bool(killed)
        return bool(killed)


@pytest.mark.timeout(300 + 8 * TRIALS)
def test_a_search_on_eight_devices_loses_no_trial_and_records_none_twice(client, tmp_path):
    print(f"{TRIALS} trials, seed {SEED}")
    client.ask(AddPool(name="rack", url=f"local://rack?cpus=16&gpus={GPUS}"))
    devices = Devices(client, tmp_path)
    devices.search()
    print(dict(devices.kills))
    assert devices.kills["owner"] >= 1
    assert devices.kills["worker"] >= 1
    ((trials,),) = devices.ledger.read("study")
    assert [number for number, *_ in trials] == [*range(TRIALS)]
    assert len({run_id for _, run_id, *_ in trials}) == TRIALS
    runs = {run.id: run for run in client.ask(ListRuns(kind="trial", limit=10_000))}
    assert {run.id: run.state for run in runs.values()} == {run_id: "succeeded" for _, run_id, *_ in trials}
    assert devices.ledger.read("clash") == []
    ends = Counter((run_id, attempt) for run_id, attempt, _ in devices.ledger.read("end"))
    starts = Counter((run_id, attempt) for run_id, attempt, _ in devices.ledger.read("start"))
    assert {*ends.values(), *starts.values()} == {1}  # no attempt was executed twice
    for _, run_id, x, state, value in trials:
        run = runs[run_id]
        assert (state, value, load_value(run.outputs, client.blobs, client.seal)) == ("succeeded", x * STEPS, x * STEPS)
        assert (run_id, run.attempt) in ends
        points = client.ask(GetSeries(run_id=run_id, key="score"))
        assert [(step, score) for step, _, score in points] == [(step, x * (step + 1)) for step in range(STEPS)]
    print(f"{sum(run.attempt - 1 for run in runs.values())} attempts were lost, none of their trials")
