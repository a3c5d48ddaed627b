"""Deleted runs are found by nobody, come back with what was below them, and leave no more than lineage names."""

import pytest
from sqlalchemy import func, select

from mainspring.domain import messages
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.records import Value
from mainspring.domain.upkeep import DeleteRuns, ListDeleted, PurgeDeleted, RestoreRuns
from mainspring.store import tables

LATE = 4_000_000_000.0


def begin(desk, name="fit", **options):
    return desk.ask(messages.BeginRun(kind="step", name=name, **options)).run


def finish(desk, run, state="succeeded", **options):
    return desk.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state=state, **options))


def make_tree(desk, name="train", children=3, **options):
    top = begin(desk, name)
    below = [begin(desk, f"{name}.{number}", parent_id=top.id, **options) for number in range(children)]
    for run in (*below, top):
        points = [("auc", step, float(step), 0.5) for step in range(4)]
        desk.ask(messages.Report(run_id=run.id, attempt=1, fence=1, offset=1, points=points))
        finish(desk, run)
    return top, below


def list_ids(desk, filter=""):  # noqa: A002
    return {run.id for run in desk.ask(messages.SearchRuns(filter=filter)).runs}


def count(desk, table):
    with desk.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_a_deleted_run_is_found_by_nobody_and_comes_back_whole(desk):
    top, below = make_tree(desk)
    other = finish(desk, begin(desk, "other"))
    ids = {top.id, *(run.id for run in below)}
    told = desk.ask(DeleteRuns(ids=[top.id], dry_run=True))
    assert ([each.id for each in told.deletions], told.hidden) == ([top.id], 4)
    assert list_ids(desk) == {other.id} | ids
    assert desk.ask(DeleteRuns(ids=[top.id[-8:]])).hidden == 4
    assert list_ids(desk) == {other.id}
    assert {run.id for run in desk.ask(messages.ListRuns())} == {other.id}
    assert desk.ask(messages.GetStatus()).runs == {"succeeded": 1}
    for part in (top.id, top.id[-8:], below[0].id):
        with pytest.raises(NotFound) as caught:
            desk.ask(messages.GetRun(part))
        assert caught.value.code == "RUN-001"
    assert [each.id for each in desk.ask(ListDeleted(kind="run"))] == [top.id]
    assert [run.id for run in desk.ask(RestoreRuns([top.id[-8:]]))] == [top.id]
    assert list_ids(desk) == {other.id} | ids
    assert desk.ask(messages.GetSeries(below[0].id, "auc"))[0] == (0, 0.0, 0.5)
    with pytest.raises(NotFound) as caught:
        desk.ask(RestoreRuns([top.id]))
    assert caught.value.code == "KEEP-004"


def test_what_a_deleted_run_kept_answers_no_call(desk):
    digest = desk.blobs.put(b"result")
    run = begin(desk, key="k1", cache=True)
    finish(desk, run, outputs=Value("bytes", digest, 6))
    assert desk.ask(messages.BeginRun(kind="step", name="fit", key="k1", cache=True)).hit
    desk.ask(DeleteRuns(ids=[run.id]))
    assert not desk.ask(messages.BeginRun(kind="step", name="fit", key="k1", cache=True)).hit


def test_a_live_run_and_what_is_below_or_above_it_stay(desk):
    top = begin(desk, "train")
    child = finish(desk, begin(desk, "fit", parent_id=top.id))
    live = begin(desk, "score", parent_id=top.id)
    for wanted in (top, child, live):
        with pytest.raises(Conflict, match="is running") as caught:
            desk.ask(DeleteRuns(ids=[wanted.id]))
        assert caught.value.code == "KEEP-002"
        assert "mainspring runs cancel" in caught.value.fix
    assert desk.ask(DeleteRuns(filter="state = succeeded")).kept == [
        f"run {child.id[-6:]} (fit) is needed by run {top.id[-6:]} (train), which is running"
    ]
    assert len(list_ids(desk)) == 3
    with pytest.raises(Invalid) as nothing:
        desk.ask(DeleteRuns())
    assert nothing.value.code == "KEEP-001"


def test_a_filter_deletes_page_by_page(desk):
    made = [finish(desk, begin(desk, "noise"), "failed") for _ in range(203)]
    kept = finish(desk, begin(desk, "kept"))
    first = desk.ask(DeleteRuns(filter="name = noise"))
    assert (first.hidden, len(first.deletions)) == (200, 200)
    second = desk.ask(DeleteRuns(filter="name = noise", page=first.next))
    assert (second.hidden, second.next) == (3, None)
    assert {each.id for each in (*first.deletions, *second.deletions)} == {run.id for run in made}
    assert list_ids(desk) == {kept.id}


def purge(desk):
    found = []
    while desk.ask(PurgeDeleted(before=LATE, dry_run=True)):
        found += desk.ask(PurgeDeleted(before=LATE))
    return found


def test_a_purge_leaves_nothing_of_runs_that_no_lineage_names(desk):
    top, below = make_tree(desk)
    other, _ = make_tree(desk, "other")
    desk.ask(DeleteRuns(ids=[top.id]))
    assert {each.id for each in purge(desk)} == {top.id, *(run.id for run in below)}
    assert (count(desk, tables.runs), count(desk, tables.points), count(desk, tables.latest)) == (4, 16, 4)
    assert count(desk, tables.deletions) == 0
    assert list_ids(desk, f"id = {other.id}") == {other.id}
    with pytest.raises(NotFound) as caught:
        desk.ask(RestoreRuns([top.id]))
    assert caught.value.code == "KEEP-004"


def test_a_purge_leaves_tombstones_where_lineage_passes(desk):
    rows = desk.ask(messages.PutVersion(kind="dataset", name="rows", digest="a" * 64, manifest={}))
    top = begin(desk, "train")
    child = begin(desk, "fit", parent_id=top.id, params={"rate": 0.1})
    desk.ask(messages.GetVersion(kind="dataset", reference="rows@1", run_id=child.id))
    finish(desk, child)
    made = messages.PutVersion(kind="model", name="delays", digest="b" * 64, manifest={}, run_id=top.id)
    desk.ask(made)
    finish(desk, top)
    done = desk.ask(DeleteRuns(ids=[top.id]))
    assert done.warnings == ["delays@1 was made by it"]
    assert len(purge(desk)) == 2
    assert count(desk, tables.runs) == 2
    assert [each.id for each in desk.ask(messages.ListReads(top.id))] == [rows.id]
    assert list_ids(desk) == set()
    with pytest.raises(Conflict) as caught:
        desk.ask(RestoreRuns([top.id]))
    assert caught.value.code == "KEEP-003"
    with desk.engine.connect() as connection:
        assert connection.execute(select(tables.runs.c.params)).scalars().all() == [{}, {}]


def test_many_points_are_dropped_in_several_steps(desk):
    run = begin(desk)
    for start in range(0, 60_000, 20_000):
        points = [("loss", step, float(step), 0.5) for step in range(start, start + 20_000)]
        desk.ask(messages.Report(run_id=run.id, attempt=1, fence=1, offset=start + 1, points=points))
    finish(desk, run)
    desk.ask(DeleteRuns(ids=[run.id]))
    assert desk.ask(PurgeDeleted(before=LATE)) == []
    assert count(desk, tables.points) == 10_000
    assert [each.id for each in desk.ask(PurgeDeleted(before=LATE))] == [run.id]
    assert (count(desk, tables.points), count(desk, tables.runs)) == (0, 0)
