"""The record in a SQLite file: full disks, locks, settings, migrations."""

import sqlite3

import pytest
from sqlalchemy import text

from mainspring.control.commits import Answer, Ask
from mainspring.domain import messages
from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home
from mainspring.domain.principals import OWNER
from mainspring.store import migrations, schema
from mainspring.store.dialects.sqlite import driver
from mainspring.store.engine import open_engine
from mainspring.store.homes import make_folders
from mainspring.store.tables import HEAD, metadata


def begin(desk, name="fit", **options):
    return desk.ask(messages.BeginRun(kind="step", name=name, **options))


def names(desk):
    return [run.name for run in desk.ask(messages.ListRuns())]


def pragma(desk, statement):
    found = []
    desk.call(lambda turn: found.append(driver(turn.connection).execute(statement).fetchall()))
    return found[0]


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


def test_a_full_disk_refuses_the_turn_and_leaves_nothing_of_it(desk):
    before = begin(desk, "before").run
    (pages,) = pragma(desk, "PRAGMA page_count")[0]
    pragma(desk, f"PRAGMA max_page_count = {pages}")
    asks = [Ask(messages.BeginRun(kind="step", name="small"), OWNER)]
    asks += [Ask(messages.BeginRun(kind="step", name="big", params={"x": "y" * 100_000}), OWNER, key="k1")]
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
        "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' ORDER BY name"
    ).fetchall()
    record.close()
    return found


def test_a_new_record_and_a_migrated_one_have_the_same_schema(tmp_path):
    for name, make in (("new", schema.create), ("old", migrations.upgrade)):
        folder = tmp_path / name
        folder.mkdir()
        engine = open_engine(Home(folder, folder, folder))
        with engine.begin() as connection:
            make(connection)
            assert schema.read_revision(connection) == HEAD
        engine.dispose()
    new, old = describe(tmp_path / "new" / "record.db"), describe(tmp_path / "old" / "record.db")
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
        assert schema.read_revision(connection) == HEAD
        assert connection.execute(text("SELECT word FROM keepsake")).scalar() == "old"
        assert connection.execute(text("SELECT count(*) FROM runs")).scalar() == 0
    engine.dispose()
    copy = sqlite3.connect(home.backups / "record-empty.db")
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
