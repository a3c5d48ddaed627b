"""An owner killed in a sweep: what was put meanwhile is there, and the next owner finishes."""

import os
import time

import pytest

from mainspring.domain import messages
from mainspring.domain.records import Value
from mainspring.domain.upkeep import SweepFiles
from mainspring.store.leftovers import find_leftovers

POINTS = ("sweep.seen", "sweep.aside", "sweep.spared")


@pytest.mark.parametrize("point", POINTS[:2])
def test_a_killed_sweep_is_finished_and_loses_nothing_that_is_named(home, client, start, tmp_path, point):
    mark = tmp_path / "killed"
    owner = start(MAINSPRING_CRASH=f"{point}:5:{mark}")
    named = [client.blobs.put(b"named %d" % number) for number in range(5)]
    for digest in named:
        run = client.ask(messages.BeginRun(kind="step", name="fit")).run
        value = Value("bytes", digest, 7)
        client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded", outputs=value))
    stray = [client.blobs.put(b"stray %d" % number) for number in range(20)]
    then = time.time() - 100_000
    for digest in (*named, *stray):
        os.utime(client.blobs.path(digest), (then, then))
    found = find_leftovers(home, 86_400)
    assert set(found.blobs) == set(stray)
    swept = client.ask(
        SweepFiles(
            blobs=[*stray, *named],  # a wrong mark is found out by the second look
            files=[],
            before=found.before,
            marked_at=found.moment.time,
            numbers=dict.fromkeys(found.moment.numbers, 0),
        )
    )
    owner.kill()
    assert mark.exists()
    assert swept.blobs == 20 - 4
    assert {each.digest for each in client.blobs.list()} == set(named)


def test_a_blob_put_before_the_kill_is_there_after_it(home, client, start, tmp_path, monkeypatch):
    """The most awkward moment: laid aside while young, then the owner dies before it is put back."""
    from mainspring.store import blobs as module

    digest = client.blobs.put(b"value")
    then = time.time() - 100_000
    os.utime(client.blobs.path(digest), (then, then))

    class KilledError(BaseException):
        pass

    def touch_then_die(name):
        if name == "sweep.seen":
            assert client.blobs.put(b"value") == digest
        if name == "sweep.spared":
            raise KilledError

    monkeypatch.setattr(module, "crash_point", touch_then_die)
    with pytest.raises(KilledError):
        module.sweep_blob(home.blobs, digest, time.time() - 1000)
    assert not client.blobs.exists(digest)
    monkeypatch.undo()
    monkeypatch.setenv("MAINSPRING_HOME", str(home.root))
    client.ask(messages.GetStatus())  # starts an owner
    assert client.blobs.get(digest) == b"value"
