"""A blob whose `put` returned is there, at whatever moment of a sweep it was put."""

import itertools
import os
import threading

import pytest

from mainspring.store import blobs as module
from mainspring.store.blobs import FolderBlobs, sweep_blob, sweep_drafts
from mainspring.store.files import LocalFileSystem

OLD, LIMIT = 1_000_000_000.0, 1_500_000_000.0
POINTS = ("sweep.seen", "sweep.aside", "sweep.spared")
END = len(POINTS) + 1


class Steps:
    """Lets a sweep in another thread go on from one crash point to the next."""

    def __init__(self, root, digest, monkeypatch):
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._reached, self._over = 0, False
        monkeypatch.setattr(module, "crash_point", self._pause)
        self._thread = threading.Thread(target=self._sweep, args=(root, digest))
        self._thread.start()
        self.removed = None

    def go_to(self, step):
        while self._reached < step and not self._over:
            self._reached += 1
            self._turn.release()
            self._done.acquire()

    def finish(self):
        self.go_to(END + 1)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _pause(self, name):
        if name in POINTS and threading.current_thread() is self._thread:
            self._done.release()
            self._turn.acquire()

    def _sweep(self, root, digest):
        self._turn.acquire()
        self.removed = sweep_blob(root, digest, LIMIT)
        self._over = True  # a thread that is about to end still is alive
        self._done.release()


class StoppingFiles(LocalFileSystem):
    """Has the sweep go on before a blob is made young, and before it is read."""

    steps = None
    first = second = 0

    def touch(self, path):
        if self.steps:
            self.steps.go_to(self.first)
        super().touch(path)

    def read(self, path):
        if self.steps:
            self.steps.go_to(self.second)
        return super().read(path)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations_with_replacement(range(END + 1), 2)))
def test_a_blob_that_is_put_during_a_sweep_survives(tmp_path, monkeypatch, first, second):
    files = StoppingFiles()
    blobs = FolderBlobs(tmp_path, files)
    digest = blobs.put(b"value")
    os.utime(blobs.path(digest), (OLD, OLD))
    steps = Steps(tmp_path, digest, monkeypatch)
    files.steps, files.first, files.second = steps, first, second
    assert blobs.put(b"value") == digest
    files.steps = None
    steps.finish()
    assert blobs.get(digest) == b"value"
    assert blobs.path(digest).stat().st_mtime > LIMIT
    assert list((tmp_path / ".swept").glob("*")) == []


def test_an_old_blob_goes_and_a_young_one_stays(tmp_path):
    blobs = FolderBlobs(tmp_path, LocalFileSystem())
    old, young = blobs.put(b"old"), blobs.put(b"young")
    os.utime(blobs.path(old), (OLD, OLD))
    assert sweep_blob(tmp_path, old, LIMIT) == 3
    assert sweep_blob(tmp_path, old, LIMIT) is None
    assert sweep_blob(tmp_path, young, LIMIT) is None
    assert [each.digest for each in blobs.list()] == [young]


@pytest.mark.parametrize("anew", [False, True])
def test_what_a_killed_sweep_laid_aside_is_put_back(tmp_path, anew):
    blobs = FolderBlobs(tmp_path, LocalFileSystem())
    digest = blobs.put(b"value")
    (tmp_path / ".swept").mkdir()
    blobs.path(digest).rename(tmp_path / ".swept" / digest)
    if anew:
        blobs.put(b"value")
    sweep_drafts(tmp_path, OLD)
    assert blobs.get(digest) == b"value"
    assert list((tmp_path / ".swept").glob("*")) == []
