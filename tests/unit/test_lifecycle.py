"""What a plane does when its folder misbehaves."""

import asyncio
import contextlib
import os

import pytest

from mainspring.serving import lifecycle
from mainspring.serving.files import Desired, write_desired
from mainspring.serving.lifecycle import Plane
from mainspring.serving.plane import bind, lock


@pytest.fixture
def plane(tmp_path):
    desired = Desired(1, "delays")
    write_desired(tmp_path, desired)
    held = lock(tmp_path)
    with contextlib.closing(bind(tmp_path)) as listener:
        plane = Plane(tmp_path, desired, listener, held)
        yield plane
        plane.core.close()
    os.close(held)


def test_two_short_absences_of_the_desired_state_are_no_long_one(plane, monkeypatch):
    stamps = iter([(1,), None, (1,), None, (1,)])

    def look(_path):
        with contextlib.suppress(StopIteration):
            return next(stamps)
        raise RuntimeError("looked to the end")

    monkeypatch.setattr(lifecycle, "_stamp", look)
    monkeypatch.setattr(lifecycle, "_ORPHAN_S", lifecycle._POLL_S * 1.5)
    with pytest.raises(RuntimeError, match="looked to the end"):
        asyncio.run(plane._watch())


def test_a_status_that_cannot_be_written_is_told_once(plane, monkeypatch, capsys):
    def refuse(_folder, _content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lifecycle, "write_status", refuse)
    assert [plane._write(b"{}") for _ in range(3)] == [False] * 3
    assert capsys.readouterr().err == "status.json cannot be written: [Errno 28] No space left on device\n"
