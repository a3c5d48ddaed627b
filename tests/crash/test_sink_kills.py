"""The owner and the courier are killed: every event reaches its receiver, in order, none is passed over."""

import random
import signal
import time

import pytest
from tests.support.homes import OwnerProcess, place_twins
from tests.support.kills import Machine, send
from tests.support.receivers import HttpReceiver, wait_for

from mainspring.domain import messages, sinks
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner

COUNT = 20


@pytest.fixture
def receiver(monkeypatch):
    monkeypatch.setenv("MAINSPRING_PRIVATE_HOSTS", "127.0.0.1")
    made = HttpReceiver()
    yield made
    made.end()


def make_events(client, first, count):
    for number in range(first, first + count):
        client.ask(messages.PutVersion(kind="model", name=f"m{number}", digest=f"d{number}", manifest={}))


def check(client, receiver, count):
    """Every event has arrived, each for the first time after the one before it; a repetition is the same message."""
    wait_for(lambda: client.ask(sinks.GetSink(name="ops")).pending == 0, "all events")
    told = [heard.json["data"]["body"]["name"] for heard in receiver.heard]
    assert list(dict.fromkeys(told)) == [f"m{number}" for number in range(count)]
    identities = {}
    for heard in receiver.heard:
        same = identities.setdefault(heard.headers["webhook-id"], heard.body)
        assert same == heard.body
    assert len(identities) == count
    state = client.ask(sinks.GetSink(name="ops"))
    assert (state.delivered, state.set_aside) == (count, 0)
    print(f"{len(told) - count} of {count} events were told again")
    return len(told) - count


@pytest.mark.parametrize(
    ("point", "passage"),
    [
        ("courier.taken", 1),
        ("courier.sent", 1),
        ("courier.sent", 7),
        ("owner.turn.before_commit", 9),
        ("owner.turn.before_commit", 40),
        ("owner.turn.after_commit", 9),
        ("owner.turn.after_commit", 40),
    ],
)
def test_a_process_killed_at_a_point_loses_nothing(client, home, receiver, monkeypatch, tmp_path, point, passage):
    mark = tmp_path / "killed"
    monkeypatch.setenv("MAINSPRING_CRASH", f"{point}:{passage}:{mark}")
    client.ask(sinks.AddSink(name="ops", kind="webhook", url=receiver.url, events=["model"]))
    make_events(client, 0, COUNT)
    assert check(client, receiver, COUNT) <= 1
    assert mark.exists()


def test_processes_killed_at_random_lose_nothing(home, receiver, client):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source, machine = random.Random(seed), Machine(home.root)
    client.ask(sinks.AddSink(name="ops", kind="webhook", url=receiver.url, events=["model"]))
    receiver.answer = lambda _: (time.sleep(0.02), (200, "ok"))[1]
    kills = {"owner": 0, "courier": 0}
    for round_ in range(5):
        make_events(client, round_ * COUNT, COUNT)
        kind = source.choice(sorted(kills))
        time.sleep(source.uniform(0.0, 0.5))
        kills[kind] += any(send(pid, signal.SIGKILL) for pid in getattr(machine, kind)())
    print(kills)
    again = Client(home, start_owner)
    assert check(again, receiver, 5 * COUNT) <= 5
    again.close()


def test_what_waits_when_an_owner_ends_is_sent_by_the_next(start, home, receiver):
    first = start()
    client = Client(home, start=None)
    receiver.gate.clear()
    client.ask(sinks.AddSink(name="ops", kind="webhook", url=receiver.url, events=["model"]))
    make_events(client, 0, 3)
    wait_for(lambda: receiver.heard, "the first event")
    machine = Machine(home.root)
    assert len(machine.courier()) == 1
    assert first.end() == 0
    wait_for(lambda: not machine.courier(), "the end of the courier")
    receiver.gate.set()
    start()
    assert check(client, receiver, 3) == 1
    client.close()


def test_an_idle_owner_stays_while_a_receiver_may_come_back(start, home, receiver):
    owner = start(MAINSPRING_IDLE_S="0.4")
    client = Client(home, start=None)
    receiver.answer = lambda _: (503, "soon")
    client.ask(sinks.AddSink(name="ops", kind="webhook", url=receiver.url, events=["model"]))
    make_events(client, 0, 1)
    client.close()
    wait_for(lambda: len(receiver.heard) == 3, "three tries")
    assert owner.process.poll() is None
    receiver.answer = lambda _: (200, "here")
    wait_for(lambda: owner.process.poll() is not None, "the end of an owner with nothing to do")
    assert receiver.heard[-1].json["data"]["body"]["name"] == "m0"
    assert Machine(home.root).courier() == []


def test_another_owner_goes_on_when_the_one_that_sends_is_killed(tmp_path, database, receiver, monkeypatch):
    """On one record, one owner at a time has a courier; what it leaves the other one sends, in order."""
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    homes = place_twins(tmp_path)
    owners = [OwnerProcess(home) for home in homes]
    clients = [Client(home, start=None) for home in homes]
    machines = [Machine(home.root) for home in homes]
    try:
        clients[0].ask(sinks.AddSink(name="ops", kind="webhook", url=receiver.url, events=["model"]))
        make_events(clients[1], 0, 3)
        sending = wait_for(lambda: [at for at, machine in enumerate(machines) if machine.courier()], "a courier")
        assert len(sending) == 1
        wait_for(lambda: clients[0].ask(sinks.GetSink(name="ops")).delivered == 3, "the first three")
        assert clients[1 - sending[0]].ask(sinks.TestSink(name="ops")).outcome == "accepted"
        receiver.heard[:] = [heard for heard in receiver.heard if heard.json["type"] != "test"]
        owners[sending[0]].kill()
        other = clients[1 - sending[0]]
        make_events(other, 3, 5)
        assert check(other, receiver, 8) <= 1
    finally:
        for each in (*clients, *owners):
            getattr(each, "end", getattr(each, "close", None))()
