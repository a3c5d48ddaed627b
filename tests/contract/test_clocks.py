"""A wall clock that jumps: orders, times and answers hold."""

import pytest

from mainspring.control.commits import Ask
from mainspring.control.leases import LEASE_S, expire_leases, forget_old_answers
from mainspring.domain import messages
from mainspring.domain.principals import OWNER
from mainspring.domain.records import Call

DAY_S = 86_400.0
JUMPS = pytest.mark.parametrize("jump_s", [DAY_S, -3600.0], ids=["a day forwards", "an hour back"])


@JUMPS
def test_lists_keep_the_order_of_events_and_no_run_ends_before_it_began(desk, jump_s):
    begun = [desk.ask(messages.BeginRun(kind="step", name="before")).run]
    (queued,) = desk.ask(messages.SubmitRuns(runs=[messages.RunSpec(kind="step", name="queued", call=Call("0" * 64))]))
    desk.clock.time += jump_s
    begun += [queued, desk.ask(messages.BeginRun(kind="step", name="after")).run]
    for run in begun:
        if run.state == "queued":
            desk.ask(messages.CancelRuns(ids=[run.id]))
        else:
            desk.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=1, state="succeeded"))
        desk.call(lambda turn, run=run: turn.emit("note", run.name))
    ids = [run.id for run in reversed(begun)]
    found = desk.ask(messages.ListRuns())
    assert [run.id for run in found] == ids
    assert all(run.created_at <= (run.started_at or run.created_at) <= run.ended_at for run in found)
    assert [event.subject for event in desk.ask(messages.ListEvents(kind="note"))] == ["before", "queued", "after"]
    pages = [desk.ask(messages.SearchRuns("", limit=2))]
    pages += [desk.ask(messages.SearchRuns("", limit=2, page=pages[0].next))]
    assert [run.id for page in pages for run in page.runs] == ids


@JUMPS
def test_points_of_a_lost_attempt_are_overtaken_whatever_the_time(desk, jump_s):
    """So it is with attempts on two machines whose clocks differ."""
    (run,) = desk.ask(messages.SubmitRuns(runs=[messages.RunSpec(kind="step", name="fit", call=Call("0" * 64))]))
    lease(desk, run)
    report(desk, run, 1, [(step, 10.0 + step) for step in range(5)])
    desk.clock.time += jump_s
    desk.clock.steady += LEASE_S + 1
    desk.call(expire_leases)
    lease(desk, run)
    report(desk, run, 2, [(0, 20.0), (1, 21.0)])
    report(desk, run, 2, [(2, 22.0)])
    report(desk, run, 2, [(1, 21.5)])  # one attempt may go back a step; that is no other attempt
    points = desk.ask(messages.GetSeries(run_id=run.id, key="loss"))
    assert [(step, value) for step, _, value in points] == [(0, 20.0), (1, 21.0), (1, 21.5), (2, 22.0)]
    assert desk.ask(messages.GetRun(id=run.id)).metrics == {"loss": 22.0}


def lease(desk, run):
    """Place and lease a run, as dispatch and its worker do."""
    from mainspring.store import calls, runs

    def place(turn):
        held = runs.get_run(turn.connection, run.id)
        until = desk.clock.monotonic() + LEASE_S
        runs.change_run(turn.connection, held, state="running", started_at=turn.now(), lease_until=until)
        calls.place(turn.connection, run.id, "token", turn.now())

    desk.call(place)


def report(desk, run, attempt, points):
    now = desk.clock.now()
    told = [("loss", step, now + at / 100, value) for at, (step, value) in enumerate(points)]
    desk.clock.advance(1)
    answer = desk.ask(messages.Report(run_id=run.id, attempt=attempt, fence=attempt, points=told, offset=0))
    assert answer.order == "keep"


@JUMPS
def test_an_answer_is_kept_for_its_repetition_through_a_jump(desk, jump_s):
    ask = Ask(messages.BeginRun(kind="step", name="once"), OWNER, key="k")
    (first,), _ = desk.run([ask])
    desk.call(forget_old_answers)
    desk.clock.time += jump_s
    for _ in range(59):
        desk.clock.advance(60)
        desk.call(forget_old_answers)
    (again,), _ = desk.run([ask])
    assert again == first
    assert len(desk.ask(messages.ListRuns())) == 1


def test_answers_are_forgotten_in_time(desk):
    ask = Ask(messages.BeginRun(kind="step", name="once"), OWNER, key="k")
    desk.run([ask])
    for _ in range(62):
        desk.call(forget_old_answers)
        desk.clock.advance(60)
    desk.run([ask])
    assert len(desk.ask(messages.ListRuns())) == 2
    desk.clock.advance(8 * DAY_S)  # an owner that has just begun cannot know whether the clock went evenly
    desk.clock.steady -= 8 * DAY_S
    desk.call(forget_old_answers)
    desk.run([ask])
    assert len(desk.ask(messages.ListRuns())) == 3
