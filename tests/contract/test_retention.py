"""What a project keeps for a time goes after it, but never what an alias, a service, lineage or a live run needs."""

import os

import pytest
from tests.support.access import HOME_USER

from mainspring.control import litter, retention
from mainspring.domain import access, messages
from mainspring.domain.errors import NotFound
from mainspring.domain.upkeep import ListDeleted, RestoreRuns
from mainspring.tracking.journal import journal_path

DAY_S = 86_400.0


def set_project(desk, name="default", **settings):
    return desk.ask(access.SetProject(name=name, **settings), actor=HOME_USER)


def begin(desk, name="fit", project="default", **options):
    return desk.ask(messages.BeginRun(kind="step", name=name, **options), project=project).run


def finish(desk, run, project="default"):
    return desk.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded"), project=project)


def put(desk, name, content, kind="dataset", **options):
    return desk.ask(messages.PutVersion(kind=kind, name=name, digest=content * 64, manifest={}, **options))


def names(desk, project="default"):
    return sorted(run.name for run in desk.ask(messages.SearchRuns(limit=1000), project=project).runs)


def references(desk, kind):
    heads = desk.ask(messages.ListVersions(kind=kind))
    return {each.reference for head in heads for each in desk.ask(messages.ListVersions(kind=kind, name=head.name))}


def keep(desk, steps=4):
    for _ in range(steps):
        desk.call(retention.keep)


def test_runs_go_after_their_time_and_are_purged_after_the_window(desk):
    old = finish(desk, begin(desk, "old"))
    child = begin(desk, "below", parent_id=(top := begin(desk, "top")).id)
    finish(desk, child)
    finish(desk, top)
    live = begin(desk, "live")
    desk.clock.advance(91 * DAY_S)
    finish(desk, begin(desk, "new"))
    keep(desk)
    assert len(names(desk)) == 5
    told = set_project(desk, keep_runs_s=90 * DAY_S, dry_run=True)
    assert [each.name for each in told.going] == ["old", "top"]
    keep(desk)
    assert len(names(desk)) == 5
    set_project(desk, keep_runs_s=90 * DAY_S)
    keep(desk)
    assert names(desk) == ["live", "new"]
    assert [event.kind for event in desk.ask(messages.ListEvents(kind="expired"))] == ["expired"]
    assert {each.name for each in desk.ask(ListDeleted(kind="run"))} == {"old", "top"}
    desk.ask(RestoreRuns([old.id]))
    desk.clock.advance(31 * DAY_S)
    keep(desk)
    assert [each.name for each in desk.ask(ListDeleted(kind="run"))] == ["old"]  # restored, and too old again
    with pytest.raises(NotFound):
        desk.ask(RestoreRuns([top.id]))
    assert "live" in names(desk)
    assert desk.ask(messages.GetRun(live.id)).state == "running"


def test_the_lineage_of_what_is_used_stays(desk):
    for number, content in enumerate("abc"):
        train = begin(desk, f"train{number}")
        rows = put(desk, "rows", content, run_id=train.id)
        put(desk, "delays", content, kind="model", inputs=(rows.id,), run_id=train.id)
        finish(desk, train)
    desk.ask(messages.MoveAlias(kind="model", name="delays", alias="champion", number=2))
    set_project(desk, keep_runs_s=10 * DAY_S, keep_versions_s=10 * DAY_S)
    desk.clock.advance(11 * DAY_S)
    keep(desk)
    assert references(desk, "model") == {"delays@2", "delays@3"}
    assert references(desk, "dataset") == {"rows@2", "rows@3"}
    assert names(desk) == ["train1", "train2"]


def test_what_a_service_holds_stays(desk):
    for content in "abc":
        put(desk, "delays", content, kind="model")
    desk.ask(messages.Deploy(name="eta", model="delays@1"))
    set_project(desk, keep_versions_s=10 * DAY_S)
    desk.clock.advance(11 * DAY_S)
    keep(desk)
    assert references(desk, "model") == {"delays@1", "delays@3"}
    desk.ask(messages.StopService(name="eta"))
    desk.clock.advance(3601)
    keep(desk)
    assert references(desk, "model") == {"delays@3"}


def test_each_project_keeps_its_own(desk):
    desk.ask(access.AddProject(name="rail"), actor=HOME_USER)
    set_project(desk, "rail", keep_runs_s=DAY_S, quota_bytes=5)
    for project in ("rail", "default"):
        finish(desk, begin(desk, "fit", project=project), project)
    desk.clock.advance(2 * DAY_S)
    keep(desk)
    assert (names(desk, "rail"), names(desk)) == ([], ["fit"])
    set_project(desk, "rail", keep_runs_s=0)
    told = {each.name: each for each in desk.ask(access.ListProjects(), actor=HOME_USER)}
    assert (told["rail"].keep_runs_s, told["rail"].quota_bytes, told["default"].keep_runs_s) == (0, 5, None)
    with pytest.raises(NotFound) as caught:
        set_project(desk, "none", keep_runs_s=1.0)
    assert caught.value.code == "AUTH-009"


def test_many_old_runs_go_in_bounded_steps(desk):
    for number in range(120):
        finish(desk, begin(desk, f"r{number:03}"))
    set_project(desk, keep_runs_s=DAY_S)
    desk.clock.advance(2 * DAY_S)
    left = [120]
    while left[-1]:
        desk.call(retention.keep)
        left.append(len(names(desk)))
    assert left == [120, 70, 20, 0]


def test_files_of_runs_go_with_them_or_after_their_time(desk, home):
    kept, purged, live = (begin(desk, name) for name in ("kept", "purged", "live"))
    for run in (kept, purged):
        finish(desk, run)
    logs = home.logs / "runs"
    logs.mkdir(parents=True, exist_ok=True)
    home.journals.mkdir(exist_ok=True)
    stray = "f" * 32
    ids = [kept.id, purged.id, live.id, stray]
    paths = [logs / f"{each}-1.log" for each in ids] + [journal_path(home.journals, each, 1) for each in ids]
    paths += [home.logs / name for name in ("f-old.log", "owner.log")]
    for path in paths:
        path.write_text("told")
        os.utime(path, (desk.clock.now(), desk.clock.now()))

    def sweep():
        desk.call(litter.sweep_files)
        return {path.name for path in paths if not path.exists()}

    assert sweep() == set()
    desk.clock.advance(2 * 3600)
    gone = {path.name for path in paths if stray in path.name}
    assert sweep() == gone
    set_project(desk, keep_runs_s=DAY_S, keep_deleted_s=1.0)
    desk.ask(messages.PutVersion(kind="dataset", name="d", digest="a" * 64, manifest={}, run_id=kept.id))
    desk.clock.advance(2 * DAY_S)
    keep(desk)
    desk.clock.advance(2)
    keep(desk)
    gone |= {path.name for path in paths if purged.id in path.name}
    assert sweep() == gone
    set_project(desk, keep_logs_s=DAY_S)
    gone.add(f"{kept.id}-1.log")
    assert sweep() == gone
    desk.clock.advance(40 * DAY_S)
    assert sweep() == gone | {"f-old.log"}
