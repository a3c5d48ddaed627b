"""Objects of a real store that start pipelines: only in places that somebody approved, a change once, and no outage."""

import os
import secrets
import threading
import time

import pytest
from tests.integration.test_watches import finish, look, show, started
from tests.support.stores import BUCKET

from mainspring.control import watches
from mainspring.domain import messages
from mainspring.domain.errors import Denied, Invalid
from mainspring.domain.records import Declaration
from mainspring.sdk.triggers import On
from mainspring.store.buckets import SETTING, look_in_bucket

SNAPSHOT = {"files": {}, "entry": "flow:train", "python": "python3", "preload": []}


class Place:
    """A prefix of a bucket in a store that runs on this machine."""

    def __init__(self, server, monkeypatch):
        self._server = server
        self.prefix = secrets.token_hex(8)
        self.url = f"{server.scheme}://{BUCKET}/{self.prefix}"
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(SETTING, f"s3://another/one, {self.url}/")

    def write(self, name, content):
        self._server.write(BUCKET, f"{self.prefix}/{name}", content)


@pytest.fixture(params=["seaweedfs", "google_storage"])
def place(request, monkeypatch):
    return Place(request.getfixturevalue(request.param), monkeypatch)


def apply(desk, path):
    body = {"triggers": [On("file", path=path).body()], "snapshot": SNAPSHOT, "folder": "/"}
    return desk.ask(messages.Apply(declarations=[Declaration("pipeline", "train", body)]))


@pytest.fixture
def watched(desk, place, monkeypatch):
    """A place whose objects of CSV start a pipeline."""
    monkeypatch.setattr(watches, "BUCKET_REST_S", 0.0)
    desk.clock.time = time.time()
    place.write("in/old.csv", b"a")
    apply(desk, f"{place.url}/in/*.csv")
    look(desk)
    yield desk
    watches.forget_watches(desk.home)


def test_what_was_there_starts_nothing_and_each_change_starts_once(watched, place):
    pattern = f"{place.url}/in/*.csv"
    place.write("in/note.txt", b"of no interest")
    place.write("in/deep/new.csv", b"of no interest")
    look(watched)
    assert started(watched) == []
    acts = (
        lambda: place.write("in/new.csv", b"b"),
        lambda: place.write("in/new.csv", b"c"),  # as long as before
        lambda: place.write("in/new.csv", None),
        lambda: place.write("in/new.csv", b"c"),  # gone and back
    )
    for number, act in enumerate(acts, 1):
        act()
        look(watched)
        look(watched)
        assert started(watched) == [pattern] * number
        finish(watched)
        watched.clock.advance(3600)
    (run, *_) = watched.ask(messages.ListRuns(kind="pipeline"))
    assert run.tags == {"trigger": "file"}


def test_an_object_a_folder_and_a_whole_bucket_are_looked_at(place):
    before = [look_in_bucket(f"{place.url}{name}") for name in ("/in", "/in/", "/in/a.csv", "", "/**")]
    place.write("in/a.csv", b"a")
    place.write("in/deep/b.csv", b"b")
    place.write("in.csv", b"c")
    after = [look_in_bucket(f"{place.url}{name}") for name in ("/in", "/in/", "/in/a.csv", "", "/**")]
    assert [each.files for each in before] == [0] * 5
    assert [each.files for each in after] == [1, 1, 1, 1, 3]
    assert all(old.stamp != new.stamp for old, new in zip(before, after, strict=True))
    assert all(abs(each.changed_at - time.time()) < 600 for each in after)


def test_an_outage_starts_nothing_says_so_and_forgets_nothing(watched, place, monkeypatch):
    name = "AWS_ENDPOINT_URL" if place.url.startswith("s3") else "GOOGLE_SERVICE_ACCOUNT_KEY"
    known = os.environ[name]
    monkeypatch.setenv(name, known.replace("127.0.0.1:", "127.0.0.2:"))
    monkeypatch.setattr("mainspring.store.adapters.obstore.PATIENCE", _haste())
    look(watched, times=2)
    assert show(watched).outcome.startswith(f"BLOB-008: {place.url.rpartition('/')[0]} gives no answer")
    assert started(watched) == []
    monkeypatch.setenv(name, known)
    look(watched)
    assert started(watched) == [], "all was there as before"
    place.write("in/new.csv", b"b")
    look(watched)
    assert len(started(watched)) == 1


def _haste():
    from mainspring.store.adapters.obstore import PATIENCE

    return PATIENCE._replace(tries=1, connect_s=1.0, answer_s=1.0, transfer_s=1.0)


def test_a_bucket_that_is_gone_is_no_removal_of_its_objects(desk, seaweedfs, monkeypatch):
    monkeypatch.setattr(watches, "BUCKET_REST_S", 0.0)
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    bucket = f"gone{secrets.token_hex(4)}"
    monkeypatch.setenv(SETTING, f"s3://{bucket}")
    seaweedfs.make_bucket(bucket)
    seaweedfs.write(bucket, "a.csv", b"a")
    desk.clock.time = time.time()
    apply(desk, f"s3://{bucket}/*.csv")
    look(desk)
    seaweedfs.write(bucket, "a.csv", None)
    seaweedfs.remove_bucket(bucket)
    look(desk)
    assert show(desk).outcome.startswith(f"BLOB-007: s3://{bucket} has no such place or mark (NoSuchBucket")
    assert started(desk) == []
    watches.forget_watches(desk.home)


def test_nobody_watches_what_nobody_approved(watched, place, monkeypatch):
    for path in (f"s3://{BUCKET}/other/*.csv", f"{place.url}*/in/*.csv", f"{place.url}-not/in", f"s3://{BUCKET}"):
        with pytest.raises(Denied, match="TRIGGER-009: nobody has approved") as caught:
            apply(watched, path)
        assert "MAINSPRING_BUCKETS" in caught.value.fix
    monkeypatch.delenv(SETTING)
    place.write("in/new.csv", b"b")
    look(watched)
    assert show(watched).outcome == f"TRIGGER-009: nobody has approved that triggers look at {place.url}/in/*.csv"
    assert started(watched) == [], "also when the approval was taken back"


def test_too_many_objects_are_named(watched, place, monkeypatch):
    place.write("in/new.csv", b"b")
    monkeypatch.setattr("mainspring.store.buckets.MOST_FILES", 1)
    look(watched)
    assert show(watched).outcome == f"more than 1 files match {place.url}/in/*.csv"
    monkeypatch.setattr("mainspring.store.buckets.MOST_LISTED", 1)
    look(watched)
    assert show(watched).outcome.startswith(f"too many objects lie beside those that match {place.url}/in/*.csv")
    assert started(watched) == []


def test_a_store_that_hangs_stops_nobody(watched, place, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(watches, "look_in_bucket", lambda path: release.wait(60) and look_in_bucket(path))
    place.write("in/new.csv", b"b")
    for _ in range(5):
        watched.call(watches.watch_files)
    assert started(watched) == []
    release.set()
    look(watched)
    assert len(started(watched)) == 1


def test_what_is_no_bucket_is_refused_where_it_is_declared():
    with pytest.raises(Invalid, match=r"BLOB-001.*names no bucket"):
        On("file", path="s3://Bad bucket/in")
    with pytest.raises(Invalid, match=r"RENEW-004.*'ftp' are not watched"):
        On("file", path="ftp://host/in")
