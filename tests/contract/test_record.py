"""The record's file: whole transactions, full disks, schemas."""

import sqlite3
import subprocess
import sys

import pytest
from sqlalchemy import text

from mainspring.control import commits
from mainspring.control.commits import Answer, Ask
from mainspring.control.usecases import HANDLERS, Later
from mainspring.domain import messages
from mainspring.domain.errors import MainspringError, NotFound, Unavailable
from mainspring.store import migrations, schema
from mainspring.store.engine import driver, open_engine
from mainspring.store.homes import make_folders
from mainspring.store.tables import metadata


def begin(desk, name="fit", **options):
    return desk.ask(messages.BeginRun(kind="step", name=name, **options))


def names(desk):
    return [run.name for run in desk.ask(messages.ListRuns())]


def pragma(desk, statement):
    found = []
    desk.call(lambda turn: found.append(driver(turn.connection).execute(statement).fetchall()))
    return found[0]


def test_one_refused_request_of_a_turn_leaves_nothing_and_its_neighbours_stay(desk):
    def fail(turn):
        begin_run = messages.BeginRun(kind="step", name="inside")
        from mainspring.control.runs import begin_run as use_case

        use_case(turn, begin_run)
        raise NotFound("RUN-001", "on purpose")

    asks = [Ask(messages.BeginRun(kind="step", name=f"n{i}"), "user:a") for i in range(3)]
    asks.insert(1, Ask(messages.FinishRun(run_id="0" * 32, attempt=1, fence=1, state="succeeded"), "user:a"))
    outcomes, _ = desk.run(asks)
    assert [type(outcome) for outcome in outcomes] == [Answer, NotFound, Answer, Answer]
    assert sorted(names(desk)) == ["n0", "n1", "n2"]
    with pytest.raises(NotFound, match="on purpose"):
        desk.call(fail)
    assert "inside" not in names(desk)


def test_a_mistake_in_a_use_case_harms_its_own_request_only(desk, caplog):
    run = begin(desk).run
    bad = messages.Report(run_id=run.id, attempt=1, fence=1, offset=2**63)
    outcomes, _ = desk.run([Ask(bad, "a"), Ask(messages.GetRun(id=run.id), "a")])
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
    asks = [Ask(messages.GetRun(id=name), "a", key=f"key of {name}") for name in ("done", "refused", "later")]
    first, topics = desk.run(asks)
    assert followed == ["done", "later"]
    assert topics == {"topic"}
    again, topics = desk.run([*asks[:2], Ask(messages.GetRun(id="later"), "a", key="key of done")])
    assert followed == ["done", "later"]
    assert not topics
    assert again[0] == again[2] == first[0]
    assert isinstance(again[1], NotFound)


def test_a_record_that_another_program_locks_is_named(desk):
    pragma(desk, "PRAGMA busy_timeout = 10")
    other = sqlite3.connect(desk.home.metadata, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as caught:
        begin(desk)
    assert caught.value.code == "HOME-019"
    assert names(desk) == []
    other.execute("ROLLBACK")
    other.close()
    begin(desk)
    assert names(desk) == ["fit"]


def test_a_mistake_outside_every_request_is_told_to_each(desk, monkeypatch, caplog):
    def crash(name):
        raise ZeroDivisionError(name)

    with monkeypatch.context() as patch:
        patch.setattr(commits, "crash_point", crash)
        outcomes, _ = desk.run([Ask(messages.BeginRun(kind="step", name="a"), "a")] * 2)
    assert [outcome.code for outcome in outcomes] == ["HOME-015"] * 2
    assert names(desk) == []


def test_a_full_disk_refuses_the_turn_and_leaves_nothing_of_it(desk):
    before = begin(desk, "before").run
    (pages,) = pragma(desk, "PRAGMA page_count")[0]
    pragma(desk, f"PRAGMA max_page_count = {pages}")
    asks = [Ask(messages.BeginRun(kind="step", name="small"), "a")]
    asks += [Ask(messages.BeginRun(kind="step", name="big", params={"x": "y" * 100_000}), "a", key="k1")]
    outcomes, topics = desk.run(asks)
    assert [outcome.code for outcome in outcomes] == ["HOME-006", "HOME-006"]
    assert not topics
    assert names(desk) == ["before"]
    assert desk.ask(messages.GetRun(id=before.id)).name == "before"
    pragma(desk, "PRAGMA max_page_count = 1000000")
    outcomes, _ = desk.run(asks)
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert sorted(names(desk)) == ["before", "big", "small"]


def test_a_read_only_record_answers_reads_and_refuses_writes(desk):
    begin(desk, "before")
    pragma(desk, "PRAGMA query_only = ON")
    with pytest.raises(Unavailable) as caught:
        begin(desk, "after")
    assert caught.value.code == "HOME-007"
    assert str(desk.home.metadata) in caught.value.what
    assert names(desk) == ["before"]
    pragma(desk, "PRAGMA query_only = OFF")
    begin(desk, "after")


def test_commits_are_synced_and_logged_ahead(desk):
    assert pragma(desk, "PRAGMA journal_mode") == [("wal",)]
    assert pragma(desk, "PRAGMA synchronous") == [(2,)]
    assert pragma(desk, "PRAGMA foreign_keys") == [(1,)]


def describe(path):
    """Everything of a schema that matters, whichever way it came to be."""
    record = sqlite3.connect(path)
    found = {}
    for name, kind, _, rowid, strict in record.execute("SELECT name, type, ncol, wr, strict FROM pragma_table_list"):
        if name.startswith("sqlite_"):
            continue
        found[name] = (kind, rowid, strict, record.execute(f"PRAGMA table_xinfo({name})").fetchall())
        for index in record.execute(f"PRAGMA index_list({name})").fetchall():
            found[index[1]] = (index[2:], record.execute(f"PRAGMA index_xinfo({index[1]})").fetchall())
    found["autoincrement"] = record.execute(
        "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"
    ).fetchall()
    record.close()
    return found


def test_a_new_record_and_a_migrated_one_have_the_same_schema(tmp_path):
    for name, make in (("new", schema.create), ("old", migrations.upgrade)):
        engine = open_engine(tmp_path / name)
        with engine.begin() as connection:
            make(connection)
            assert schema.read_revision(connection) == schema.HEAD
        engine.dispose()
    new, old = describe(tmp_path / "new"), describe(tmp_path / "old")
    assert new == old, "python tools/schema.py"
    assert set(metadata.tables) <= set(new)


def test_an_older_record_is_copied_and_migrated(home):
    make_folders(home)
    with sqlite3.connect(home.metadata) as record:
        record.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        record.execute("CREATE TABLE keepsake (word TEXT)")
        record.execute("INSERT INTO keepsake VALUES ('old')")
    record.close()
    engine = schema.open_record(home)
    with engine.connect() as connection:
        assert schema.read_revision(connection) == schema.HEAD
        assert connection.execute(text("SELECT word FROM keepsake")).scalar() == "old"
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar() == 0
    engine.dispose()
    copy = sqlite3.connect(home.state / "record.db.empty")
    assert copy.execute("SELECT name FROM sqlite_master WHERE name = 'runs'").fetchall() == []
    assert copy.execute("SELECT word FROM keepsake").fetchall() == [("old",)]
    copy.close()


def test_a_migration_that_fails_leaves_the_record_as_it_was(home, monkeypatch):
    make_folders(home)
    with sqlite3.connect(home.metadata) as record:
        record.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        record.execute("CREATE TABLE renewals (word TEXT)")  # in the way of a table of the migration
    record.close()
    before = describe(home.metadata)
    with pytest.raises(Exception, match="already exists"):
        schema.open_record(home)
    assert describe(home.metadata) == before


def test_opening_a_record_of_today_imports_no_alembic(home):
    make_folders(home)
    code = (
        "import sys; from pathlib import Path; from mainspring.store.homes import place_home;"
        "from mainspring.store.schema import open_record; open_record(place_home(Path(sys.argv[1]))).dispose();"
        "sys.exit('alembic' in sys.modules)"
    )
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", code, str(home.root)], check=False).returncode == 0
