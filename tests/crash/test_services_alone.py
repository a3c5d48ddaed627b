"""Services answer while every owner is down, and nothing of what they captured meanwhile is lost."""

import http.client
import threading
from pathlib import Path

import msgspec
import pytest
from tests.support.homes import end_owner

import mainspring as ms
from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import Deploy, GetService, GetStatus, ListServices, PutVersion, StopService
from mainspring.sdk.client import Client
from mainspring.serving.files import find_plane
from mainspring.testing.engines import until
from mainspring.worker.jobs.collect import collect
from support.serving import expect, make_body, save_model

NO_CONTEXT = {"flight_id": None, "event_time": None}


class Asker(threading.Thread):
    """Asks a service one row after the other; keeps what it was answered."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        self.answered = {}
        self.stopped = threading.Event()

    def run(self):
        while not self.stopped.is_set():
            name = f"r{len(self.answered)}"
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            body = make_body(name, wind=float(len(self.answered) % 7), tensors=NO_CONTEXT)
            connection.request("POST", "/v2/models/delays/infer", body)
            reply = connection.getresponse()
            assert reply.status == 200, reply.read()
            self.answered[name] = msgspec.json.decode(reply.read())
            connection.close()

    def wait(self, count):
        """Wait until so many more are answered: whatever happens, nobody is refused."""
        wanted = len(self.answered) + count
        for _ in until():
            assert self.is_alive(), "a request was not answered"
            if len(self.answered) >= wanted:
                return


@pytest.fixture
def service(client, tmp_path):
    """A service that answers; its plane ends with the test."""
    files = save_model(tmp_path / "model")
    manifest = {name: client.blobs.put(Path(path).read_bytes()) for name, path in files.items()}
    client.ask(PutVersion("model", "late", digest="d", manifest=manifest))
    client.ask(Deploy("delays", "late@1"))
    yield wait_ready(client)
    for each in client.ask(ListServices()):
        client.ask(StopService(each.name))
    for _ in until():
        if not find_plane(client.home.service_folder("default", "delays")):
            return


def wait_ready(client):
    for _ in until():
        found = client.ask(GetService("delays"))
        if found.health == "ready":
            break
    return found


def check(client, asker, plane):
    """The same plane is tended again, and every answered request is in the dataset, once."""
    asker.stopped.set()
    asker.join()
    after = wait_ready(client)
    assert (after.pid, after.url) == (plane.pid, plane.url)
    for _ in until():
        if client.ask(GetService("delays")).statistics["requests"] == len(asker.answered):
            break
    collect({"service": "delays"}, client)
    collect({"service": "delays"}, client)
    rows = ms.Dataset("delays.requests").polars()
    assert sorted(rows["request_id"]) == sorted(asker.answered)
    for number, answer in enumerate(asker.answered.values()):
        (probability,) = next(each["data"] for each in answer["outputs"] if each["name"] == "probability")
        assert probability == pytest.approx(expect(float(number % 7)), abs=1e-6)


def ask_nobody(home):
    """Ask an owner that must not be there."""
    with pytest.raises(MainspringError) as caught:
        Client(home, start=None).ask(GetStatus())
    assert caught.value.code == "HOME-001"


@pytest.mark.usefixtures("record")
def test_a_service_answers_while_its_owner_is_dead(service, client):
    asker = Asker(int(service.url.rpartition(":")[2]))
    asker.start()
    asker.wait(20)
    for _ in range(2):
        end_owner(client.home)
        ask_nobody(client.home)
        asker.wait(50)
        assert wait_ready(client).pid == service.pid
        asker.wait(20)
    check(client, asker, service)


def test_a_service_answers_while_the_record_cannot_be_reached(home, database, monkeypatch, postgresql, request):
    """The database is gone, and with it every owner that would start; both come back."""
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    client, service = request.getfixturevalue("client"), request.getfixturevalue("service")
    asker = Asker(int(service.url.rpartition(":")[2]))
    asker.start()
    asker.wait(20)
    postgresql.kill()
    try:
        asker.wait(50)
        end_owner(client.home)
        with pytest.raises(MainspringError) as caught:
            Client(client.home).ask(GetStatus())
        assert caught.value.code == "HOME-030"
        asker.wait(50)
    finally:
        postgresql.start()
    check(client, asker, service)


def test_a_service_answers_while_the_file_of_the_record_cannot_be_read(service, client):
    asker = Asker(int(service.url.rpartition(":")[2]))
    asker.start()
    end_owner(client.home)
    record, aside = client.home.metadata, client.home.root / "aside"
    aside.mkdir()
    for path in record.parent.glob("record.db*"):
        path.rename(aside / path.name)
    record.write_bytes(b"no database" * 100)
    with pytest.raises(MainspringError) as caught:
        Client(client.home).ask(GetStatus())
    assert caught.value.code == "HOME-016"
    asker.wait(50)
    for path in aside.iterdir():
        path.replace(record.parent / path.name)
    check(client, asker, service)
