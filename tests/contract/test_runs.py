"""Runs: begin, report, finish, lose, cancel; over a real record with a clock that the test moves."""

import math
import os

import pytest
from tests.support.access import Person

from mainspring.control.finishing import SLICE, cancel_orphans
from mainspring.control.leases import LEASE_S, adopt, expire_leases
from mainspring.control.processes import this_host
from mainspring.control.usecases import FINISHED, Later
from mainspring.domain import messages, records
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.retries import GetCall, RetryRuns
from mainspring.domain.states import STOPPED
from mainspring.domain.tracking import TagRun
from mainspring.store import rows
from mainspring.store.tables import calls, runs
from mainspring.tracking.journal import Facts, Journal, Point, journal_path, read_report


def begin(desk, name="fit", kind="step", **options):
    return desk.ask(messages.BeginRun(kind=kind, name=name, **options))


def finish(desk, run, state="succeeded", **options):
    options = {"attempt": run.attempt, "fence": run.fence, **options}
    return desk.ask(messages.FinishRun(run_id=run.id, state=state, **options))


def value(desk, content=b"result"):
    return records.Value("json", desk.blobs.put(content), len(content))


def queue(desk, **options):
    """A run that a worker holds, as the dispatch leaves it: it has a call and can run again."""
    run = begin(desk, **options).run

    def place(turn):
        rows.change(turn.connection, runs, {"id": run.id}, retries=2)
        turn.connection.execute(
            calls.insert(),
            {"run_id": run.id, "call": records.Call(payload="0" * 64), "worker_id": "w1", "placed_at": 1.0},
        )

    desk.call(place)
    return run


def get(desk, run):
    return desk.ask(messages.GetRun(id=run.id))


def test_a_run_is_begun_and_ended_with_its_result(desk):
    begun = begin(desk, params={"rate": 0.1}, tags={"team": "a"}, details={"deep": [1, None, "x"]})
    assert not begun.hit
    run = begun.run
    assert (run.state, run.attempt, run.fence, run.created_at) == ("running", 1, 1, desk.clock.time)
    desk.clock.advance(2.5)
    done = finish(desk, run, outputs=value(desk), cpu_s=1.5, memory_bytes=1000)
    assert (done.state, done.ended_at, done.outputs, done.cpu_s) == ("succeeded", desk.clock.time, value(desk), 1.5)
    assert done.params == {"rate": 0.1}
    assert done.details == {"deep": [1, None, "x"]}
    assert get(desk, run) == done


def test_the_same_end_told_twice_is_one_end_and_another_end_is_refused(desk):
    run = begin(desk).run
    first = finish(desk, run)
    assert finish(desk, run) == first
    with pytest.raises(Conflict) as caught:
        finish(desk, run, "failed")
    assert caught.value.code == "RUN-005"
    assert get(desk, run).state == "succeeded"


def test_an_old_fence_is_refused(desk):
    run = queue(desk)
    desk.clock.advance(LEASE_S + 1)
    desk.call(expire_leases)
    again = get(desk, run)
    assert (again.state, again.attempt, again.fence) == ("queued", 2, 2)
    with pytest.raises(Conflict) as caught:
        finish(desk, run, outputs=value(desk))
    assert caught.value.code == "RUN-005"
    assert get(desk, run).outputs is None
    assert desk.ask(messages.Heartbeat(leases=[(run.id, 1, 1)])).orders == {run.id: "lost"}
    late = messages.Report(run_id=run.id, attempt=1, fence=1, offset=10, points=[("auc", 1, 1.0, 0.5)])
    assert desk.ask(late).order == "lost"
    assert desk.ask(messages.GetSeries(run_id=run.id, key="auc")) == []


def test_a_heartbeat_keeps_a_run_and_its_absence_loses_it(desk):
    run = begin(desk).run
    for _ in range(5):
        desk.clock.advance(LEASE_S - 1)
        assert desk.ask(messages.Heartbeat(leases=[(run.id, 1, 1)])).orders == {run.id: "keep"}
        desk.call(expire_leases)
    assert get(desk, run).state == "running"
    desk.clock.advance(LEASE_S + 1)
    desk.call(expire_leases)
    lost = get(desk, run)
    assert (lost.state, lost.problem.code) == ("failed", "RUN-008")
    assert lost.name in lost.problem.what


def test_a_clock_that_jumps_loses_nobody(desk):
    run = begin(desk).run
    desk.clock.time += 86_400
    desk.call(expire_leases)
    assert get(desk, run).state == "running"
    desk.clock.time -= 10 * 86_400
    desk.call(expire_leases)
    assert get(desk, run).state == "running"


def test_after_a_time_without_an_owner_workers_get_a_whole_lease(desk):
    run = begin(desk).run
    desk.clock.advance(3600)
    desk.call(adopt)
    desk.call(expire_leases)
    assert get(desk, run).state == "running"
    desk.clock.advance(LEASE_S + 1)
    desk.call(expire_leases)
    assert get(desk, run).state == "failed"


def test_a_run_of_a_process_that_ended_fails_and_one_that_lives_needs_no_heartbeat(desk):
    ended = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
    lost = begin(desk, host=this_host(), pid=ended).run
    kept = begin(desk, host=this_host(), pid=os.getpid()).run
    desk.clock.advance(3600)
    desk.call(expire_leases)
    assert get(desk, lost).state == "running"
    os.kill(ended, 9)
    os.waitpid(ended, 0)
    desk.call(expire_leases)
    assert get(desk, lost).problem.code == "RUN-008"
    assert str(ended) in get(desk, lost).problem.what
    assert get(desk, kept).state == "running"


def test_a_process_that_ends_takes_a_whole_tree_of_runs_along(desk):
    ended = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
    where = {"host": this_host(), "pid": ended}
    parent = begin(desk, "pipeline", **where).run
    children = [begin(desk, parent_id=parent.id, **where).run for _ in range(3)]
    below = begin(desk, parent_id=children[0].id, **where).run
    os.kill(ended, 9)
    os.waitpid(ended, 0)
    desk.call(expire_leases)
    assert get(desk, parent).state == "failed"
    assert {get(desk, run).state for run in (*children, below)} <= {"failed", "cancelled"}


def test_a_run_that_cannot_be_taken_back_keeps_no_other(desk, monkeypatch, caplog):
    def stumble(turn, run):
        if run.name == "bad":
            raise ZeroDivisionError

    monkeypatch.setitem(FINISHED, "step", [stumble])
    bad, good = begin(desk, "bad").run, begin(desk, "good").run
    desk.clock.advance(LEASE_S + 1)
    desk.call(expire_leases)
    assert (get(desk, bad).state, get(desk, good).state) == ("running", "failed")
    assert "cannot be taken back" in caplog.text


def test_a_lost_worker_gives_the_run_back_three_times(desk):
    run = queue(desk)
    for attempt in (2, 3, 4):
        desk.clock.advance(LEASE_S + 1)
        desk.call(expire_leases)
        back = get(desk, run)
        assert (back.state, back.attempt) == ("queued", attempt)
        assert f"attempt {attempt - 1} was lost" in back.reason
        desk.call(lambda turn: turn.connection.exec_driver_sql("UPDATE runs SET state = 'running', lease_until = 0"))
        desk.call(lambda turn: turn.connection.exec_driver_sql("UPDATE calls SET placed_at = 1"))
    desk.call(expire_leases)
    assert get(desk, run).state == "failed"


def test_a_failed_attempt_is_retried_as_often_as_it_may(desk):
    run = queue(desk)
    problem = records.Problem("RUN-006", "division by zero")
    for attempt in (2, 3):
        back = finish(desk, get(desk, run), "failed", problem=problem)
        assert (back.state, back.attempt) == ("queued", attempt)
        assert "division by zero" in back.reason
        desk.call(lambda turn: turn.connection.exec_driver_sql("UPDATE runs SET state = 'running'"))
    assert finish(desk, get(desk, run), "failed", problem=problem).state == "failed"


def test_a_search_from_elsewhere_begins_without_its_call_where_no_code_is_let_in(desk):
    anna = Person(desk, "anna", "runner")
    call = records.Call(payload="0" * 64, snapshot="1" * 64)
    begun = begin(anna, kind="study", key="k", cache=True, call=call)
    assert begun.run.state == "running"
    with pytest.raises(NotFound, match="RUN-020"):
        desk.ask(GetCall(begun.run.id))
    with pytest.raises(Invalid, match="API-018"):
        begin(anna, kind="step", call=call)


def test_a_search_that_was_stopped_again_answers_nobody(desk):
    call = records.Call(payload=desk.blobs.put(b"call"))
    asked = {"kind": "study", "key": "k", "cache": True, "call": call}
    study = begin(desk, **asked).run
    desk.ask(TagRun(run_id=study.id, tags={STOPPED: "yes"}))
    finish(desk, study, outputs=value(desk))
    assert not begin(desk, **asked).hit
    (again,) = desk.ask(RetryRuns([study.id]))
    assert (again.kind, again.key) == ("step", None)
    desk.call(lambda turn: turn.connection.exec_driver_sql("UPDATE runs SET state = 'running'"))
    assert finish(desk, get(desk, again), outputs=value(desk)).state == "succeeded"  # its search was stopped, too
    assert not begin(desk, **asked).hit


def test_a_cancelled_run_takes_everything_below_it_along(desk):
    parent = begin(desk, "pipeline").run
    child = begin(desk, parent_id=parent.id).run
    grandchild = begin(desk, parent_id=child.id).run
    done = begin(desk, parent_id=parent.id).run
    finish(desk, done)
    (cancelled,) = desk.ask(messages.CancelRuns(ids=[parent.id], reason="no longer needed"))
    assert cancelled.state == "cancelled"
    assert "no longer needed" in cancelled.problem.what
    assert [get(desk, each).state for each in (child, grandchild, done)] == ["cancelled", "cancelled", "succeeded"]
    assert desk.ask(messages.Heartbeat(leases=[(child.id, 1, 1)])).orders == {child.id: "cancel"}
    assert desk.ask(messages.CancelRuns(ids=[done.id]))[0].state == "succeeded"


def test_a_large_tree_is_cancelled_in_slices_and_told_when_all_of_it_is(desk):
    parent = begin(desk, "pipeline").run
    below = [begin(desk, parent_id=parent.id).run for _ in range(SLICE // 2)]
    leaves = [begin(desk, parent_id=run.id).run for run in below for _ in range(3)]
    asked = messages.CancelRuns(ids=[parent.id])
    turns = 0
    while isinstance(desk.ask(asked), Later):
        states = [get(desk, run).state for run in (*below, *leaves)]
        turns += 1
        assert 0 < states.count("running") <= len(states) - turns * SLICE
        desk.call(cancel_orphans)
    assert turns == len(leaves) // SLICE
    assert {get(desk, run).state for run in (parent, *below, *leaves)} == {"cancelled"}
    assert get(desk, leaves[-1]).reason == f"its parent {below[-1].id[-6:]} cancelled"


def test_many_runs_are_cancelled_in_slices_each_once(desk):
    runs = [begin(desk).run for _ in range(SLICE + 5)]
    asked = messages.CancelRuns(ids=[run.id for run in runs])
    assert isinstance(desk.ask(asked), Later)
    assert [get(desk, run).state for run in runs].count("running") == 5
    assert {run.state for run in desk.ask(asked)} == {"cancelled"}
    with pytest.raises(NotFound, match="RUN-001"):
        desk.ask(messages.CancelRuns(ids=[runs[0].id, "0" * 32]))


def test_when_a_parent_ends_its_live_children_end(desk):
    parent = begin(desk, "pipeline").run
    child = begin(desk, parent_id=parent.id).run
    finish(desk, parent)
    assert get(desk, child).state == "cancelled"
    assert parent.id[-6:] in get(desk, child).reason


def test_points_are_kept_in_order_and_a_second_delivery_changes_nothing(desk):
    run = begin(desk).run
    points = [("auc", step, 100.0 + step, step / 10) for step in range(5)] + [("loss", 0, 1.0, math.inf)]
    report = messages.Report(run_id=run.id, attempt=1, fence=1, offset=50, points=points, params={"a": 1})
    assert desk.ask(report).offset == 50
    assert desk.ask(report).offset == 50
    assert desk.ask(messages.GetSeries(run_id=run.id, key="auc")) == [(s, 100.0 + s, s / 10) for s in range(5)]
    older = messages.Report(
        run_id=run.id, attempt=1, fence=1, offset=60, points=[("auc", 2, 99.0, 7.0)], tags={"b": "c"}
    )
    desk.ask(older)
    found = get(desk, run)
    assert found.metrics == {"auc": 0.4, "loss": math.inf}
    assert (found.params, found.tags) == ({"a": 1}, {"b": "c"})
    assert finish(desk, run).metrics == found.metrics


def test_a_value_that_is_no_number_is_kept_as_such(desk):
    run = begin(desk).run
    desk.ask(messages.Report(run_id=run.id, attempt=1, fence=1, offset=1, points=[("loss", 0, 1.0, math.nan)]))
    ((_, _, kept),) = desk.ask(messages.GetSeries(run_id=run.id, key="loss"))
    assert math.isnan(kept)
    assert math.isnan(get(desk, run).metrics["loss"])


def test_runs_are_found_by_parts_of_their_id_and_listed_in_pages(desk):
    made = [begin(desk, f"step{number % 2}").run for number in range(7)]
    assert desk.ask(messages.GetRun(id=made[3].id[-12:])) == made[3]
    for part in ("", "zz", made[0].id[:2], "%", "_" * 32, made[0].id + "0"):
        with pytest.raises(NotFound) as caught:
            desk.ask(messages.GetRun(id=part))
        assert caught.value.code == "RUN-001"
    page = desk.ask(messages.SearchRuns(limit=3))
    rest = desk.ask(messages.SearchRuns(limit=10, page=page.next))
    assert rest.next is None
    assert [run.id for run in page.runs + rest.runs] == [run.id for run in reversed(made)]
    assert {run.name for run in desk.ask(messages.ListRuns(name="step1"))} == {"step1"}
    assert desk.ask(messages.ListRuns(state="failed")) == []


def test_waiting_for_runs_goes_on_until_the_last_has_ended(desk):
    first, second = begin(desk).run, begin(desk).run
    wait = messages.WaitRuns(ids=[first.id, second.id], wait_s=5.0)
    assert isinstance(desk.ask(wait), Later)
    finish(desk, first)
    assert desk.ask(wait) == Later((second.id,), 5.0)
    finish(desk, second, "failed", problem=records.Problem("RUN-006", "x"))
    assert [run.state for run in desk.ask(wait)] == ["succeeded", "failed"]
    with pytest.raises(NotFound, match="RUN-001"):
        desk.ask(messages.WaitRuns(ids=["0" * 32]))


def test_a_failure_is_an_event(desk):
    run = begin(desk).run
    finish(desk, run, "failed", problem=records.Problem("RUN-006", "division by zero"))
    (event,) = desk.ask(messages.ListEvents(kind="run.failed"))
    assert (event.subject, event.body["what"]) == (run.id, "division by zero")


def test_what_a_lost_process_logged_last_is_not_lost(desk):
    ended = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "60")
    run = begin(desk, host=this_host(), pid=ended).run
    journal = Journal(journal_path(desk.home.journals, run.id, 1))
    journal.append(Point("auc", 1, 1.0, 0.5), Facts({"rate": 0.1}))
    desk.ask(read_report(journal.path, run.id, 1, 1))
    journal.append(Point("auc", 2, 2.0, 0.6), Facts(tags={"last": "yes"}))
    journal.close()
    os.kill(ended, 9)
    os.waitpid(ended, 0)
    desk.call(expire_leases)
    lost = get(desk, run)
    assert (lost.state, lost.metrics, lost.params, lost.tags) == (
        "failed",
        {"auc": 0.6},
        {"rate": 0.1},
        {"last": "yes"},
    )
    assert desk.ask(messages.GetSeries(run_id=run.id, key="auc")) == [(1, 1.0, 0.5), (2, 2.0, 0.6)]
    assert not journal.path.exists()


def test_a_result_counts_of_a_worker_whose_lease_went_away_with_the_database(desk):
    run = queue(desk)
    desk.call(lambda turn: rows.change(turn.connection, runs, {"id": run.id}, state="starting", started_at=None))
    done = finish(desk, run, outputs=value(desk))
    assert (done.state, done.outputs, done.attempt) == ("succeeded", value(desk), 1)
    assert done.started_at is not None


def test_nothing_begins_below_a_run_that_has_ended(desk):
    parent = begin(desk, "pipeline").run
    finish(desk, parent)
    spec = messages.RunSpec(kind="step", name="late", parent_id=parent.id, call=records.Call(payload="0" * 64))
    for late in (messages.BeginRun(kind="step", name="late", parent_id=parent.id), messages.SubmitRuns(runs=[spec])):
        with pytest.raises(Conflict) as caught:
            desk.ask(late)
        assert caught.value.code == "RUN-002"
        assert parent.id[-6:] in caught.value.what
    with pytest.raises(NotFound, match="RUN-001"):
        begin(desk, parent_id="0" * 32)


def test_what_a_lost_process_logged_waits_until_it_can_be_taken_back(desk, monkeypatch):
    def stumble(turn, run):
        raise ZeroDivisionError

    run = begin(desk).run
    journal = Journal(journal_path(desk.home.journals, run.id, 1))
    journal.append(Point("auc", 1, 1.0, 0.5))
    journal.close()
    desk.clock.advance(LEASE_S + 1)
    with monkeypatch.context() as patch:
        patch.setitem(FINISHED, "step", [stumble])
        desk.call(expire_leases)
    assert get(desk, run).metrics == {}
    desk.call(expire_leases)
    assert (get(desk, run).state, get(desk, run).metrics) == ("failed", {"auc": 0.5})


def test_a_trial_that_is_given_up_keeps_the_tags_that_came_with_its_last_points(desk):
    def trial(number, values, **facts):
        tags = {"study": "s", "round": str(number), "trial": str(number)}
        run = begin(desk, "objective", "trial", tags=tags).run
        study = messages.Study(metric="auc", mode="max", pruner="median")
        row = {"run_id": run.id, "call": records.Call(payload="0" * 64), "study": study}
        desk.call(lambda turn: turn.connection.execute(calls.insert(), row))
        points = [("auc", step, 1.0 + step, value) for step, value in enumerate(values)]
        report = messages.Report(run_id=run.id, attempt=1, fence=1, offset=10, points=points, **facts)
        return run, desk.ask(report).order

    for number in range(5):
        good, order = trial(number, [0.9] * 20)
        assert order == "keep"
        finish(desk, good)
    bad, order = trial(5, [0.1] * 20, tags={"seen": "yes"}, params={"rate": 1})
    assert order == "prune"
    found = get(desk, bad)
    assert (found.tags["seen"], found.params) == ("yes", {"rate": 1})
    assert "pruned_at" in found.tags


def test_a_curve_is_held_against_trials_of_its_own_study_only(desk):
    def trial(study, number, value):
        run = begin(desk, "objective", "trial", tags={"study": study, "round": str(number), "trial": str(number)}).run
        row = {
            "run_id": run.id,
            "call": records.Call(payload="0" * 64),
            "study": messages.Study("auc", "max", "median"),
        }
        desk.call(lambda turn: turn.connection.execute(calls.insert(), row))
        report = messages.Report(run_id=run.id, attempt=1, fence=1, offset=10, points=[("auc", 1, 1.0, value)])
        return run, desk.ask(report).order

    for study in ("s%", "s_", 's"'):
        for number in range(5):
            finish(desk, trial(study, number, 0.9)[0])
    assert trial("s", 5, 0.1)[1] == "keep"
    assert [trial(study, 5, 0.1)[1] for study in ("s%", "s_", 's"')] == ["prune"] * 3


def test_a_token_that_is_none_leases_nothing(desk):
    run = begin(desk).run
    desk.call(lambda turn: turn.connection.execute(calls.insert(), {"run_id": run.id, "call": records.Call()}))
    for token in (f"{run.id}-1-ü", run.id, "", "-"):
        assert desk.ask(messages.LeaseRun(worker_id="w", pid=1, token=token)).run is None
