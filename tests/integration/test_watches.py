"""Files that start pipelines: a change once it is whole, each once, and no circle of a pipeline's own files."""

import os
import threading
import time

import pytest

from mainspring.control import triggers as loops
from mainspring.control import watches
from mainspring.domain import messages, triggers
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Declaration
from mainspring.sdk.triggers import On
from mainspring.store import runs
from mainspring.store.watches import look_at

SNAPSHOT = {"files": {}, "entry": "flow:train", "python": "python3", "preload": []}


@pytest.fixture
def watched(desk, tmp_path, monkeypatch):
    """A folder whose files of CSV start a pipeline."""
    monkeypatch.setattr(watches, "REST_S", 0.0)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "old.csv").write_text("a")
    desk.clock.time = time.time()
    desk.folder = folder
    body = {"triggers": [On("file", path=f"{folder}/*.csv").body()], "snapshot": SNAPSHOT, "folder": "/"}
    desk.ask(messages.Apply(declarations=[Declaration("pipeline", "train", body)]))
    look(desk)
    yield desk
    watches.forget_watches(desk.home)


def look(desk, times=4):
    """Let the owner look until two looks have seen the same, and act."""
    for _ in range(times):
        desk.call(watches.watch_files)
        for each in threading.enumerate():
            if each.name == "watch":
                each.join(10)
    desk.call(loops.follow_triggers)


def started(desk):
    return [run.params["event"] for run in desk.ask(messages.ListRuns(kind="pipeline"))]


def show(desk):
    (standing,) = desk.ask(triggers.GetPipeline(name="train")).triggers
    return standing


def finish(desk):
    def end(turn):
        for run in desk.ask_runs:
            runs.change_run(
                turn.connection, runs.get_run(turn.connection, run.id), state="succeeded", ended_at=turn.now()
            )

    desk.ask_runs = desk.ask(messages.ListRuns(kind="pipeline", state="queued"))
    desk.call(end)


def test_what_was_there_starts_nothing_and_each_change_starts_once(watched):
    pattern = f"{watched.folder}/*.csv"
    look(watched)
    assert started(watched) == []
    (watched.folder / "note.txt").write_text("of no interest")
    look(watched)
    assert started(watched) == []
    (watched.folder / "new.csv").write_text("b")
    look(watched)
    look(watched)
    assert started(watched) == [pattern]
    finish(watched)
    watched.clock.advance(3600)
    for act in (
        lambda: (watched.folder / "new.csv").write_text("longer"),
        lambda: os.utime(watched.folder / "old.csv", (watched.clock.now(), watched.clock.now())),
        (watched.folder / "new.csv").unlink,
    ):
        before = len(started(watched))
        act()
        look(watched)
        assert len(started(watched)) == before + 1
        finish(watched)
        watched.clock.advance(3600)


def test_a_file_that_is_still_written_starts_nothing_yet(watched):
    for size in range(5):
        (watched.folder / "big.csv").write_text("x" * size)
        look(watched, times=1)
    assert started(watched) == []
    look(watched)
    assert len(started(watched)) == 1


def test_a_change_while_no_owner_was_there_is_seen_by_the_next_one(watched):
    watches.forget_watches(watched.home)
    (watched.folder / "new.csv").write_text("b")
    look(watched)
    assert len(started(watched)) == 1


def test_a_pipeline_that_writes_the_file_it_waits_for_comes_to_an_end(watched):
    for number in range(8):
        (watched.folder / "old.csv").write_text("x" * (number + 2))
        look(watched)
        finish(watched)
        look(watched)
    assert 3 <= len(started(watched)) <= 5
    assert "changed while its own run went on, 3 times in a row: it would go on for ever" in show(watched).outcome
    watched.clock.advance(3600)
    (watched.folder / "old.csv").write_text("by somebody else")
    os.utime(watched.folder / "old.csv", (watched.clock.now(), watched.clock.now()))
    before = len(started(watched))
    look(watched)
    assert len(started(watched)) == before + 1


def test_a_disk_that_hangs_stops_nobody(watched, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(watches, "look_at", lambda pattern: release.wait(60) and look_at(pattern))
    (watched.folder / "new.csv").write_text("b")
    for _ in range(5):
        watched.call(watches.watch_files)
    assert started(watched) == []
    release.set()
    look(watched)
    assert len(started(watched)) == 1


def test_too_many_files_are_named(watched, monkeypatch):
    monkeypatch.setattr("mainspring.store.watches.MOST_FILES", 1)
    (watched.folder / "new.csv").write_text("b")
    look(watched)
    assert show(watched).outcome == f"more than 1 files match {watched.folder}/*.csv"
    assert started(watched) == []


def test_a_path_is_absolute_and_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert On("file", path="in/*.csv").trigger.match == {"path": f"{tmp_path}/in/*.csv"}
    with pytest.raises(Invalid, match=r"RENEW-004.*names no path"):
        On("file")
