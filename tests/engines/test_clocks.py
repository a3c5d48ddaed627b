"""Wall clocks of real processes jump by a day and back: libfaketime tells them another time."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from tests.support.executions import execute, stumble
from tests.support.homes import OwnerProcess, end_owner, lapse, place_twins
from tests.support.kills import Ledger, Machine
from tests.support.postgresql import PostgresqlServer
from tests.support.witnesses import Witness, Writer, read_entries

from mainspring.control.processes import this_host
from mainspring.domain import messages
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.places import read_place
from mainspring.testing.engines import get, submit, until, wait

pytestmark = pytest.mark.engines

PLACES = [*Path("/usr/lib").glob("*/faketime"), Path(os.environ.get("FAKETIME_FOLDER", "/-"))]
LIBRARIES = [path for place in PLACES for path in place.glob("libfaketimeMT.so.1")]
JUMPS = ("+1d", "-1h", "+0")
PASSING = ("HOME-019", "HOME-030")
"""When its clock is put back, PostgreSQL counts waiting times wrongly and ends transactions that have just begun."""

SETTLED_S = 7.0
"""Longer than an owner waits before it believes that another one is gone."""


SLEEP = """
import select
import time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""
"""libfaketime 0.9.10 refuses to sleep until a moment of the monotonic clock, as `time.sleep` does."""


class Clock:
    """The time that processes are told which were started with its `environment`."""

    def __init__(self):
        # Not below the test's own folder: PostgreSQL runs as another user.
        self.folder = Path(tempfile.mkdtemp(prefix="ms-clock-"))
        self.folder.chmod(0o755)
        (self.folder / "sitecustomize.py").write_text(SLEEP)
        self.environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self.folder), os.environ.get("PYTHONPATH")])),
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "now"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
        }
        self.jump("+0")

    def jump(self, to):
        """Have the clock show the true time and so much more."""
        draft = self.folder / "draft"
        draft.write_text(to)
        draft.chmod(0o644)
        draft.replace(self.folder / "now")

    def close(self):
        shutil.rmtree(self.folder)


@pytest.fixture
def clock():
    if not LIBRARIES:
        if os.environ.get("ENGINES") == "all":
            pytest.fail("libfaketime is to be here: apt-get install libfaketime")
        pytest.skip("libfaketime is not here: apt-get install libfaketime")
    made = Clock()
    yield made
    made.close()


def watch(witness, client, seconds, *homes):
    """Look at runs, and at leases where there are any, for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        witness.see_runs(client)
        for home in homes:
            witness.see_leases(home)
        time.sleep(0.2)


def check_times(client):
    """The list is in the order of beginnings, and no run ends before it began."""
    runs = client.ask(messages.ListRuns(limit=10_000))
    for run in runs:
        assert run.created_at <= (run.started_at or run.created_at) <= (run.ended_at or float("inf"))
    seqs = [event.seq for event in client.ask(messages.ListEvents(limit=1000))]
    assert seqs == sorted(seqs)
    return runs


def test_clocks_of_owner_and_workers_jump(home, clock, monkeypatch, tmp_path):
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    client, witness, ledger, go = Client(home, start_owner), Witness(), Ledger(tmp_path / "ledger"), tmp_path / "go"
    try:
        before = time.time()
        steady = submit(client, execute, ledger.path, go)
        unsteady = submit(client, stumble, ledger.path, go, retries=1)
        for _ in until():
            if len(ledger.read("began")) == 2:
                break
        writer = Writer(witness, client, "w")
        writer.start()
        repeated = messages.BeginRun(kind="step", name="once")
        once = client.ask(repeated, key="once").run
        for jump in JUMPS[:2]:
            clock.jump(jump)
            watch(witness, client, 4.0)
            assert client.ask(repeated, key="once").run.id == once.id
        shown = client.ask(messages.BeginRun(kind="step", name="shown")).run.created_at
        assert shown < before, "the owner has not heard of the jump"
        assert {get(client, run).attempt for run in (steady, unsteady)} == {1}
        go.touch()
        ended = wait(client, steady, unsteady)
        writer.end()
        watch(witness, client, 0.5)
        assert [(run.state, run.attempt) for run in ended] == [("succeeded", 1), ("succeeded", 2)]
        points = client.ask(messages.GetSeries(run_id=unsteady.id, key="loss"))
        assert [(step, value) for step, _, value in points] == [(0, 20.0), (1, 21.0)]
        runs = check_times(client)
        written = [run.name for run in runs if run.kind == "written"]
        assert written == [f"w.{number}" for number in reversed(range(writer.done))]
        print(f"{witness.check(read_entries(client))} facts looked at, {writer.done} runs written")
    finally:
        client.close()
        end_owner(home)
        Machine(home.root).kill_all()


@pytest.mark.timeout(300)
def test_the_clock_of_the_database_jumps_under_two_owners(clock, monkeypatch, tmp_path):
    server = PostgresqlServer(**clock.environment)
    monkeypatch.setenv("MAINSPRING_RECORD", server.make_database("record"))
    homes, witness = place_twins(tmp_path), Witness()
    owners = [OwnerProcess(home, MAINSPRING_IDLE_S="300") for home in homes]
    clients = [Client(home, start=None) for home in homes]
    ledger, go = Ledger(tmp_path / "ledger"), tmp_path / "go"
    try:
        held = [submit(client, execute, ledger.path, go) for client in clients]
        begin = messages.BeginRun(kind="pipeline", name="inline", pid=os.getpid(), host=this_host())
        inline = [client.ask(begin).run for client in clients]
        for _ in until():
            if len(ledger.read("began")) == 2:
                break
        writers = [Writer(witness, client, f"w{at}", retry=PASSING) for at, client in enumerate(clients)]
        for each in writers:
            each.start()
        for jump in JUMPS:
            clock.jump(jump)
            watch(witness, clients[0], SETTLED_S, homes[0])
            now = [get(clients[0], run) for run in [*held, *inline]]
            assert {(run.state, run.attempt) for run in now} == {("running", 1)}, (jump, [run.problem for run in now])
        # One that is really gone is missed, in the new time too.
        writers[1].end()
        clock.jump("-1h")
        watch(witness, clients[0], 1.0, homes[0])
        owners[1].kill()
        Machine(homes[1].root).kill_all()
        lapse(homes[0], read_place(homes[1].root).node)
        go.touch()
        ended = wait(clients[0], *held)
        assert [(run.state, run.attempt) for run in ended] == [("succeeded", 1), ("succeeded", 2)]
        writers[0].end()
        watch(witness, clients[0], 0.5, homes[0])
        runs = check_times(clients[0])
        assert all(run.ended_at for run in runs if run.kind in {"written", "step"})
        print(f"{witness.check(read_entries(clients[0]))} facts looked at, {sum(w.done for w in writers)} runs written")
        assert set(witness.refusals) <= set(PASSING)
    finally:
        clock.jump("+0")
        for client, home, owner in zip(clients, homes, owners, strict=True):
            client.close()
            owner.end()
            Machine(home.root).kill_all()
        server.close()
