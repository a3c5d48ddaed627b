"""Processes that stand still past their lease, and go on: nothing is lost for it, and late writes are refused."""

import signal
import time

import pytest
from tests.support.executions import execute
from tests.support.histories import Entry
from tests.support.homes import OwnerProcess, lapse, place_twins
from tests.support.kills import Ledger, Machine, send
from tests.support.witnesses import Witness

from mainspring.domain import messages
from mainspring.domain.errors import Conflict
from mainspring.sdk.client import Client
from mainspring.store.places import read_place
from mainspring.testing.engines import get, lives, submit, until, wait
from mainspring.tracking.codecs import load_value

LEASE_S = 5.0


def double(number):
    return 2 * number


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def go(tmp_path):
    return tmp_path / "go"


@pytest.fixture
def stopped():
    """Stop processes; all go on after the test, so that they can end."""
    found = []

    def stop(*pids):
        for pid in pids:
            assert send(pid, signal.SIGSTOP)
            found.append(pid)

    yield stop
    for pid in found:
        send(pid, signal.SIGCONT)


def attempts(ledger, what):
    return [attempt for _, attempt, *_ in ledger.read(what)]


def settle(condition):
    for _ in until():
        if condition():
            return


def check(client, witness, run, ledger, attempt):
    """The run has succeeded at that attempt, and never was anything else."""
    (ended,) = wait(client, run)
    witness.see_runs(client)
    assert (ended.state, ended.attempt, ended.fence) == ("succeeded", attempt, attempt), ended.problem
    assert load_value(ended.outputs, client.blobs, client.seal) == attempt
    witness.call("submit", lambda: run.id)
    assert witness.check([Entry("submit", ended.id)]) > 1
    assert attempt in attempts(ledger, "ended")


@pytest.mark.usefixtures("record")
def test_an_owner_that_stood_still_takes_nothing_from_workers_that_live(home, start, client, ledger, go, stopped):
    """Their heartbeats wait in its sockets; it must not count its own silence as theirs."""
    owner, witness = start(lease_s=LEASE_S), Witness()
    run = submit(client, execute, ledger.path, go)
    settle(lambda: ledger.read("began"))
    stopped(owner.pid)
    time.sleep(LEASE_S + 1)
    send(owner.pid, signal.SIGCONT)
    log = home.logs / "owner.log"
    settle(lambda: "nothing was done for" in log.read_text())
    witness.see_runs(client)
    go.touch()
    check(client, witness, run, ledger, 1)
    assert attempts(ledger, "began") == [1]


@pytest.mark.usefixtures("record")
def test_a_fork_server_and_its_worker_that_stood_still_past_their_lease(home, start, client, ledger, go, stopped):
    """The worker goes on and ends too late: the run has begun another attempt, and that one counts."""
    start(lease_s=LEASE_S)
    witness, machine = Witness(), Machine(home.root)
    run = submit(client, execute, ledger.path, go)
    settle(lambda: ledger.read("began"))
    (forks,), (worker,) = machine.fork_server(), machine.worker()
    stopped(forks, worker)
    settle(lambda: witness.see_runs(client)[0].attempt == 2)
    go.touch()
    send(worker, signal.SIGCONT)
    settle(lambda: attempts(ledger, "ended") == [1])
    text = home.logs / "runs" / f"{run.id}-1.log"
    settle(lambda: "RUN-005" in text.read_text())
    for state in ("succeeded", "failed"):
        with pytest.raises(Conflict, match="RUN-005"):
            client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state=state))
    late = messages.Report(run_id=run.id, attempt=1, fence=1, points=[("loss", 0, 1.0, 1.0)], offset=9)
    assert client.ask(late).order == "lost"
    assert get(client, run).state in {"queued", "starting"}
    send(forks, signal.SIGCONT)
    check(client, witness, run, ledger, 2)
    assert get(client, run).metrics == {}


def test_a_fork_server_that_stands_still_is_replaced(home, start, client, ledger, go, stopped):
    """Nobody lets it go on: it is killed, a new one takes its run, and what its worker says then comes too late."""
    start(lease_s=LEASE_S, stopped_s=LEASE_S + 2)
    witness, machine = Witness(), Machine(home.root)
    run = submit(client, execute, ledger.path, go)
    settle(lambda: ledger.read("began"))
    (forks,) = machine.fork_server()
    stopped(forks)
    settle(lambda: not lives(forks))
    settle(lambda: set(attempts(ledger, "began")) > {1})
    (successor,) = machine.fork_server()
    assert successor != forks
    go.touch()
    (ended,) = wait(client, run)
    witness.see_runs(client)
    assert (ended.state, ended.attempt > 1) == ("succeeded", True)
    assert load_value(ended.outputs, client.blobs, client.seal) == ended.attempt
    witness.check()


def test_a_fork_server_that_stands_still_without_work_is_replaced_when_there_is_some(home, start, client, stopped):
    start(lease_s=LEASE_S, stopped_s=3.0)
    (done,) = wait(client, submit(client, double, 4))
    assert done.state == "succeeded"
    (forks,) = Machine(home.root).fork_server()
    stopped(forks)
    (done,) = wait(client, submit(client, double, 5))
    assert done.state == "succeeded"
    assert not lives(forks)


def test_a_worker_that_stands_still_keeps_its_run_until_its_time_is_over(client, ledger, go, stopped):
    """Its fork server speaks for it; that one ends it as well, which a stopped process cannot do."""
    witness = Witness()
    patient, hasty = submit(client, execute, ledger.path, go), submit(client, execute, ledger.path, go, timeout_s=4.0)
    settle(lambda: len(ledger.read("began")) == 2 or get(client, hasty).ended_at)
    workers = {run_id: pid for run_id, _, pid in ledger.read("began")}
    stopped(*filter(lives, workers.values()))
    (ended,) = wait(client, hasty)
    assert (ended.state, ended.problem.code) == ("failed", "RUN-007")
    settle(lambda: not lives(workers.get(hasty.id, 0)))
    witness.see_runs(client)
    go.touch()
    send(workers[patient.id], signal.SIGCONT)
    (ended,) = wait(client, patient)
    witness.see_runs(client)
    assert (ended.state, ended.attempt, attempts(ledger, "ended")) == ("succeeded", 1, [1])
    witness.check()


def test_a_machine_that_stood_still_finds_its_runs_taken_over(tmp_path, database, monkeypatch, ledger, go, stopped):
    """All of one of two homes stops; what it does when it goes on changes nothing."""
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    homes, witness = place_twins(tmp_path), Witness()
    owners = [OwnerProcess(home, MAINSPRING_IDLE_S="60") for home in homes]
    here, there = (Client(home, start=None) for home in homes)
    try:
        run = submit(here, execute, ledger.path, go)
        inline = here.ask(messages.BeginRun(kind="step", name="inline", host="elsewhere")).run
        settle(lambda: ledger.read("began"))
        machine = Machine(homes[0].root)
        stopped(owners[0].pid, *machine.fork_server(), *machine.worker())
        lapse(homes[1], read_place(homes[0].root).node)
        settle(lambda: 2 in attempts(ledger, "began"))
        witness.see_runs(there)
        for pid in (owners[0].pid, *machine.fork_server(), *machine.worker()):
            send(pid, signal.SIGCONT)
        end = messages.FinishRun(run_id=inline.id, attempt=1, fence=1, state="succeeded")
        with pytest.raises(Conflict, match="RUN-005"):
            here.ask(end)
        # Its worker is told to end, or comes too late; which of the two depends on who is faster.
        settle(lambda: not machine.worker())
        witness.see_runs(here)
        go.touch()
        check(there, witness, run, ledger, 2)
        assert attempts(ledger, "ended").count(2) == 1
        begun = here.ask(messages.BeginRun(kind="step", name="goes on")).run
        assert there.ask(messages.GetRun(id=begun.id)).state == "running"
    finally:
        for each in (here, there):
            each.close()
        for home, owner in zip(homes, owners, strict=True):
            send(owner.pid, signal.SIGCONT)
            owner.end()
            Machine(home.root).kill_all()
