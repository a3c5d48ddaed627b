"""What a service is like is told by the owner of any node that shares the record."""

import fcntl
import hashlib
import os

import msgspec
import pytest
from tests.support.homes import Desk

from mainspring.control.services import note_services
from mainspring.domain import messages
from mainspring.serving import files
from mainspring.store.homes import place_home


@pytest.fixture
def desks(tmp_path, database, monkeypatch):
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    made = [Desk(place_home(tmp_path / name), node=name) for name in "ab"]
    yield made
    for desk in made:
        desk.close()


def test_the_owner_of_another_node_tells_what_the_plane_reports(desks):
    here, elsewhere = desks
    manifest = {"model.onnx": here.blobs.put(b"model")}
    digest = hashlib.sha256(b"manifest").hexdigest()
    here.ask(messages.PutVersion(kind="model", name="delays", digest=digest, manifest=manifest))
    service = here.ask(messages.Deploy(name="eta", model="delays@1"))
    folder = here.home.service_folder("default", "eta")
    folder.mkdir(parents=True)
    with (folder / files.LOCK).open("w") as lock:  # as a plane does while it lives
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(os.getpid()))
        lock.flush()
        status = files.Status(service.generation, os.getpid(), "http://127.0.0.1:8431", ready=True, requests=41)
        files.write_status(folder, msgspec.json.encode(status))
        before = elsewhere.ask(messages.GetService("eta"))
        assert (before.health, before.url) == ("starting", "")
        here.call(note_services)
        told, known = (desk.ask(messages.GetService("eta")) for desk in (elsewhere, here))
        assert told == known
        assert (told.health, told.url, told.pid) == ("ready", "http://127.0.0.1:8431", os.getpid())
        assert told.statistics["requests"] == 41
        elsewhere.call(note_services)  # it has no such folder, and leaves alone what is not its own
        assert elsewhere.ask(messages.ListServices()) == [known]
    here.ask(messages.StopService("eta"))
    here.call(note_services)
    assert elsewhere.ask(messages.GetService("eta")).health == "stopped"
