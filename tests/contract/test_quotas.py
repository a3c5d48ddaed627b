"""What a project holds is counted in the transaction that names it, and bounded where a bound is set."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.support.access import HOME_USER
from tests.support.homes import Desk

from mainspring.domain import access, messages
from mainspring.domain.errors import Conflict
from mainspring.domain.records import Value
from mainspring.domain.transfers import HoldBlob
from mainspring.domain.upkeep import DeleteRuns, DeleteVersions, PurgeDeleted, RecountBlobs
from mainspring.store import tables

LATE = 4_000_000_000.0


def used(desk, project="default"):
    listed = {each.name: each.used_bytes for each in desk.ask(access.ListProjects(), actor=HOME_USER)}
    assert desk.ask(messages.GetStatus(), project=project).used_bytes == listed[project]
    return listed[project]


def set_quota(desk, quota_bytes, name="default"):
    desk.ask(access.SetProject(name=name, quota_bytes=quota_bytes), actor=HOME_USER)


def finish(desk, content, *parts, project="default", **options):
    run = desk.ask(messages.BeginRun(kind="step", name="fit", **options), project=project).run
    digests = [desk.blobs.put(each) for each in (content, *parts)]
    value = Value("bytes", digests[0], len(content), parts=tuple(digests[1:]))
    ended = messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded", outputs=value)
    return desk.ask(ended, project=project)


def register(desk, number, *contents):
    manifest = {f"file{place}": desk.blobs.put(each) for place, each in enumerate(contents)}
    wanted = messages.PutVersion(kind="model", name="delays", digest=f"{number:064x}", manifest=manifest)
    return desk.ask(wanted)


def purge(desk):
    while desk.ask(PurgeDeleted(before=LATE, dry_run=True)):
        desk.ask(PurgeDeleted(before=LATE))


def test_each_blob_counts_once_in_each_project(desk):
    desk.ask(access.AddProject(name="rail"), actor=HOME_USER)
    assert used(desk) == 0
    finish(desk, b"x" * 100, b"y" * 10)
    register(desk, 1, b"x" * 100, b"z" * 1000)
    finish(desk, b"x" * 100, project="rail")
    assert (used(desk), used(desk, "rail")) == (1110, 100)


def test_what_is_purged_is_held_no_more(desk):
    run = finish(desk, b"x" * 100, b"y" * 10)
    register(desk, 1, b"x" * 100, b"z" * 1000)
    desk.ask(DeleteVersions(kind="model", reference="delays@1"))
    assert used(desk) == 1110
    purge(desk)
    assert used(desk) == 110
    desk.ask(DeleteRuns(ids=[run.id]))
    purge(desk)
    assert used(desk) == 0


def test_a_commit_over_the_quota_is_refused_and_leaves_nothing(desk):
    set_quota(desk, 1000)
    run = finish(desk, b"x" * 900)
    with pytest.raises(Conflict) as caught:
        finish(desk, b"y" * 200)
    assert caught.value.code == "KEEP-005"
    assert "'default' holds 900 B of 1 kB" in caught.value.what
    assert "would add 200 B" in caught.value.what
    assert "mainspring" in caught.value.fix
    with pytest.raises(Conflict, match="KEEP-005"):
        register(desk, 1, b"z" * 200)
    assert used(desk) == 900
    assert desk.ask(messages.ListVersions(kind="model")) == []
    finish(desk, b"x" * 900)
    finish(desk, b"w" * 100)
    assert used(desk) == 1000
    desk.ask(DeleteRuns(filter="name = fit and state = succeeded"))
    purge(desk)
    assert used(desk) == 0
    finish(desk, b"y" * 200)
    set_quota(desk, 0)
    finish(desk, b"v" * 5000)
    assert (used(desk), run.state) == (5200, "succeeded")


def put_rows(desk, number, sizes, table="trips", **options):
    manifest = {"table": table, "delta_version": number, "files": list(sizes), "sizes": sizes, "schema": "{}"}
    wanted = messages.PutVersion("dataset", "trips", f"{number:064x}", manifest, {"rows": 1})
    return desk.ask(wanted, **options)


def test_files_of_tables_count_once_and_go_with_a_recount(desk):
    put_rows(desk, 1, {"a.parquet": 100})
    put_rows(desk, 2, {"a.parquet": 100, "b.parquet": 20})
    assert used(desk) == 120
    finish(desk, b"x" * 7)
    set_quota(desk, 100)
    put_rows(desk, 3, {"c.parquet": 3})  # it is committed already
    assert used(desk) == 130
    with pytest.raises(Conflict, match="KEEP-005"):
        finish(desk, b"y")
    desk.ask(DeleteVersions("dataset", "trips@1"))
    desk.ask(DeleteVersions("dataset", "trips@2"))
    purge(desk)
    assert used(desk) == 130, "their bytes go with the next collection, which counts anew"
    desk.ask(RecountBlobs(), actor=HOME_USER)
    assert used(desk) == 10
    desk.ask(access.AddProject(name="rail"), actor=HOME_USER)
    put_rows(desk, 9, {"d.parquet": 5}, table="trips@rail", project="rail")
    assert (used(desk), used(desk, "rail")) == (10, 5)


def test_versions_of_before_are_counted_by_the_next_recount(desk):
    put_rows(desk, 1, {"a.parquet": 100})
    desk.call(lambda turn: turn.connection.exec_driver_sql("DELETE FROM holdings"))
    desk.ask(RecountBlobs(), actor=HOME_USER)
    assert used(desk) == 100


def test_an_upload_over_the_quota_is_refused_before_it_travels(desk):
    set_quota(desk, 1000)
    finish(desk, b"x" * 900)
    digest = desk.blobs.put(b"x" * 900)
    assert desk.ask(HoldBlob(digest=digest, size_bytes=900)).known
    with pytest.raises(Conflict) as caught:
        desk.ask(HoldBlob(digest="e" * 64, size_bytes=200))
    assert caught.value.code == "KEEP-005"
    assert not desk.ask(HoldBlob(digest="e" * 64, size_bytes=50)).known


def test_wrong_lengths_are_corrected_by_a_recount(desk):
    finish(desk, b"x" * 100)
    digest = desk.blobs.put(b"x" * 100)
    desk.ask(RecountBlobs(sizes={digest: 70}), actor=HOME_USER)
    assert used(desk) == 70
    desk.ask(RecountBlobs(sizes={digest: 100, "e" * 64: 7}), actor=HOME_USER)
    assert used(desk) == 100


ACTS = st.lists(
    st.tuples(st.sampled_from(["finish", "register", "delete", "purge", "recount"]), st.integers(0, 5)), max_size=12
)


@settings(max_examples=15, deadline=None)
@given(acts=ACTS)
def test_the_sum_is_that_of_what_is_named(tmp_path_factory, acts):
    """Whatever is done in whatever order, the sum is what the uses of the project come to."""
    from mainspring.store.homes import place_home

    desk = Desk(place_home(tmp_path_factory.mktemp("quota") / "home"))
    try:
        for place, (act, number) in enumerate(acts):
            if act == "finish":
                finish(desk, b"a" * (number + 1), b"b" * (number + 1))
            elif act == "register":
                register(desk, place + 1, b"a" * (number + 1), b"c" * number)
            elif act == "delete":
                desk.ask(DeleteRuns(filter="state = succeeded"))
            elif act == "purge":
                purge(desk)
            else:
                desk.ask(RecountBlobs(), actor=HOME_USER)
            with desk.engine.connect() as connection:
                named = set(connection.execute(select(tables.uses.c.digest)).scalars())
            assert used(desk) == sum(desk.blobs.measure(digest) for digest in named)
    finally:
        desk.close()
