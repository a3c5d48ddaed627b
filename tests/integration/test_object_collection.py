"""What nothing names goes from an object store too; what is named, young or put again meanwhile stays or is told."""

import os
import subprocess
import sys
import time

import polars as pl
import pytest

import mainspring as ms
from mainspring.cli import server
from mainspring.domain import access, messages
from mainspring.domain.errors import Conflict
from mainspring.domain.records import Value
from mainspring.domain.upkeep import DeleteVersions, PurgeDeleted, SettleSweep, SweepFiles
from mainspring.store.adapters import obstore
from mainspring.store.leftovers import find_leftovers
from mainspring.store.tablefiles import open_files

DAY_S = 86_400.0
IN_S3 = pytest.mark.parametrize("blob_place", ["seaweedfs"], indirect=True)
"""The library of tables does not speak to the imitation of Google's store."""

AT_ONCE = -60.0
"""A grace that makes everything old."""

SCRIPT = """
from mainspring.cli import server
from mainspring.store.leftovers import find_leftovers
print(server._sweep(find_leftovers(server._home(), -60.0)).blobs)
"""


@pytest.fixture(params=["seaweedfs", "google_storage"])
def blob_place(request, monkeypatch):
    """A new place in each kind of store."""
    import secrets

    from tests.support.stores import BUCKET

    store = request.getfixturevalue(request.param)
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    return f"{store.scheme}://{BUCKET}/{secrets.token_hex(8)}"


def finish(client, content, *parts):
    run = client.ask(messages.BeginRun(kind="step", name="fit")).run
    digests = [client.blobs.put(each) for each in (content, *parts)]
    value = Value("list", digests[0], len(content), parts=tuple(digests[1:]))
    return client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded", outputs=value))


def there(client):
    return {each.digest for each in client.blobs.list()}


def test_what_nothing_names_goes(home, client):
    run = finish(client, b"value")
    named = {run.outputs.digest, client.blobs.put(b"model")}
    client.ask(messages.PutVersion("model", "delays", "e" * 64, {"m": client.blobs.put(b"model")}))
    stray = {client.blobs.put(b"stray %d" % number) for number in range(7)}
    home = client.home
    assert find_leftovers(home, DAY_S).blobs == {}
    found = find_leftovers(home, AT_ONCE)
    assert set(found.blobs) == stray
    late = client.blobs.put(b"stray 3")
    client.ask(messages.PutVersion("model", "late", "d" * 64, {"m": late}))
    swept = server._sweep(found)
    assert (swept.blobs, swept.blob_bytes) == (6, 42)
    assert there(client) == named | {late}
    again = server._sweep(find_leftovers(home, AT_ONCE))
    assert again.blobs == 0
    put_again = finish(client, b"stray 1")  # an object that was collected is stored and named anew
    assert client.blobs.get(put_again.outputs.digest) == b"stray 1"
    assert client.ask(access.ListProjects())[0].used_bytes == 5 + 5 + 7 + 7


def test_an_object_that_is_young_at_the_second_look_stays(client):
    digest = client.blobs.put(b"stray")
    found = find_leftovers(client.home, AT_ONCE)
    assert client.blobs.remove_old(digest, time.time() - 3600) is None
    assert client.blobs.exists(digest)
    assert client.blobs.remove_old(digest, found.before) == 5
    assert client.blobs.remove_old(digest, found.before) is None


def test_an_old_object_that_is_put_again_is_young(client, monkeypatch):
    digest = client.blobs.put(b"value")
    first = next(each for each in client.blobs.list() if each.digest == digest)
    time.sleep(1.1)  # the store tells seconds
    assert client.blobs.put(b"value") == digest
    assert next(client.blobs.list()).modified_at == first.modified_at
    monkeypatch.setattr(obstore, "_YOUNG_S", -1.0)
    assert client.blobs.put(b"value") == digest
    assert next(client.blobs.list()).modified_at > first.modified_at


def test_whoever_names_what_is_being_removed_is_told(client):
    digest = client.blobs.put(b"stray")
    found = find_leftovers(client.home, AT_ONCE)
    moment = {"before": found.before, "marked_at": found.moment.time, "numbers": found.moment.numbers}
    assert client.ask(SweepFiles(blobs=[digest], files=[], **moment)).condemned == [digest]
    with pytest.raises(Conflict) as caught:
        finish(client, b"stray")
    assert caught.value.code == "BLOB-010"
    client.blobs.delete(digest)
    client.ask(SettleSweep(removed=[digest], spared=[]))
    run = client.ask(messages.BeginRun(kind="step", name="fit")).run
    ended = messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded", outputs=Value("x", digest, 5))
    with pytest.raises(Conflict) as caught:
        client.ask(ended)  # it was put before it was removed, and is gone
    assert caught.value.code == "BLOB-010"
    assert client.blobs.put(b"stray") == digest
    assert client.ask(ended).state == "succeeded"


def write(number, name="rows"):
    return ms.write(pl.DataFrame({"id": [number]}), name).version


def list_files(home):
    return {each.name for each in open_files(home).list() if each.holds_rows}


def purge(client):
    while client.ask(PurgeDeleted(before=4e9, dry_run=True)):
        client.ask(PurgeDeleted(before=4e9))


@IN_S3
def test_files_of_purged_versions_go_and_all_others_stay(client):
    home = client.home
    first, second = write(1), write(2)
    assert len(list_files(home)) == 2
    assert find_leftovers(home, AT_ONCE).files == {}
    client.ask(DeleteVersions("dataset", "rows@1"))
    assert find_leftovers(home, AT_ONCE).files == {}, "it can still be restored"
    purge(client)
    (gone,) = first.manifest["files"]
    assert find_leftovers(home, DAY_S).files == {}
    found = find_leftovers(home, AT_ONCE)
    assert set(found.files) == {f"{first.manifest['table']}/{gone}"}
    swept = server._sweep(found)
    assert (swept.files, swept.file_bytes) == (1, sum(found.files.values()))
    assert list_files(home) == {f"{second.manifest['table']}/{name}" for name in second.manifest["files"]}
    assert ms.Dataset("rows").polars()["id"].to_list() == [2]
    appended = ms.write(pl.DataFrame({"id": [3]}), "rows", mode="append")
    assert appended.polars()["id"].to_list() == [2, 3]
    assert server._sweep(find_leftovers(home, AT_ONCE)).files == 0
    with pytest.raises(Conflict) as caught:
        client.ask(messages.PutVersion("dataset", "rows", "f" * 64, dict(first.manifest)))
    assert caught.value.code == "BLOB-010"


@IN_S3
def test_a_commit_that_the_record_has_not_heard_of_keeps_its_files(client, tmp_path):
    write(1)
    mark = tmp_path / "killed"
    code = "import mainspring as ms; ms.write([{'id': 2}], 'rows')"
    environment = {**os.environ, "MAINSPRING_CRASH": f"table.committed:1:{mark}", "MAINSPRING_PROGRESS": "0"}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60)
    assert (killed.returncode, mark.exists()) == (-9, True)
    found = find_leftovers(client.home, AT_ONCE)
    assert (found.files, found.kept_files) == ({}, 2)
    write(3)
    assert [ms.Dataset(f"rows@{number}").polars()["id"].to_list() for number in (1, 2, 3)] == [[1], [2], [3]]


@IN_S3
def test_a_killed_collection_of_files_is_finished_by_the_next(client, tmp_path):
    for number in range(5):
        write(number)
    client.ask(DeleteVersions("dataset", "rows", all=True))
    kept = write(9)
    purge(client)
    assert len(list_files(client.home)) == 6
    mark = tmp_path / "killed"
    environment = {**os.environ, "MAINSPRING_CRASH": f"sweep.removed:3:{mark}"}
    killed = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=False, timeout=60)
    assert (killed.returncode, mark.exists()) == (-9, True)
    assert len(list_files(client.home)) == 6 - 3
    server._sweep(find_leftovers(client.home, AT_ONCE))
    assert list_files(client.home) == {f"{kept.manifest['table']}/{name}" for name in kept.manifest["files"]}
    assert ms.Dataset("rows").polars()["id"].to_list() == [9]


def test_a_killed_collection_is_finished_by_the_next(client, tmp_path):
    run = finish(client, b"value")
    stray = [client.blobs.put(b"stray %d" % number) for number in range(6)]
    mark = tmp_path / "killed"
    environment = {**os.environ, "MAINSPRING_CRASH": f"sweep.removed:3:{mark}"}
    killed = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=False, timeout=60)
    assert (killed.returncode, mark.exists()) == (-9, True)
    assert len(there(client)) == 1 + 6 - 3
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "3\n"
    assert there(client) == {run.outputs.digest}
    assert set(stray).isdisjoint(there(client))
