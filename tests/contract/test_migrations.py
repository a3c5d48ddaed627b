"""Records of every released revision are brought to the newest one, whole or not at all, in both dialects."""

import base64
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import MetaData, text
from tests.support.homes import ManualClock, SeededRandomness

from mainspring.control import owner as owner_module
from mainspring.control.commits import GroupCommit
from mainspring.domain import messages
from mainspring.domain.errors import Conflict
from mainspring.store import schema
from mainspring.store.blobs import FolderBlobs
from mainspring.store.dialects.exports import read_export
from mainspring.store.dialects.postgresql import driver
from mainspring.store.engine import dialect_of, open_engine
from mainspring.store.files import LocalFileSystem
from mainspring.store.homes import make_folders
from mainspring.store.migrations import shapes, upgrade
from mainspring.store.tables import HEAD, metadata
from mainspring.store.uses import may_read

FIXTURES = Path(__file__).parents[1] / "fixtures" / "records"
RELEASED = sorted(path.stem for path in FIXTURES.glob("*.json"))
OPEN = (
    "import sys; from pathlib import Path; from mainspring.store.homes import place_home;"
    "from mainspring.store.schema import open_record; open_record(place_home(Path(sys.argv[1]))).dispose()"
)


def read_rows(revision):
    found = json.loads((FIXTURES / f"{revision}.json").read_text("utf-8"))
    for rows in found.values():
        for row in rows:
            for name, value in row.items():
                if isinstance(value, dict):
                    row[name] = base64.b64decode(value["base64"])
    return found


def make_old(home, revision):
    """Make a record as a release of that revision left it."""
    make_folders(home)
    engine = open_engine(home)
    with engine.begin() as connection:
        shapes.make_tables(connection, revision)
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
        connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})
        old = MetaData()
        old.reflect(getattr(connection, "heavy", connection))
        for name, rows in read_rows(revision).items():
            if rows:
                connection.execute(old.tables[name].insert(), rows)
            dialect_of(connection).set_sequences(connection, name)
    engine.dispose()


FORGOTTEN = {"calls": {"token"}}
"""What no record keeps any more, for it stood there in the clear."""
GROWN = {"series_keys"}
"""What a migration adds rows to: names of params and tags stand beside those of metrics."""


def compare(home, revision):
    """Hold every value of a fixture, as far as there is still a column for it, against the record."""
    engine = open_engine(home)
    with engine.connect() as connection:
        now = MetaData()
        now.reflect(getattr(connection, "heavy", connection))
        for name, rows in read_rows(revision).items():
            if not rows or name not in now.tables:
                continue
            columns = sorted((rows[0].keys() & now.tables[name].c.keys()) - FORGOTTEN.get(name, set()))
            query = now.tables[name].select().with_only_columns(*(now.tables[name].c[each] for each in columns))
            found = sorted(map(repr, map(tuple, connection.execute(query))))
            wanted = sorted(repr(tuple(row[each] for each in columns)) for row in rows)
            assert ([each for each in found if each in wanted] if name in GROWN else found) == wanted, name
    engine.dispose()


def work_in(home):
    """Use a record that was migrated: read what is there, and add a run."""
    for name in owner_module.USE_CASES:
        importlib.import_module(name)
    engine = schema.open_record(home)
    blobs = FolderBlobs(home.blobs, LocalFileSystem())
    commits = GroupCommit(engine, home, blobs, ManualClock(), SeededRandomness())
    before = commits.ask(messages.ListRuns(limit=1000))
    assert before
    assert commits.ask(messages.ListServices())
    assert commits.ask(messages.ListRenewals())
    added = commits.ask(messages.BeginRun(kind="step", name="after")).run
    after = commits.ask(messages.ListRuns(limit=1000))
    assert [run.id for run in after] == [added.id, *(run.id for run in before)]
    commits.close()
    engine.dispose()


@pytest.mark.parametrize("revision", RELEASED)
def test_a_record_of_a_release_keeps_every_row(home, revision):
    make_old(home, revision)
    compare(home, revision)
    schema.open_record(home).dispose()
    compare(home, revision)
    engine = open_engine(home)
    with engine.connect() as connection:
        assert schema.read_revision(connection) == HEAD
        assert_searchable(connection)
        record_id = schema.read_record_id(connection)
        tokens = set(connection.execute(text("SELECT token FROM calls")).scalars())
    engine.dispose()
    assert len(record_id) == 32
    assert tokens <= {None}, "tokens of workers stood in the clear"
    work_in(home)


def assert_searchable(connection):
    """Each param and tag of each run has its row."""
    wanted = {}
    for number, *packed in connection.execute(text("SELECT seq, params, tags FROM runs")):
        for table, kept in zip(("param_values", "tag_values"), packed, strict=True):
            for name, value in json.loads(kept or "{}").items():
                if value is not None:
                    wanted[table, number, name] = value if isinstance(value, str) else json.dumps(value)
    found = {}
    for table in ("param_values", "tag_values"):
        query = f"SELECT run, series_keys.key, text FROM {table} JOIN series_keys ON series_keys.id = {table}.key"
        for number, name, value in connection.execute(text(query)):
            found[table, number, name] = value
    assert wanted
    assert found.keys() == wanted.keys()
    assert all(found[each] == value for each, value in wanted.items() if value[:1] not in "[{")


def test_every_released_revision_has_a_fixture():
    assert [f"{number:04}" for number in range(1, int(HEAD))] == RELEASED


@pytest.mark.parametrize("point", ["migration.backed_up", "migration.changed", "migration.committed"])
def test_a_migration_that_is_killed_is_done_by_the_next(home, record, point):
    make_old(home, "0001")
    command = [sys.executable, "-c", OPEN, str(home.root)]
    killed = subprocess.run(command, env={**os.environ, "MAINSPRING_CRASH": f"{point}:1"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    engine = open_engine(home)
    with engine.connect() as connection:
        there = schema.read_revision(connection)
    engine.dispose()
    assert there == (HEAD if point == "migration.committed" else "0001")
    compare(home, "0001")
    work_in(home)
    assert [path.name for path in home.backups.iterdir()] == [f"record-0001.{'db' if record == 'sqlite' else 'zip'}"]


def test_the_backup_is_the_record_before_the_migration(home, record):
    make_old(home, "0001")
    schema.open_record(home).dispose()
    (backup,) = home.backups.iterdir()
    assert backup.stat().st_mode & 0o077 == 0
    engine = open_engine(home)
    if record == "postgresql":
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
            shapes.make_tables(connection, "0001")
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
            read_export(driver(connection), backup)
    else:
        for path in home.state.glob("record.db*"):
            path.unlink()
        backup.rename(home.metadata)
    engine.dispose()
    compare(home, "0001")
    (home.root / "keys" / "record.json").unlink(missing_ok=True)
    work_in(home)


def test_a_new_record_and_a_migrated_one_have_the_same_schema(home):
    make_folders(home)
    engine = open_engine(home)
    described = []
    for make in (schema.create, upgrade):
        with engine.connect() as connection, connection.begin() as transaction:
            make(connection)
            assert schema.read_revision(connection) == HEAD
            described.append(describe(connection))
            transaction.rollback()
    engine.dispose()
    assert described[0] == described[1], "python tools/schema.py"
    assert set(metadata.tables) <= set(described[0])


def describe(connection):
    """Everything of a schema that matters, whichever way it came to be."""
    found = MetaData()
    found.reflect(getattr(connection, "heavy", connection))
    return {
        name: (
            {
                column.name: (repr(column.type), column.nullable, str(getattr(column.server_default, "arg", "")))
                for column in table.c
            },
            [column.name for column in table.primary_key],
            sorted((str(index.name), index.unique, [c.name for c in index.columns]) for index in table.indexes),
            sorted(sorted(c.name for c in each.columns) for each in table.constraints),
        )
        for name, table in found.tables.items()
    }


def test_a_newer_record_is_refused_and_left_alone(home):
    make_folders(home)
    schema.open_record(home).dispose()
    engine = open_engine(home)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        schema_before = describe(connection)
    with pytest.raises(Conflict) as caught:
        schema.open_record(home)
    assert caught.value.code == "HOME-003"
    assert "9999" in caught.value.what
    with engine.connect() as connection:
        assert describe(connection) == schema_before
    engine.dispose()
    assert not home.backups.exists()


def test_a_database_with_tables_of_others_is_refused_and_left_alone(home):
    make_folders(home)
    engine = open_engine(home)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE ledger (word TEXT)"))
    with pytest.raises(Conflict) as caught:
        schema.open_record(home)
    assert caught.value.code == "HOME-033"
    assert "ledger" in caught.value.what
    with engine.connect() as connection:
        assert dialect_of(connection).list_tables(connection) == {"ledger"}
    engine.dispose()


@pytest.mark.parametrize("record", ["postgresql"], indirect=True)  # SQLite's file lies in the home
def test_a_record_that_took_another_s_place_is_refused(home, record):
    make_folders(home)
    schema.open_record(home).dispose()
    engine = open_engine(home)
    with engine.begin() as connection:
        connection.execute(text("UPDATE meta SET value = 'another'"))
    engine.dispose()
    with pytest.raises(Conflict) as caught:
        schema.open_record(home)
    assert caught.value.code == "HOME-037"


def test_what_was_recorded_before_can_be_read_by_what_names_it(home, record):
    make_old(home, "0002")
    engine = schema.open_record(home)
    with engine.connect() as connection:
        for source, project, outputs in connection.execute(text("SELECT id, project, outputs FROM runs")):
            if outputs:
                digest = json.loads(outputs)["digest"]
                assert may_read(connection, project, digest, "user:anybody"), source
                assert not may_read(connection, "elsewhere", digest, "user:anybody")
        named = connection.execute(text("SELECT count(*) FROM uses")).scalar_one()
    engine.dispose()
    assert named > 0
