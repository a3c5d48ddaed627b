"""Several owners, each with a home of its own, on one record."""

import os
import select
import signal
import threading
import time

import pytest
from sqlalchemy import text
from tests.support.homes import Desk, OwnerProcess, lapse, place_twins

from mainspring.control.leases import take_over
from mainspring.domain import messages
from mainspring.domain.errors import Conflict, Unavailable
from mainspring.sdk.client import Client
from mainspring.store.dialects.postgresql import PostgresqlListener
from mainspring.store.engine import open_engine
from mainspring.store.leases import read_lease
from mainspring.store.places import read_place
from mainspring.testing import programs
from mainspring.testing.engines import make_spec, wait_for_file
from mainspring.tracking.codecs import load_value


@pytest.fixture
def homes(tmp_path, database, monkeypatch):
    """Two homes of one record; they share their blobs as two machines share a bucket."""
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    monkeypatch.setenv("MAINSPRING_IDLE_S", "60")
    return place_twins(tmp_path)


@pytest.fixture
def owners(homes):
    """A real owner for each."""
    started = [OwnerProcess(home) for home in homes]
    yield started
    for each in started:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGCONT)
        each.end()


@pytest.fixture
def clients(homes, owners):
    made = [Client(home, start=None) for home in homes]
    yield made
    for each in made:
        each.close()


def read(home, name):
    engine = open_engine(home)
    with engine.connect() as connection:
        lease = read_lease(connection, name)
    engine.dispose()
    return lease


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_one_owner_writes_the_other_reads_and_is_told_of(homes, clients):
    a, b = clients
    ear = PostgresqlListener(homes[1])
    run = a.ask(messages.BeginRun(kind="step", name="shared")).run
    assert b.ask(messages.GetRun(id=run.id)) == run
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(b.ask(messages.WaitRuns(ids=[run.id], wait_s=30))))
    waiting.start()
    a.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded"))
    waiting.join(60)
    assert [each.state for each in answers[0]] == ["succeeded"]
    heard = set()
    while run.id not in heard:
        assert select.select([ear], [], [], 30)[0]
        heard |= ear.take()
    ear.close()


def test_many_clients_of_both_write_at_once(clients):
    count, told = 25, []

    def work(client, name):
        for number in range(count):
            run = client.ask(messages.BeginRun(kind="step", name=f"{name}{number}")).run
            client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded"))
            told.append(run.id)

    threads = [threading.Thread(target=work, args=(clients[at % 2], f"t{at}.")) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for client in clients:
        found = client.ask(messages.ListRuns(limit=1000))
        assert sorted(run.id for run in found) == sorted(told)
        assert {run.state for run in found} == {"succeeded"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_the_runs_of_an_owner_that_is_gone_are_taken_over(homes, owners, clients, tmp_path, how):
    a, b = clients
    inline = a.ask(messages.BeginRun(kind="pipeline", name="inline")).run
    started, go = tmp_path / "started", tmp_path / "go"
    spec = make_spec(a, programs.wait_for, str(go), str(started))
    (held,) = a.ask(messages.SubmitRuns(runs=[spec]))
    wait_for_file(started)
    node = read_place(homes[0].root).node
    os.kill(owners[0].pid, how)
    lapse(homes[1], node)
    wait_until(lambda: b.ask(messages.GetRun(id=held.id)).attempt == 2)
    assert b.ask(messages.GetRun(id=inline.id)).problem.code == "RUN-008"
    go.touch()
    (ended,) = b.ask(messages.WaitRuns(ids=[held.id], wait_s=60))
    assert (ended.state, ended.attempt, ended.fence) == ("succeeded", 2, 2), ended.problem
    assert load_value(ended.outputs, b.blobs, b.seal) > 0
    if how == signal.SIGSTOP:
        os.kill(owners[0].pid, signal.SIGCONT)
        late = messages.FinishRun(run_id=held.id, attempt=1, fence=1, state="failed")
        with pytest.raises(Exception, match="RUN-00"):
            a.ask(late)
        begun = a.ask(messages.BeginRun(kind="step", name="goes on")).run
        assert b.ask(messages.GetRun(id=begun.id)).state == "running"
        wait_until(lambda: read(homes[0], f"node:{node}") is not None)
    assert b.ask(messages.GetRun(id=held.id)).fence == 2


def test_loops_go_to_the_other_owner_when_one_is_gone(homes, owners):
    name = "loop:follow_labels"
    wait_until(lambda: read(homes[0], name) is not None)
    before = read(homes[0], name)
    at = next(at for at, home in enumerate(homes) if before.holder.startswith(read_place(home.root).node))
    owners[at].kill()
    lapse(homes[0], read_place(homes[at].root).node)
    wait_until(lambda: read(homes[0], name).holder != before.holder)
    after = read(homes[0], name)
    assert after.fence == before.fence + 1
    assert after.holder.startswith(read_place(homes[1 - at].root).node)


def test_a_lease_has_one_holder_and_its_fence_grows(homes):
    desks = [Desk(home, node) for home, node in zip(homes, ("one", "two"), strict=True)]
    calls = []

    def call(desk):
        desk.call(lambda turn: calls.append(turn.node), lease="loop:test")

    for desk in (desks[0], desks[1], desks[0]):
        call(desk)
    assert calls == ["one", "one"]
    lapse(homes[0], "one")
    for desk in (desks[1], desks[0]):
        call(desk)
    assert calls == ["one", "one", "two"]
    assert read(homes[0], "loop:test").fence == 2
    for desk in desks:
        desk.close()


def test_what_waits_in_line_of_a_dead_owner_moves_on(homes):
    desks = [Desk(home, node) for home, node in zip(homes, ("one", "two"), strict=True)]
    spec = messages.RunSpec(kind="step", name="queued", call=messages.records.Call(payload="0" * 64))
    (run,) = desks[0].ask(messages.SubmitRuns(runs=[spec]))
    desks[1].call(take_over)
    assert node_of(homes[0], run) == "one"
    lapse(homes[0], "one")
    desks[1].call(take_over)
    assert node_of(homes[0], run) == "two"
    after = desks[0].ask(messages.GetRun(id=run.id))
    assert (after.state, after.attempt) == ("queued", 1)
    for desk in desks:
        desk.close()


@pytest.mark.parametrize("jump_s", [86_400.0, -3600.0], ids=["a day forwards", "an hour back"])
def test_a_jump_of_the_databases_clock_takes_nothing_from_an_owner_that_lives(homes, jump_s):
    desks = [Desk(home, node) for home, node in zip(homes, ("one", "two"), strict=True)]
    spec = messages.RunSpec(kind="step", name="queued", call=messages.records.Call(payload="0" * 64))
    (run,) = desks[0].ask(messages.SubmitRuns(runs=[spec]))
    inline = desks[0].ask(messages.BeginRun(kind="step", name="inline")).run
    shift(homes[0], -jump_s)
    desks[1].call(take_over)
    desks[0]._seen_at -= 5.0  # as every few seconds, it tells that it lives
    desks[0].ask(messages.BeginRun(kind="step", name="goes on"))
    assert 0 < read(homes[0], "node:one").expires_at - time.time() <= 21
    desks[1].clock.advance(6)
    desks[1].call(take_over)
    assert node_of(homes[0], run) == "one"
    assert desks[1].ask(messages.GetRun(id=inline.id)).state == "running"
    # One that is gone is missed in time all the same.
    shift(homes[0], -jump_s)
    desks[1].call(take_over)
    assert node_of(homes[0], run) == "one"
    desks[1].clock.advance(6)
    desks[1].call(take_over)
    assert node_of(homes[0], run) == "two"
    assert desks[1].ask(messages.GetRun(id=inline.id)).problem.code == "RUN-008"
    for desk in desks:
        desk.close()


def test_a_lease_from_before_the_clock_was_put_back_stops_nobody(homes):
    desks = [Desk(home, node) for home, node in zip(homes, ("one", "two"), strict=True)]
    calls = []
    for desk in desks:
        desk.call(lambda turn: calls.append(turn.node), lease="loop:test")
    shift(homes[0], 3600.0)
    desks[1].call(lambda turn: calls.append(turn.node), lease="loop:test")
    desks[0].call(lambda turn: calls.append(turn.node), lease="loop:test")
    assert calls == ["one", "two"]
    assert read(homes[0], "loop:test").fence == 2
    for desk in desks:
        desk.close()


def shift(home, seconds):
    """Have all leases look as if the database's clock had jumped the other way."""
    engine = open_engine(home)
    with engine.begin() as connection:
        connection.execute(text("UPDATE leases SET expires_at = expires_at + :seconds"), {"seconds": seconds})
    engine.dispose()


def node_of(home, run):
    engine = open_engine(home)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT node FROM runs WHERE id = :id"), {"id": run.id}).scalar_one()
    engine.dispose()
    return found


def test_an_owner_that_stops_within_a_turn_holds_nobody_up(homes):
    """Its session is ended by the server; what it had not committed is gone."""
    desks = [Desk(home, node) for home, node in zip(homes, ("one", "two"), strict=True)]
    told = []

    def stop(turn):
        turn.emit("note", "never")
        desks[1].call(lambda other: told.append(other.node))

    with pytest.raises(Unavailable) as caught:
        desks[0].call(stop)
    assert caught.value.code == "HOME-030"
    assert told == ["two"]
    assert desks[1].ask(messages.ListEvents(kind="note")) == []
    for desk in desks:
        desk.close()


def test_readers_do_not_wait_for_a_writer(homes):
    desks = [Desk(home, node) for home, node in zip(homes, ("one", "two"), strict=True)]
    run = desks[0].ask(messages.BeginRun(kind="step", name="seen")).run
    found = []

    def write(turn):
        turn.emit("note", "not yet")
        found.append(desks[1].ask(messages.GetRun(id=run.id)))
        found.append(desks[1].ask(messages.ListEvents(kind="note")))

    desks[0].call(write)
    assert found == [run, []]
    for desk in desks:
        desk.close()


def test_an_owner_of_an_older_release_ends_when_a_newer_one_has_migrated(homes, owners, clients):
    engine = open_engine(homes[0])
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Conflict) as caught:
        clients[0].ask(messages.BeginRun(kind="step", name="late"))
    assert caught.value.code == "HOME-003"
    for owner in owners:
        assert owner.process.wait(timeout=60) == 0
