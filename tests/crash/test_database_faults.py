"""The record's database refuses, restarts, cuts off, vanishes: one clear error each, nothing lost, nothing doubled."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.support.homes import Desk
from tests.support.ledgers import Ledger
from tests.support.proxies import CuttingProxy

from mainspring.control.commits import Answer, Ask
from mainspring.domain import messages
from mainspring.domain.errors import Conflict, Invalid, MainspringError
from mainspring.domain.principals import OWNER
from mainspring.sdk.client import Client
from mainspring.store.homes import place_home
from mainspring.testing.engines import submit, wait
from mainspring.tracking.codecs import load_value

END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mainspring' AND datname = '{}'"


@pytest.fixture
def shared_home(home, database, monkeypatch):
    """A home whose record is in a database of its own."""
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    return place_home(home.root)


def name_of(address):
    return address.rpartition("/")[2]


def commit_through(proxy, address):
    return address.replace(address.partition("@")[2].partition("/")[0], f"127.0.0.1:{proxy.port}")


def begin(name, key=""):
    return Ask(messages.BeginRun(kind="step", name=name), OWNER, key=key)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda server: server.address("nowhere"), "HOME-032"),
        (lambda server: server.address("postgres", password="a guess"), "HOME-031"),
        (lambda server: server.address("postgres", user="nobody_known"), "HOME-031"),
        (lambda server: server.address("postgres").replace(f":{server.port}/", ":1/"), "HOME-030"),
        (lambda server: server.address("postgres") + "?sslmode=verify-full", "HOME-030"),
    ],
    ids=["missing database", "wrong password", "unknown user", "nobody there", "no TLS"],
)
def test_an_owner_that_is_not_let_in_says_why(postgresql, start, change, code):
    address = change(postgresql)
    owner = start(MAINSPRING_RECORD=address)
    told = json.loads(owner.line)
    assert told["code"] == code
    assert "secret" not in owner.line
    assert "guess" not in owner.line
    assert owner.process.wait(timeout=30) == 1
    assert not (owner.home.root / "keys" / "record.json").exists()


@pytest.mark.parametrize("address", ["mysql://a@b/c", "postgresql://host", "postgresql://[::1/x", "record.db"])
def test_an_address_that_is_none_is_refused(home, monkeypatch, address):
    monkeypatch.setenv("MAINSPRING_RECORD", address)
    with pytest.raises(Invalid) as caught:
        place_home(home.root)
    assert caught.value.code == "HOME-035"


def test_a_home_keeps_its_record_and_tells_when_another_is_named(shared_home, monkeypatch, postgresql):
    Desk(shared_home).close()
    kept = shared_home.root / "keys" / "record.json"
    assert kept.stat().st_mode & 0o077 == 0
    assert "secret" not in repr(shared_home)
    monkeypatch.delenv("MAINSPRING_RECORD")
    assert place_home(shared_home.root) == shared_home
    Desk(shared_home).close()
    monkeypatch.setenv("MAINSPRING_RECORD", postgresql.address("other"))
    with pytest.raises(Conflict) as caught:
        place_home(shared_home.root)
    assert caught.value.code == "HOME-036"


def test_a_home_with_a_file_keeps_it(home, monkeypatch, database):
    Desk(home).close()
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    with pytest.raises(Conflict) as caught:
        place_home(home.root)
    assert caught.value.code == "HOME-036"


@pytest.mark.parametrize("how", ["before", "during"])
def test_a_connection_cut_around_its_commit_is_repeated_and_takes_effect_once(
    shared_home, monkeypatch, postgresql, database, how
):
    proxy = CuttingProxy(postgresql.port)
    monkeypatch.setenv("MAINSPRING_RECORD", commit_through(proxy, database))
    desk = Desk(place_home(shared_home.root))
    desk.run([begin("before")])
    asks = [begin("a", "key a"), begin("b", "key b")]
    proxy.cut = how
    outcomes, topics = desk.run(asks)
    assert [outcome.code for outcome in outcomes] == ["HOME-030"] * 2
    assert not topics
    assert proxy.cuts == 1
    first = repeat(desk, asks)
    again = repeat(desk, asks)
    assert first == again
    assert sorted(run.name for run in desk.ask(messages.ListRuns())) == ["a", "b", "before"]
    desk.close()
    proxy.close()


def repeat(desk, asks):
    """Ask as a client does, until the database is back."""
    while True:
        outcomes, _ = desk.run(asks)
        if all(isinstance(outcome, Answer) for outcome in outcomes):
            return outcomes
        assert {outcome.code for outcome in outcomes} == {"HOME-030"}
        time.sleep(0.05)


def test_a_connection_ended_by_the_server_within_a_turn(shared_home, postgresql, database):
    desk = Desk(shared_home)

    def cut(turn):
        turn.emit("note", "one")
        postgresql.run(END.format(name_of(database)))
        turn.emit("note", "two")

    with pytest.raises(MainspringError) as caught:
        desk.call(cut)
    assert caught.value.code == "HOME-030"
    repeat(desk, [begin("after", "k")])
    assert desk.ask(messages.ListEvents(kind="note")) == []
    desk.close()


def test_a_text_with_nul_is_refused_alone(shared_home):
    desk = Desk(shared_home)
    outcomes, _ = desk.run([begin("good"), begin("nul\0"), begin("too")])
    assert [type(outcome) for outcome in outcomes] == [Answer, Invalid, Answer]
    assert outcomes[1].code == "HOME-020"
    desk.close()


def test_the_server_is_restarted_and_its_connections_cut_while_clients_work(
    shared_home, client_of, postgresql, database
):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    client = client_of(shared_home)
    client.ask(messages.GetStatus())
    ledgers = [Ledger() for _ in range(3)]
    threads = [
        threading.Thread(target=ledger.work, args=(client, number * 1000, 30)) for number, ledger in enumerate(ledgers)
    ]
    for thread in threads:
        thread.start()
    faults = 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(source.uniform(0.1, 0.5))
        if faults >= 8:
            continue
        faults += 1
        if faults % 4 == 0:
            postgresql.restart(source.choice([signal.SIGINT, signal.SIGQUIT]))
        else:
            postgresql.run(END.format(name_of(database)))
    for thread in threads:
        thread.join()
    assert faults
    together = Ledger()
    for ledger in ledgers:
        assert len(ledger.finished) == 30
        together.begun |= ledger.begun
        together.finished |= ledger.finished
    together.check(client)


def test_a_database_that_vanishes_and_returns_is_waited_for(shared_home, client_of, postgresql):
    client = client_of(shared_home)
    client.ask(messages.GetStatus())
    postgresql.stop(signal.SIGQUIT)
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(client.ask(messages.BeginRun(kind="step", name="while it was away")))
    )
    asking.start()
    asking.join(1.5)
    assert asking.is_alive()
    postgresql.start()
    asking.join(60)
    assert [run.name for run in client.ask(messages.ListRuns())] == ["while it was away"]
    assert answers[0].run.name == "while it was away"


@pytest.fixture
def client_of():
    """Clients whose owners end with the test."""
    made = []

    def make(home):
        made.append(Client(home))
        return made[-1]

    yield make
    for each in made:
        each.ask(messages.Stop())
        each.close()


def test_a_driver_that_is_missing_is_named(home, database):
    code = (
        "import sys; sys.modules['pg8000'] = None;"
        "from mainspring.control.owner import main; sys.exit(main(['--home', sys.argv[1]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.root)],
        env={**os.environ, "MAINSPRING_RECORD": database},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["code"] == "HOME-034"
    assert "pg8000" in told["what"]
    assert "pip install 'mainspring[postgresql]'" in told["fix"]


def test_a_password_is_kept_in_the_home_and_not_told_to_workers(home, start, client, database, monkeypatch):
    user, _, rest = database.partition("//")[2].partition("@")
    monkeypatch.setenv("PGPASSWORD", "top secret")
    address = f"postgresql://{user.partition(':')[0]}@{rest}"
    owner = start(MAINSPRING_RECORD=address)
    assert owner.line.strip() == "{}"
    owner.end()
    monkeypatch.delenv("PGPASSWORD")
    owner = start(MAINSPRING_RECORD=database)
    (ended,) = wait(client, submit(client, os.getenv, "MAINSPRING_RECORD"))
    assert load_value(ended.outputs, client.blobs, client.seal) == address
    owner.end()
    assert start().line.strip() == "{}"
