"""What the record names, in whatever way, stays; the rest goes after its grace."""

import json
import os
import time
from dataclasses import dataclass

import numpy as np
import pytest
from tests.support.homes import Desk

from mainspring.domain import messages
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Call, Value
from mainspring.domain.upkeep import SweepFiles
from mainspring.pipelines.calls import make_call
from mainspring.security.seals import project_seal
from mainspring.store.leftovers import find_leftovers
from mainspring.store.marks import read_moment
from mainspring.tracking.codecs import store_value

DAY_S = 86_400.0


@dataclass
class Report:
    """A value with parts."""

    scores: np.ndarray
    name: str


def length(values):
    return len(values)


def age(home):
    """Make every file of the home two days old."""
    then = time.time() - 2 * DAY_S
    for path in (*home.blobs.glob("??/*"), *home.tables.rglob("*.parquet")):
        os.utime(path, (then, then))


def sweep(desk, found):
    return desk.ask(
        SweepFiles(
            blobs=list(found.blobs),
            files=list(found.files),
            before=found.before,
            marked_at=found.moment.time,
            numbers=found.moment.numbers,
        )
    )


def finish(desk, value, **options):
    run = desk.ask(messages.BeginRun(kind="step", name="fit", **options)).run
    return desk.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded", outputs=value))


def put_table(home, name, *files):
    folder = home.tables / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file).write_bytes(b"rows")
    return folder


def test_what_is_named_in_any_way_stays(home):
    desk = Desk(home)
    seal = project_seal(home)
    folder = home.root / "folder"
    folder.mkdir()
    for name in "ab":
        (folder / name).write_text(name * 100)
    values = [
        "text",
        np.arange(5.0),
        (np.arange(6.0), Report(np.arange(7.0), "inner")),
        Report(np.arange(8.0), "outer"),
        folder,
        {1, 2, 3},
    ]
    for value in values:
        finish(desk, store_value(value, desk.blobs, seal))
    call = make_call(length, ["x" * 100_000], {"extra": np.zeros(10_000)}, desk.blobs, seal)
    desk.ask(messages.SubmitRuns(runs=[messages.RunSpec(kind="step", name="far", call=call)]))
    job = Call(job="check", arguments={"known": {"digest": desk.blobs.put(b"reference")}})
    desk.ask(messages.SubmitRuns(runs=[messages.RunSpec(kind="check", name="check", call=job)]))
    figure = Value("png", desk.blobs.put(b"figure"), 6)
    finish(desk, None, tags={"figure": json.dumps({"codec": "png", "digest": figure.digest, "size_bytes": 6})})
    manifest = {"model.onnx": desk.blobs.put(b"model")}
    desk.ask(messages.PutVersion(kind="model", name="delays", digest="e" * 64, manifest=manifest))
    home.journals.mkdir(exist_ok=True)
    (home.journals / "run.1").write_text(json.dumps({"tags": {"plot": desk.blobs.put(b"in a journal")}}))
    there = {each.digest for each in desk.blobs.list()}
    stray = {desk.blobs.put(b"stray %d" % number) for number in range(3)}
    put_table(home, "flights", "named.parquet", "orphan.parquet")
    manifest = {"table": "flights", "delta_version": 0, "files": ["named.parquet"]}
    desk.ask(messages.PutVersion(kind="dataset", name="flights", digest="d" * 64, manifest=manifest))

    assert find_leftovers(home, DAY_S).blobs == {}
    age(home)
    found = find_leftovers(home, DAY_S)
    assert set(found.blobs) == stray
    assert set(found.files) == {"flights/orphan.parquet"}
    assert (found.kept_blobs, found.kept_files) == (len(there), 1)
    swept = sweep(desk, found)
    assert (swept.blobs, swept.blob_bytes, swept.files, swept.file_bytes) == (3, 21, 1, 4)
    assert {each.digest for each in desk.blobs.list()} == there
    assert [path.name for path in home.tables.rglob("*.parquet")] == ["named.parquet"]
    again = find_leftovers(home, DAY_S)
    assert (again.blobs, again.files) == ({}, {})
    desk.close()


def test_what_is_named_after_the_mark_stays(home):
    desk = Desk(home)
    begun = desk.ask(messages.BeginRun(kind="step", name="long")).run
    digests = [desk.blobs.put(b"%d" % number) for number in range(4)]
    put_table(home, "flights", "late.parquet", "orphan.parquet")
    age(home)
    found = find_leftovers(home, DAY_S)
    assert set(found.blobs) == set(digests)
    ended = messages.FinishRun(
        run_id=begun.id, attempt=1, fence=1, state="succeeded", outputs=Value("x", digests[0], 1)
    )
    desk.ask(ended)
    desk.ask(messages.PutVersion(kind="model", name="delays", digest="e" * 64, manifest={"model": digests[1]}))
    assert desk.blobs.put(b"2") == digests[2]
    manifest = {"table": "flights", "delta_version": 0, "files": ["late.parquet"]}
    desk.ask(messages.PutVersion(kind="dataset", name="flights", digest="d" * 64, manifest=manifest))
    swept = sweep(desk, found)
    assert (swept.blobs, swept.files) == (1, 1)
    assert {each.digest for each in desk.blobs.list()} == set(digests[:3])
    assert (home.tables / "flights" / "late.parquet").exists()
    desk.close()


def test_a_commit_that_the_record_does_not_know_yet_keeps_its_files(home):
    desk = Desk(home)
    folder = put_table(home, "flights", "a.parquet", "b c.parquet", "old.parquet")
    (folder / "_delta_log").mkdir()
    for number, name in enumerate(["old.parquet", "a.parquet", "b%20c.parquet"]):
        line = json.dumps({"add": {"path": name}})
        (folder / "_delta_log" / f"{number:020}.json").write_text(line + "\n")
    manifest = {"table": "flights", "delta_version": 1, "files": ["a.parquet"]}
    desk.ask(messages.PutVersion(kind="dataset", name="flights", digest="d" * 64, manifest=manifest))
    age(home)
    assert set(find_leftovers(home, DAY_S).files) == {"flights/old.parquet"}
    (home.tables / "of").mkdir()
    folder.rename(home.tables / "of" / "flights")  # as the tables of other projects lie
    assert find_leftovers(home, DAY_S).files == {}
    desk.close()


@pytest.mark.parametrize(
    "name", ["../keys/project.key", "flights/_delta_log/x.parquet", "flights/notes.txt", "/x.parquet"]
)
def test_nothing_but_files_of_rows_is_removed(desk, home, name):
    with desk.engine.connect() as connection, connection.begin():
        moment = read_moment(connection)
    command = SweepFiles(blobs=[], files=[name], before=time.time(), marked_at=moment.time, numbers=moment.numbers)
    with pytest.raises(Invalid) as caught:
        desk.ask(command)
    assert caught.value.code == "HOME-011"
