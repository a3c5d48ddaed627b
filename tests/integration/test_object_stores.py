"""An object store that refuses, vanishes, lies, stalls or cuts off: one clear error each, and nothing lost."""

import secrets
import socket
import subprocess
import sys
import time
import traceback

import pytest
from tests.support.stores import BUCKET, SECRET, spoil

from mainspring.domain.errors import Invalid, MainspringError, Unavailable
from mainspring.domain.messages import GetStatus
from mainspring.sdk.client import Client
from mainspring.store.adapters import obstore
from mainspring.store.blobs import open_blobs
from mainspring.store.caches import BlobCache
from mainspring.store.files import LocalFileSystem
from mainspring.store.homes import place_home
from mainspring.store.locations import parse_location
from mainspring.testing.blobs import RECORD

HASTE = obstore.PATIENCE._replace(tries=2, pause_s=0.01)
IMPATIENCE = HASTE._replace(answer_s=0.4, transfer_s=0.4)
MOST_REQUESTS = 2 * HASTE.tries


@pytest.fixture
def open_place(bucket, tmp_path):
    """Open the place with an empty cache; the first one claims it."""

    def open_one(url=bucket, patience=HASTE):
        cache = BlobCache(tmp_path / secrets.token_hex(4), LocalFileSystem())
        return obstore.make_blobs(parse_location(url), cache, patience)

    open_one().claim(RECORD, anew=True)
    return open_one


@pytest.fixture
def front(seaweedfs, monkeypatch):
    """Spoil the answers of the store from now on: ``front(mischief)``."""
    started = []

    def start(mischief):
        started.append(spoil(seaweedfs.endpoint, mischief))
        monkeypatch.setenv("AWS_ENDPOINT_URL", started[-1].url)
        return started[-1]

    yield start
    for each in started:
        each.end()


USES = {
    "put": lambda blobs, digest: blobs.put(secrets.token_bytes(10)),
    "get": lambda blobs, digest: blobs.get(digest),
    "path": lambda blobs, digest: blobs.path(digest),
    "exists": lambda blobs, digest: blobs.exists(digest),
    "list": lambda blobs, digest: list(blobs.list()),
    "delete": lambda blobs, digest: blobs.delete(digest),
}


def catch(call, blobs, digest):
    try:
        call(blobs, digest)
    except MainspringError as error:
        return error
    return None


def use(blobs, digest):
    """Return the codes of what the operations raise; none of it shows a secret."""
    raised = {}
    for name, call in USES.items():
        fault = catch(call, blobs, digest)
        if fault is not None:
            raised[name] = fault.code
            assert SECRET not in "".join(traceback.format_exception(fault))
    return raised


def use_one(blobs, name, digest):
    with pytest.raises(Unavailable) as caught:
        USES[name](blobs, digest)
    return caught.value


def test_a_bucket_that_ignores_conditions_is_refused(open_place, bucket, front, monkeypatch):
    def strip(handler):
        del handler.headers["If-None-Match"]
        return False

    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")  # a signature would miss the header
    front(strip)
    with pytest.raises(Invalid, match="BLOB-005") as caught:
        open_place(f"{bucket}-new").claim(RECORD, anew=True)
    assert f"{bucket}-new" in caught.value.what
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert list(open_place(f"{bucket}-new").list()) == []


def test_a_bucket_that_loses_permission_says_so_and_keeps_all(open_place, seaweedfs, monkeypatch):
    digest = open_place().put(b"kept")
    for name, value in seaweedfs.environment("reader").items():
        monkeypatch.setenv(name, value)
    assert use(open_place(), digest) == {"put": "BLOB-006", "delete": "BLOB-006"}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the key")
    assert use(open_place(), digest) == dict.fromkeys(USES, "BLOB-006")
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    assert open_place().get(digest) == b"kept"


def test_a_bucket_that_vanished_is_no_missing_blob(open_place, seaweedfs):
    name = f"gone-{secrets.token_hex(4)}"
    seaweedfs.make_bucket(name)
    place = f"s3://{name}/place"
    blobs = open_place(place)
    blobs.claim(RECORD, anew=True)
    digest = blobs.put(b"value")
    seaweedfs.remove_bucket(name)
    assert use(open_place(place), digest) == dict.fromkeys(USES, "BLOB-007")
    assert blobs.get(digest) == b"value"  # from the copy
    with pytest.raises(Unavailable, match="BLOB-007"):
        open_place(place).claim(RECORD, anew=False)


def test_a_bucket_that_was_emptied_is_no_missing_blob(open_place, seaweedfs, bucket):
    digest = open_place().put(b"value")
    key = bucket.removeprefix(f"s3://{BUCKET}/")
    seaweedfs.write(BUCKET, f"{key}/{obstore.MARK}", None)
    seaweedfs.write(BUCKET, f"{key}/blobs/{digest[:2]}/{digest}", None)
    with pytest.raises(Unavailable, match="BLOB-007"):
        open_place().get(digest)
    with pytest.raises(Unavailable, match="BLOB-007"):
        open_place().claim(RECORD, anew=False)


def test_a_silent_store_is_given_up_after_some_tries(open_place, front):
    digest = open_place().put(b"value")
    silent = front(lambda handler: time.sleep(1.5) or True)
    for name in ("get", "put", "exists"):
        before = silent.requests
        raised = use_one(open_place(patience=IMPATIENCE), name, digest)
        assert raised.code == "BLOB-008"
        assert "timed out" in raised.what
        assert 1 <= silent.requests - before <= MOST_REQUESTS


def test_a_port_where_nobody_listens_is_named(open_place, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    raised = use_one(open_place(), "get", "0" * 64)
    assert raised.code == "BLOB-008"
    assert "connection refused" in raised.what.lower()


def cut(handler):
    """Promise the whole answer, give half of it and close."""
    status, _, body = handler.forward(handler.command, handler.path, handler.take_body())
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


def lose(handler):
    """Do what is asked, and close without an answer."""
    handler.forward(handler.command, handler.path, handler.take_body())
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


def first(count, mischief, method):
    left = [count]

    def act(handler):
        if handler.command != method or not left[0]:
            return False
        left[0] -= 1
        return mischief(handler)

    return act


def test_an_answer_that_is_cut_off_is_asked_for_again(open_place, front, tmp_path):
    content = secrets.token_bytes(300_000)
    digest = open_place().put(content)
    front(first(1, cut, "GET"))
    assert open_place().get(digest) == content
    always = front(first(1_000, cut, "GET"))
    blobs = open_place()
    for read in (blobs.get, blobs.path):
        with pytest.raises(Unavailable, match="BLOB-008"):
            read(digest)
    assert always.requests <= 4 * MOST_REQUESTS
    assert [path for path in tmp_path.rglob("*") if digest in path.name and path.stat().st_size != len(content)] == []


@pytest.mark.parametrize("size", [10, 20_000_000])
def test_a_write_whose_answer_is_lost_is_repeated_and_stored_once(open_place, front, size):
    content = secrets.token_bytes(size)
    front(first(1, lose, "PUT"))
    digest = open_place().put(content)
    assert [each.digest for each in open_place().list()] == [digest]
    assert open_place().get(digest) == content


def test_a_busy_store_is_asked_again(open_place, front):
    def refuse(handler):
        handler.take_body()
        handler.reply(503, {}, b"<Error><Code>SlowDown</Code></Error>")
        return True

    front(first(2, refuse, "PUT"))
    digest = open_place().put(b"patience")
    always = front(refuse)
    raised = use_one(open_place(), "get", digest)
    assert (raised.code, "SlowDown" in raised.what) == ("BLOB-008", True)
    assert always.requests <= MOST_REQUESTS


@pytest.mark.parametrize(
    "url",
    [
        "bucket/prefix",
        "s3://",
        "s3:///prefix",
        f"s3://key:{SECRET}@bucket/prefix",
        f"s3://bucket/prefix?secret={SECRET}",
        f"s3://bucket/{SECRET}@x",
        "s3://bucket/../other",
        "s3://bucket/a b",
        "https://bucket.s3.amazonaws.com/prefix?x=y",
    ],
)
def test_an_address_of_no_store_is_refused_without_showing_secrets(tmp_path, monkeypatch, url):
    monkeypatch.setenv("MAINSPRING_BLOBS", url)
    with pytest.raises(Invalid, match="BLOB-001") as caught:
        place_home(tmp_path / "home")
    assert SECRET not in str(caught.value)


def test_a_scheme_without_adapter_and_a_missing_library_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MAINSPRING_BLOBS", "ftp://host/prefix")
    with pytest.raises(Invalid, match="BLOB-001") as caught:
        open_blobs(place_home(tmp_path / "home"))
    assert "az, gs, s3" in caught.value.what
    monkeypatch.setenv("MAINSPRING_BLOBS", "s3://bucket/prefix")
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "mainspring.store.adapters.obstore")
    with pytest.raises(Unavailable, match="BLOB-002") as missing:
        open_blobs(place_home(tmp_path / "home"))
    assert missing.value.fix == "pip install 'mainspring[cloud]'"
    assert "obstore" in missing.value.what


FORK = """
import os, sys
from pathlib import Path
from mainspring.domain.errors import Unavailable
from mainspring.store.adapters import obstore
from mainspring.store.caches import BlobCache
from mainspring.store.files import LocalFileSystem
from mainspring.store.locations import parse_location

blobs = obstore.make_blobs(parse_location(sys.argv[1]), BlobCache(Path(sys.argv[2]), LocalFileSystem()))
digest = blobs.put(b"value")
child = os.fork()
if not child:
    print(blobs.get(digest), flush=True)
    try:
        blobs.exists(digest)
    except Unavailable as error:
        print(error.code, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(blobs.exists(digest))
"""


def test_a_process_forked_after_the_first_use_is_told_and_does_not_hang(open_place, bucket, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, bucket, str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["b'value'", "BLOB-009", "True"], done.stderr


def test_an_owner_starts_while_its_store_is_away(home, bucket, monkeypatch, start):
    monkeypatch.setenv("MAINSPRING_BLOBS", bucket)
    placed = place_home(home.root)
    first = start()
    digest = Client(placed, None).blobs.put(b"value")
    first.end()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    away = start()
    assert away.line == "{}\n"
    client = Client(placed, None)
    assert client.ask(GetStatus()) is not None
    assert client.blobs.get(digest) == b"value"  # from the copy
    with pytest.raises(Unavailable, match="BLOB-008"):
        client.blobs.put(b"other")
    client.close()
