"""A backup is the record as of one moment; a restore is that record or nothing."""

import secrets
import threading
import time

import pytest
from sqlalchemy import text
from tests.contract.test_migrations import make_old
from tests.support.homes import Desk

from mainspring.domain import messages
from mainspring.domain.errors import Conflict
from mainspring.domain.records import Value
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.security.seals import project_seal
from mainspring.store import schema
from mainspring.store.backups import read_manifest, write_backup
from mainspring.store.engine import open_engine
from mainspring.store.homes import place_home
from mainspring.store.restores import restore_backup
from mainspring.store.upgrades import look_ahead, upgrade_record
from mainspring.tracking.codecs import store_value


def fill(desk, home):
    """Make a run with a result that has parts, and a version of a dataset; return the digests of the result."""
    import numpy as np

    value = store_value((np.arange(9), np.ones(3), "text"), desk.blobs, project_seal(home))
    run = desk.ask(messages.BeginRun(kind="step", name="fit", params={"text": "with\na line\tand 'quotes'"})).run
    desk.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded", outputs=value))
    folder = home.tables / "flights"
    folder.mkdir(parents=True)
    (folder / "part-1.parquet").write_bytes(b"rows")
    manifest = {"table": "flights", "delta_version": 0, "files": ["part-1.parquet"]}
    desk.ask(messages.PutVersion(kind="dataset", name="flights", digest="d" * 64, manifest=manifest, run_id=run.id))
    return {path.name for path in home.blobs.glob("??/*")}


def read(desk):
    runs = desk.ask(messages.ListRuns())
    return runs, desk.ask(messages.ListVersions(kind="dataset"))


def another_home(tmp_path, monkeypatch, request, record):
    if record == "postgresql":
        server = request.getfixturevalue("postgresql")
        monkeypatch.setenv("MAINSPRING_RECORD", server.make_database(f"restored{secrets.token_hex(4)}"))
    return place_home(tmp_path / "other")


@pytest.mark.parametrize("whole", [False, True])
def test_a_restored_record_is_the_one_that_was_backed_up(home, record, whole, tmp_path, monkeypatch, request):
    desk = Desk(home)
    blobs = fill(desk, home)
    before = read(desk)
    home.envelope_keys.mkdir(parents=True, exist_ok=True)
    (home.envelope_keys / "0001.key").write_bytes(b"k" * 32)
    unnamed = desk.blobs.put(b"nobody names this")
    manifest = write_backup(home, tmp_path / "backup", whole=whole)
    desk.ask(messages.BeginRun(kind="step", name="after the backup"))
    desk.close()
    assert set(manifest.blobs) == blobs
    assert unnamed not in manifest.blobs
    assert manifest.tables == {"flights/part-1.parquet": 4}
    assert manifest == read_manifest(tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0

    other = another_home(tmp_path, monkeypatch, request, record)
    restored = restore_backup(other, tmp_path / "backup")
    assert restored.record_id == manifest.record_id
    assert set(restored.missing_blobs) == (set() if whole else blobs)
    assert restored.missing_tables == ([] if whole else ["flights/part-1.parquet"])
    assert (other.envelope_keys / "0001.key").read_bytes() == b"k" * 32
    assert project_seal(other).seal(b"x") == project_seal(home).seal(b"x")
    desk = Desk(other)
    assert read(desk) == before
    desk.clock.advance(60)
    assert desk.ask(messages.BeginRun(kind="step", name="goes on")).run.id
    desk.close()
    with pytest.raises(Conflict) as caught:
        restore_backup(other, tmp_path / "backup")
    assert caught.value.code == "SERVER-003"


def test_a_backup_taken_while_writes_go_on_restores_to_a_record_that_is_whole_or_says_what_is_not(
    client, record, tmp_path, monkeypatch, request
):
    stop, made = threading.Event(), []

    def write():
        with_client = Client(client.home, start_owner)
        while not stop.is_set():
            content = b"result %d" % len(made)
            value = Value("bytes", with_client.blobs.put(content), len(content))
            run = with_client.ask(messages.BeginRun(kind="step", name="fit")).run
            ended = messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded", outputs=value)
            made.append(with_client.ask(ended).outputs.digest)
        with_client.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_for(lambda: len(made) >= 10)
        lost = made[3]
        client.blobs.delete(lost)
        for name in ("first", "second"):
            before = len(made)
            write_backup(client.home, tmp_path / name, whole=True)
            wait_for(lambda before=before: len(made) >= before + 5)
    finally:
        stop.set()
        writer.join()
    other = another_home(tmp_path, monkeypatch, request, record)
    restored = restore_backup(other, tmp_path / "second")
    assert restored.missing_blobs == [lost]
    desk = Desk(other)
    ended = desk.ask(messages.SearchRuns(filter="state = succeeded", limit=1000)).runs
    assert {run.outputs.digest for run in ended} >= set(made[: before - 1])
    assert {run.outputs.digest for run in ended if not desk.blobs.exists(run.outputs.digest)} == {lost}
    desk.close()


def wait_for(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_record_without_a_table_of_its_schema_is_named(home, record):
    Desk(home).close()
    engine = open_engine(home)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE follows"))
    engine.dispose()
    with pytest.raises(Conflict, match="no table follows") as caught:
        schema.open_record(home)
    assert caught.value.code == "SERVER-005"
    assert "new home" in caught.value.fix
    obstacle = look_ahead(home).find_obstacle()
    assert obstacle.code == "SERVER-005"


def test_an_upgrade_is_told_and_then_done(home, record):
    make_old(home, "0001")
    ahead = look_ahead(home)
    assert (ahead.schema, ahead.newest) == ("0001", schema.HEAD)
    assert {"leases", "runs"} <= set(ahead.changes)
    assert ahead.find_obstacle() is None
    assert upgrade_record(home).changes == ahead.changes
    after = look_ahead(home)
    assert (after.schema, after.changes, after.find_obstacle()) == (schema.HEAD, [], None)
