"""Owners are killed while triggers start pipelines: each event has one start, whoever dies where."""

import random
import signal

import pytest
from tests.support.homes import OwnerProcess, place_twins
from tests.support.kills import Machine, send
from tests.support.receivers import wait_for

from mainspring.domain import messages
from mainspring.domain.records import Declaration
from mainspring.domain.states import TERMINAL
from mainspring.domain.triggers import GetPipeline
from mainspring.sdk.client import Client

COUNT = 3
SNAPSHOT = {"files": {}, "entry": "nothing:train", "python": "", "preload": []}


def declare(client):
    """Apply a pipeline that fails at once when it starts: that it starts is what counts."""
    trigger = {"event": "data", "match": {"dataset": "orders"}, "cooldown_s": None, "policy": "regret"}
    body = {"triggers": [trigger], "snapshot": SNAPSHOT, "folder": ""}
    client.ask(messages.Apply(declarations=[Declaration("pipeline", "train", body)]))


def write(client, number):
    put = messages.PutVersion(kind="dataset", name="orders", digest=f"d{number}", manifest={"table": "orders"})
    return client.ask(put).reference


def wait_for_end(client, count):
    """Wait until so many runs of the pipeline have ended."""

    def is_ended():
        found = client.ask(messages.ListRuns(kind="pipeline", name="train"))
        return len(found) >= count and all(run.state in TERMINAL for run in found)

    wait_for(is_ended, f"run {count}")


def check(client, references):
    runs = client.ask(messages.ListRuns(kind="pipeline", name="train"))[::-1]
    assert [run.params["event"] for run in runs] == references
    (trigger,) = client.ask(GetPipeline(name="train")).triggers
    assert (trigger.starts, trigger.coalesced, trigger.passed, trigger.waiting) == (len(references), 0, 0, 0)
    assert trigger.run_id == runs[-1].id


@pytest.mark.parametrize(
    ("point", "passage"),
    [
        ("trigger.decided", 2),
        ("owner.turn.before_commit", 4),
        ("owner.turn.after_commit", 9),
    ],
)
def test_an_owner_killed_at_a_point_starts_each_once(client, monkeypatch, tmp_path, point, passage):
    mark = tmp_path / "killed"
    monkeypatch.setenv("MAINSPRING_CRASH", f"{point}:{passage}:{mark}")
    declare(client)
    references = []
    for number in range(COUNT):
        references.append(write(client, number))
        wait_for_end(client, number + 1)
    check(client, references)
    assert mark.exists()


def test_of_several_owners_one_starts_and_another_takes_over(tmp_path, database, monkeypatch):
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    homes = place_twins(tmp_path)
    owners = [OwnerProcess(home) for home in homes]
    clients = [Client(home, start=None) for home in homes]
    references = []
    try:
        declare(clients[0])
        for number in range(COUNT):
            references.append(write(clients[number % 2], number))
            if number == 1:
                killed = source.randrange(2)
                for pid in Machine(homes[killed].root).owner():
                    send(pid, signal.SIGKILL)
                owners[killed].end()
                owners.append(owners[killed])
                owners[killed] = OwnerProcess(homes[killed])
            wait_for_end(clients[1 - number % 2], number + 1)
        check(clients[0], references)
    finally:
        for each in clients:
            each.close()
        for each in owners:
            each.end()
