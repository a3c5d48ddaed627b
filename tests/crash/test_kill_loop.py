"""A hundred runs under SIGKILL: none lost, none recorded twice, told by a ledger outside the record."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from mainspring.domain.crashpoints import POINTS
from mainspring.domain.messages import GetSeries, ListRuns, ListVersions, Stop
from mainspring.sdk.client import connect_home
from mainspring.store.homes import place_home

RUNS = 100
SEEDS = [int(seed) for seed in os.environ.get("KILL_SEEDS", "1").split(",")]

STUDY = """
import json, os, time
import mainspring as ms

def note(what, n):
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, f"{what} {n} {os.getpid()}\\n".encode())
    os.close(ledger)

@ms.step(cache=False)
def square(n: int, pause_s: float, table: bool) -> int:
    note("start", n)
    ms.log(half=n / 2, step=0)
    time.sleep(pause_s)
    ms.log(half=float(n), step=1)
    if table:
        ms.write([{"n": n}], f"square-{n}")
    note("end", n)
    return n * n

@ms.pipeline
def study():
    count, pause_s, table = int(os.environ["RUNS"]), float(os.environ["PAUSE_S"]), bool(os.environ["TABLE"])
    futures = [square.submit(n, pause_s, table) for n in range(count)]
    return [future.result() for future in futures]

print(json.dumps(study()))
"""


class Machine:
    """The processes of one home, found by their command lines."""

    def __init__(self, home: Path):
        self.home = home

    def owner(self) -> list[int]:
        return self._find("mainspring.control.owner")

    def fork_server(self) -> list[int]:
        return [pid for pid in self._forks() if _parent(pid) not in self._forks()]

    def workers(self) -> list[int]:
        forks = self._forks()
        return [pid for pid in forks if _parent(pid) in forks]

    def _forks(self) -> list[int]:
        return self._find("mainspring.worker.forkserver")

    def _find(self, module: str) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                except OSError:
                    continue
                if module in line and any(str(self.home) in part for part in line):
                    found.append(int(entry.name))
        return found


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def place(tmp_path):
    home = tmp_path / "home"
    yield tmp_path
    if (home / "record.db").exists():
        connect_home(place_home(home)).ask(Stop())
    machine = Machine(home)
    for pid in (*machine.owner(), *machine.fork_server(), *machine.workers()):
        _kill(pid)


def _start_owner(place: Path, crash: str) -> None:
    """Start an owner whose processes follow a crash plan; the client's own process does not."""
    code = (
        "from mainspring.domain import messages; import mainspring.sdk.client as c; c.get_client().ask(messages.%s())"
    )
    env = {
        **os.environ,
        "MAINSPRING_HOME": str(place / "home"),
        "LEDGER": str(place / "ledger"),
        "MAINSPRING_CRASH": crash,
    }
    subprocess.run([sys.executable, "-c", code % "GetStatus"], env=env, check=False, timeout=60)


def _start(place: Path, *, runs: int, pause_s: float, table: bool = False) -> subprocess.Popen:
    script = place / "study.py"
    script.write_text(STUDY)
    env = {
        **os.environ,
        "MAINSPRING_HOME": str(place / "home"),
        "LEDGER": str(place / "ledger"),
        "RUNS": str(runs),
        "PAUSE_S": str(pause_s),
        "TABLE": "1" if table else "",
    }
    return subprocess.Popen(
        [sys.executable, str(script)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _count_ends(place: Path) -> int:
    ledger = place / "ledger"
    return ledger.read_text().count("end ") if ledger.exists() else 0


def _check(place: Path, client: subprocess.Popen, *, runs: int) -> None:
    out, err = client.communicate(timeout=100)
    assert client.returncode == 0, err
    assert json.loads(out) == [n * n for n in range(runs)]
    home = connect_home(place_home(place / "home"))
    recorded = home.ask(ListRuns(kind="step", name="square", limit=10_000))
    assert Counter(run.state for run in recorded) == {"succeeded": runs}
    assert Counter(run.params["n"] for run in recorded) == dict.fromkeys(range(runs), 1)
    ledger = Counter(tuple(line.split()[:2]) for line in (place / "ledger").read_text().splitlines())
    for run in recorded:
        n = run.params["n"]
        assert ledger["end", str(n)] >= 1, f"{n} is recorded and was never executed"
        assert ledger["start", str(n)] <= run.attempt, f"{n} was executed more often than the record tells"
        points = home.ask(GetSeries(run_id=run.id, key="half"))
        assert sorted({(step, value) for step, _, value in points}) == [(0, n / 2), (1, float(n))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(300)
def test_random_kills_lose_nothing_and_record_nothing_twice(place, seed):
    print(f"seed {seed}")
    chance = random.Random(seed)
    machine, kills, ended = Machine(place / "home"), Counter(), 0
    client = _start(place, runs=RUNS, pause_s=0.1)
    while client.poll() is None:
        time.sleep(chance.uniform(0.05, 0.3))
        kind = chance.choices(["worker", "owner", "fork_server"], [6, 3, 1])[0]
        if _count_ends(place) < ended + 2:
            continue  # a run whose worker is killed again and again is given up, and rightly
        victims = {"worker": machine.workers, "owner": machine.owner, "fork_server": machine.fork_server}[kind]()
        if victims and client.poll() is None and _kill(chance.choice(victims)):
            kills[kind] += 1
            ended = _count_ends(place)
    print(f"kills {dict(kills)}")
    _check(place, client, runs=RUNS)
    assert kills["worker"] >= 3
    assert kills["owner"] >= 2


@pytest.mark.parametrize("point", sorted(point for point in POINTS if not point.startswith("plane.")))
@pytest.mark.timeout(120)
def test_a_kill_at_each_crash_point_loses_nothing(place, point):
    mark = place / "killed"
    _start_owner(place, f"{point}:2:{mark}")
    client = _start(place, runs=6, pause_s=0.01, table=True)
    _check(place, client, runs=6)
    assert mark.exists(), f"nothing was killed at {point}"
    print(f"{point}: 1 kill")
    home = connect_home(place_home(place / "home"))
    for n in range(6):
        assert [version.details["rows"] for version in home.ask(ListVersions(kind="dataset", name=f"square-{n}"))] == [
            1
        ]


def test_every_crash_point_is_killed_by_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    planes = {point for point in POINTS if point.startswith("plane.")}
    assert {point for point in planes if point not in tests} == set()
