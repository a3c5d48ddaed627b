"""PostgreSQL is killed and started again every two seconds while clients write and a pipeline runs."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from tests.support.homes import end_owner
from tests.support.kills import Ledger
from tests.support.postgresql import PostgresqlServer
from tests.support.searches import PATHS
from tests.support.witnesses import Witness, Writer, read_entries

from mainspring.domain import messages
from mainspring.domain.errors import Unavailable
from mainspring.sdk import client as client_module
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home

RESTARTS = int(os.environ.get("RESTARTS", "4"))
WRITERS = 3

PIPELINE = """
import sys, time
from pathlib import Path
import mainspring as ms
from tests.support.kills import Ledger

@ms.step
def part(path: str, number: int) -> int:
    ledger = Ledger(Path(path))
    ledger.note("began", number)
    for step in range(3):
        ms.log(loss=1 / (step + number + 1), step=step)
    ms.write([{"number": number}], "parts", mode="append")
    time.sleep(0.2)
    return number

@ms.pipeline
def parts(path: str, count: int) -> int:
    inline = [part(path, number) for number in range(count)]
    queued = [part.submit(path, number) for number in range(count, count + 4)]
    return sum(inline) + sum(each.result() for each in queued)

print(parts(sys.argv[1], int(sys.argv[2])))
"""


@pytest.fixture
def server():
    """A server that nobody else asks."""
    made = PostgresqlServer()
    yield made
    made.close()


@pytest.fixture
def client(home, server, monkeypatch):
    monkeypatch.setenv("MAINSPRING_RECORD", server.make_database("record"))
    made = Client(place_home(home.root), start_owner)
    yield made
    made.close()
    end_owner(made.home)


@pytest.mark.timeout(600)
def test_a_database_killed_every_two_seconds_loses_and_doubles_nothing(client, server, tmp_path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    witness, ledger, count = Witness(), Ledger(tmp_path / "ledger"), 6
    client.ask(messages.GetStatus())
    writers = [Writer(witness, client, f"w{number}", retry=("HOME-030",)) for number in range(WRITERS)]
    for each in writers:
        each.start()
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    pipeline = subprocess.Popen(
        [sys.executable, tmp_path / "pipeline.py", ledger.path, str(count)],
        env={**os.environ, "PYTHONPATH": PATHS, "MAINSPRING_PROGRESS": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    restarts = Counter()
    while restarts.total() < RESTARTS or pipeline.poll() is None:
        time.sleep(2)
        how = chance.choice(["killed", "cut off", "stopped"])
        restarts[how] += 1
        if how == "killed":
            server.kill()
        else:
            server.stop(signal.SIGQUIT if how == "cut off" else signal.SIGINT)
        server.start()
        witness.see_runs(client)
        witness.see_versions(client, "dataset", "parts")
    for each in writers:
        each.end()
    printed, errors = pipeline.communicate(timeout=60)
    assert printed == f"{sum(range(count + 4))}\n", errors
    witness.see_runs(client)
    looked_at = witness.check(read_entries(client))
    done = sum(each.done for each in writers)
    print(f"{dict(restarts)}, {done} runs written, {looked_at} facts looked at, refusals {Counter(witness.refusals)}")
    assert done > WRITERS
    assert set(witness.refusals) <= {"HOME-030"}
    runs = client.ask(messages.ListRuns(kind="step", limit=1000))
    assert [run.state for run in runs] == ["succeeded"] * (count + 4)
    assert all(len(client.ask(messages.GetSeries(run_id=run.id, key="loss"))) == 3 for run in runs)
    inline = Counter(number for (number,) in ledger.read("began"))
    assert all(inline[number] == 1 for number in range(count))
    versions = client.ask(messages.ListVersions(kind="dataset", name="parts"))
    assert sorted(version.details["rows"] for version in versions) == list(range(1, count + 5))


def test_a_database_that_stays_away_is_named_and_what_was_asked_takes_effect_once(client, server, monkeypatch):
    client.ask(messages.GetStatus())
    monkeypatch.setattr(client_module, "_PATIENCE_S", 1.0)
    server.kill()
    command = messages.BeginRun(kind="step", name="once")
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            client.ask(command, key="k")
        assert caught.value.code == "HOME-030"
        assert caught.value.fix
        assert "top secret" not in str(caught.value)
    server.start()
    monkeypatch.undo()
    first = client.ask(command, key="k").run
    assert client.ask(command, key="k").run == first
    assert [run.name for run in client.ask(messages.ListRuns())] == ["once"]
