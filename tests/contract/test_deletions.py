"""What is deleted is hidden, comes back, or leaves a tombstone; what is needed stays."""

import hashlib
import os
import time

import pytest

from mainspring.domain import messages
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.upkeep import DeleteModel, DeleteVersions, PurgeDeleted, RestoreModel
from mainspring.store.leftovers import find_leftovers

LATE = 4_000_000_000.0


def put(desk, content, name="delays", kind="model", **options):
    manifest = {"model.onnx": desk.blobs.put(content)}
    digest = hashlib.sha256(b"manifest of " + content).hexdigest()
    return desk.ask(messages.PutVersion(kind=kind, name=name, digest=digest, manifest=manifest, **options))


def get(desk, reference):
    return desk.ask(messages.GetVersion(kind="model", reference=reference))


def numbers(desk):
    return [each.number for each in desk.ask(messages.ListVersions(kind="model", name="delays"))]


def test_a_deleted_version_is_hidden_and_comes_back(desk):
    first, second = put(desk, b"1"), put(desk, b"2")
    deletion = desk.ask(DeleteModel(reference="delays@2"))
    assert (deletion.id, deletion.digest, deletion.purged_at) == (second.id, second.digest, None)
    assert numbers(desk) == [1]
    assert get(desk, "delays").id == first.id
    assert [each.id for each in desk.ask(messages.ListVersions(kind="model"))] == [first.id]
    for ask in (lambda: get(desk, "delays@2"), lambda: desk.ask(DeleteModel(reference="delays@2"))):
        with pytest.raises(NotFound) as caught:
            ask()
        assert caught.value.code == "MODEL-001"
    assert put(desk, b"3").number == 3
    assert desk.ask(RestoreModel(reference="delays@2")) == second
    assert numbers(desk) == [3, 2, 1]


def test_what_is_needed_is_refused(desk):
    put(desk, b"1")
    put(desk, b"2")
    reader = desk.ask(messages.BeginRun(kind="step", name="score")).run
    desk.ask(messages.GetVersion(kind="model", reference="delays@2", run_id=reader.id))
    desk.ask(messages.MoveAlias(kind="model", name="delays", alias="candidate", number=1))
    put(desk, b"3")
    desk.ask(messages.Deploy(name="eta", model="delays@3"))
    for number, need in ((1, "the alias candidate"), (2, f"run {reader.id[-6:]}"), (3, "the service eta")):
        with pytest.raises(Conflict, match=need) as caught:
            desk.ask(DeleteModel(reference=f"delays@{number}"))
        assert caught.value.code == "KEEP-002"
    assert numbers(desk) == [3, 2, 1]
    with pytest.raises(Invalid) as unpinned:
        desk.ask(DeleteModel(reference="delays@candidate"))
    assert unpinned.value.code == "KEEP-001"


def test_a_purge_leaves_a_tombstone_and_frees_the_bytes(desk, home):
    first, second = put(desk, b"1"), put(desk, b"2")
    desk.ask(DeleteModel(reference="delays@1"))
    for path in home.blobs.glob("??/*"):
        os.utime(path, (1e9, 1e9))
    assert find_leftovers(home, 1000).blobs == {}
    assert desk.ask(PurgeDeleted(before=desk.clock.now() - 10)) == []
    told = desk.ask(PurgeDeleted(before=LATE, dry_run=True))
    assert [each.id for each in told] == [first.id]
    assert desk.ask(PurgeDeleted(before=LATE)) == told
    assert desk.ask(PurgeDeleted(before=LATE)) == []
    assert set(find_leftovers(home, 1000).blobs) == {first.manifest["model.onnx"]}
    with pytest.raises(Conflict) as caught:
        desk.ask(RestoreModel(reference="delays@1"))
    assert caught.value.code == "KEEP-003"
    assert numbers(desk) == [2]
    assert second.number == 2


def test_a_manifest_of_a_clients_own_making_stops_no_purge(desk):
    def put_table(name, **manifest):
        command = messages.PutVersion(kind="dataset", name=name, digest="d", manifest={"table": name, **manifest})
        return desk.ask(command)

    for number in ("7", -1, 1.5, True, None):
        with pytest.raises(Invalid, match="API-008"):
            put_table("sales", delta_version=number)
    with pytest.raises(Invalid, match="API-008"):
        put_table("sales", files=5)
    made = [put_table("sales"), put_table("trips", delta_version=7)]
    for each in made:
        desk.ask(DeleteVersions(kind="dataset", reference=each.reference))
    assert {each.id for each in desk.ask(PurgeDeleted(before=LATE))} == {each.id for each in made}
    assert desk.ask(PurgeDeleted(before=LATE)) == []


def test_content_of_a_purged_version_registered_again_is_another_version(desk):
    first = put(desk, b"1", details={"format": "onnx"})
    desk.ask(DeleteModel(reference="delays@1"))
    desk.ask(PurgeDeleted(before=LATE))
    again = put(desk, b"1", details={"format": "onnx"})
    assert (again.number, again.manifest) == (2, first.manifest), "no verdict on the first one is its"
    assert get(desk, "delays").id == again.id != first.id
    assert time.time() < LATE


def test_the_same_content_registered_again_is_the_same_version(desk):
    first = put(desk, b"1", details={"format": "onnx"})
    desk.ask(DeleteModel(reference="delays@1"))
    again = put(desk, b"1", details={"format": "onnx"})
    assert (again.id, again.number, again.manifest) == (first.id, 1, first.manifest)
    assert get(desk, "delays") == first
    assert time.time() < LATE
