"""The model files of a service stay while it wants them, whatever becomes of the cache."""

import shutil
import time

import msgspec
import pytest

from mainspring.control.pins import drop_files, pin_files
from mainspring.serving.files import Desired, DesiredRevision
from mainspring.store.blobs import open_blobs


@pytest.fixture
def blob_place(bucket):
    return bucket


def wait_for_files(home, blobs, digests):
    deadline = time.monotonic() + 30
    while (pinned := pin_files(home, "delays", blobs, digests)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return pinned


def test_files_are_fetched_beside_the_loop_and_outlive_the_cache(client):
    home = client.home
    digests = {client.blobs.put(content) for content in (b"model", b"signature")}
    shutil.rmtree(home.cache)
    pinned = wait_for_files(home, open_blobs(home), digests)
    assert {path.read_bytes() for path in pinned.values()} == {b"model", b"signature"}
    shutil.rmtree(home.cache)
    assert pin_files(home, "delays", open_blobs(home), digests) == pinned
    kept, dropped = sorted(digests)
    revision = DesiredRevision(1, "delays@1", "0" * 64, {"model.onnx": str(pinned[kept])}, 100)
    desired = msgspec.convert({"generation": 1, "service": "delays", "context": [], "revisions": []}, Desired)
    drop_files(home.services / "delays", msgspec.structs.replace(desired, revisions=[revision]))
    assert pinned[kept].exists()
    assert not pinned[dropped].exists()


def test_a_fetch_that_fails_holds_nobody_up_and_is_tried_again(client, monkeypatch):
    home = client.home
    digest = client.blobs.put(b"model")
    shutil.rmtree(home.cache)
    monkeypatch.setattr("mainspring.control.pins._RETRY_S", 0.1)
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        away = open_blobs(home)
    assert pin_files(home, "delays", away, [digest]) is None
    assert pin_files(home, "delays", away, [digest]) is None
    assert wait_for_files(home, open_blobs(home), [digest])[digest].read_bytes() == b"model"
