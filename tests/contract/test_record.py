"""The record, in a file or in a database: whole transactions, keys, orders, numbers."""

import math
import subprocess
import sys

import pytest
from sqlalchemy import select

from mainspring.control import commits
from mainspring.control.commits import Answer, Ask
from mainspring.control.usecases import HANDLERS, Later
from mainspring.domain import messages
from mainspring.domain.errors import MainspringError, NotFound
from mainspring.domain.principals import OWNER as ANNA
from mainspring.store import rows
from mainspring.store.homes import make_folders
from mainspring.store.runs import get_held
from mainspring.store.series import add_points
from mainspring.store.tables import runs, series_keys


def begin(desk, name="fit", **options):
    return desk.ask(messages.BeginRun(kind="step", name=name, **options))


def names(desk):
    return [run.name for run in desk.ask(messages.ListRuns())]


def test_one_refused_request_of_a_turn_leaves_nothing_and_its_neighbours_stay(desk):
    def fail(turn):
        begin_run = messages.BeginRun(kind="step", name="inside")
        from mainspring.control.runs import begin_run as use_case

        use_case(turn, begin_run)
        raise NotFound("RUN-001", "on purpose")

    asks = [Ask(messages.BeginRun(kind="step", name=f"n{i}"), ANNA) for i in range(3)]
    asks.insert(1, Ask(messages.FinishRun(run_id="0" * 32, attempt=1, fence=1, state="succeeded"), ANNA))
    outcomes, _ = desk.run(asks)
    assert [type(outcome) for outcome in outcomes] == [Answer, NotFound, Answer, Answer]
    assert sorted(names(desk)) == ["n0", "n1", "n2"]
    with pytest.raises(NotFound, match="on purpose"):
        desk.call(fail)
    assert "inside" not in names(desk)


def test_a_mistake_in_a_use_case_harms_its_own_request_only(desk, caplog, monkeypatch):
    run = begin(desk).run
    monkeypatch.setitem(HANDLERS, messages.Report, lambda turn, _: turn.mistake)
    bad = messages.Report(run_id=run.id, attempt=1, fence=1, offset=1)
    outcomes, _ = desk.run([Ask(bad, ANNA), Ask(messages.GetRun(id=run.id), ANNA)])
    assert isinstance(outcomes[0], MainspringError)
    assert outcomes[0].code == "HOME-015"
    assert isinstance(outcomes[1], Answer)


def test_a_repeated_key_gets_the_first_answer_even_when_the_world_moved(desk):
    command = messages.BeginRun(kind="step", name="fit", key="k", cache=True)
    first = desk.ask(command, key="once")
    value = desk.blobs.put(b"x")
    from mainspring.domain.records import Value

    desk.ask(
        messages.FinishRun(run_id=first.run.id, attempt=1, fence=1, state="succeeded", outputs=Value("json", value, 1))
    )
    assert desk.ask(command, key="once") == first
    assert desk.ask(command, key="other").hit


def test_what_follows_a_commit_follows_it_once_and_only_a_commit(desk, monkeypatch):
    followed = []

    def use_case(turn, command):
        turn.after_commit(lambda: followed.append(command.id))
        turn.notify("topic")
        if command.id == "refused":
            raise NotFound("RUN-001", "on purpose")
        if command.id == "later":
            return Later(("x",), 1.0)
        return turn.new_id()

    monkeypatch.setitem(HANDLERS, messages.GetRun, use_case)
    asks = [Ask(messages.GetRun(id=name), ANNA, key=f"key of {name}") for name in ("done", "refused", "later")]
    first, topics = desk.run(asks)
    assert followed == ["done", "later"]
    assert topics == {"topic"}
    again, topics = desk.run([*asks[:2], Ask(messages.GetRun(id="later"), ANNA, key="key of done")])
    assert followed == ["done", "later"]
    assert not topics
    assert again[0] == first[0]
    assert isinstance(again[1], NotFound)
    assert again[2].code == "API-011"  # a key of another request, also for one that would wait


def test_a_mistake_outside_every_request_is_told_to_each(desk, monkeypatch, caplog):
    def crash(name):
        raise ZeroDivisionError(name)

    with monkeypatch.context() as patch:
        patch.setattr(commits, "crash_point", crash)
        outcomes, _ = desk.run([Ask(messages.BeginRun(kind="step", name="a"), ANNA)] * 2)
    assert [outcome.code for outcome in outcomes] == ["HOME-015"] * 2
    assert names(desk) == []


def test_opening_a_record_of_today_imports_no_alembic(home):
    make_folders(home)
    code = (
        "import sys; from pathlib import Path; from mainspring.store.homes import place_home;"
        "from mainspring.store.schema import open_record; open_record(place_home(Path(sys.argv[1]))).dispose();"
        "sys.exit('alembic' in sys.modules)"
    )
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", code, str(home.root)], check=False).returncode == 0


def test_a_row_that_is_there_already_fails_its_own_part_and_no_more(desk):
    run = begin(desk).run

    def add_again(turn):
        with turn.part():
            turn.emit("note", "undone")
            rows.add(turn.connection, runs, run)

    def add_twice(turn):
        turn.emit("note", "before")
        with pytest.raises(Exception, match=r"(?i)unique"):
            add_again(turn)
        turn.emit("note", "after")

    desk.call(add_twice)
    assert [event.subject for event in desk.ask(messages.ListEvents(kind="note"))] == ["before", "after"]
    assert names(desk) == ["fit"]


def test_what_is_written_last_is_committed(desk):
    """Whether or not anything follows that waits for an answer."""
    desk.call(lambda turn: turn.emit("note", "alone"))
    desk.call(lambda turn: [turn.emit("note", f"n{at}") for at in range(450)])
    found = desk.ask(messages.ListEvents(kind="note", limit=1000))
    assert [event.subject for event in found] == ["alone", *(f"n{at}" for at in range(450))]
    assert [event.seq for event in found] == sorted(event.seq for event in found)


def test_texts_are_ordered_by_their_code_points(desk):
    words = ["Zebra", "apple", "Äpfel", "a b", "a-b", "_", "zebra", "émile"]
    for at, word in enumerate(words):
        desk.call(lambda turn, at=at, word=word: add_points(turn.connection, at + 1, 1, [(word, 0, 0.0, 1.0)]))
    found = []
    desk.call(lambda turn: found.extend(turn.connection.execute(select(series_keys.c.key).order_by(series_keys.c.key))))
    assert [key for (key,) in found] == sorted(words)


def test_numbers_come_back_as_they_went(desk):
    run = begin(desk).run
    wanted = [0.1, 1e-300, -1e300, math.inf, math.nan, 2**53 + 1.0]
    points = [("loss", 2**40 + at, 1.7e9 + at / 7, value) for at, value in enumerate(wanted)]
    desk.call(lambda turn: add_points(turn.connection, get_held(turn.connection, run.id)[1].seq, 1, points))
    found = desk.ask(messages.GetSeries(run_id=run.id, key="loss"))
    assert repr([tuple(each) for each in found]) == repr([point[1:] for point in points])
    assert repr(desk.ask(messages.GetRun(id=run.id)).metrics["loss"]) == repr(wanted[-1])
