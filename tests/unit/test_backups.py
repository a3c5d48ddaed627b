"""Backups of a record in a file: what is damaged, foreign or older is refused or dealt with."""

import json
import shutil

import pytest
from sqlalchemy import text
from tests.contract.test_backups import fill
from tests.contract.test_migrations import make_old
from tests.support.homes import Desk

from mainspring.domain.errors import Conflict, Invalid, MainspringError, NotFound
from mainspring.domain.records import Value
from mainspring.security.seals import project_seal
from mainspring.store import schema
from mainspring.store.backups import write_backup
from mainspring.store.engine import open_engine
from mainspring.store.homes import place_home
from mainspring.store.restores import restore_backup
from mainspring.store.upgrades import look_ahead


def test_blobs_that_survived_are_used(home, tmp_path):
    desk = Desk(home)
    fill(desk, home)
    desk.close()
    write_backup(home, tmp_path / "backup", whole=False)
    for path in home.state.glob("record.db*"):
        path.unlink()
    restored = restore_backup(home, tmp_path / "backup")
    assert (restored.missing_blobs, restored.missing_tables) == ([], [])


@pytest.mark.parametrize("damage", ["cut", "swapped", "gone", "no manifest", "another form"])
def test_a_damaged_backup_is_refused_and_leaves_nothing(home, tmp_path, damage):
    desk = Desk(home)
    fill(desk, home)
    desk.close()
    folder = tmp_path / "backup"
    write_backup(home, folder, whole=False)
    content = (folder / "record.db").read_bytes()
    if damage == "gone":
        (folder / "record.db").unlink()
    elif damage == "no manifest":
        (folder / "manifest.json").unlink()
    elif damage == "another form":
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 2}))
    else:
        (folder / "record.db").write_bytes(content[:-100] if damage == "cut" else content[:-1] + b"!")
    other = place_home(tmp_path / "other")
    with pytest.raises(Invalid) as caught:
        restore_backup(other, folder)
    assert caught.value.code == "SERVER-002"
    assert not other.root.exists()


def test_a_swapped_blob_of_a_backup_is_refused(home, tmp_path):
    desk = Desk(home)
    fill(desk, home)
    desk.close()
    write_backup(home, tmp_path / "backup", whole=True)
    blob = next((tmp_path / "backup" / "blobs").glob("??/*"))
    blob.write_bytes(b"?" * blob.stat().st_size)
    other = place_home(tmp_path / "other")
    with pytest.raises(Invalid) as caught:
        restore_backup(other, tmp_path / "backup")
    assert caught.value.code == "SERVER-002"
    assert not other.metadata.exists()


def test_other_homes_and_databases_are_refused(home, tmp_path, monkeypatch, database):
    desk = Desk(home)
    fill(desk, home)
    desk.close()
    write_backup(home, tmp_path / "backup", whole=False)
    with pytest.raises(Conflict) as caught:
        write_backup(home, tmp_path / "backup", whole=False)
    assert caught.value.code == "SERVER-001"
    foreign = place_home(tmp_path / "foreign")
    project_seal(foreign)
    with pytest.raises(Conflict, match="another key") as caught:
        restore_backup(foreign, tmp_path / "backup")
    assert caught.value.code == "SERVER-003"
    monkeypatch.setenv("MAINSPRING_RECORD", database)
    with pytest.raises(Conflict) as caught:
        restore_backup(place_home(tmp_path / "other"), tmp_path / "backup")
    assert caught.value.code == "SERVER-004"


def test_a_home_that_was_never_used_has_nothing_to_back_up(home, tmp_path):
    with pytest.raises(NotFound) as caught:
        write_backup(home, tmp_path / "backup", whole=False)
    assert caught.value.code == "SERVER-007"
    assert not home.metadata.exists()
    assert list(tmp_path.iterdir()) == []


def test_an_older_record_without_a_table_is_named_before_it_is_migrated(home):
    make_old(home, "0001")
    engine = open_engine(home)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE follows"))
    engine.dispose()
    with pytest.raises(Conflict, match="schema 0001 and has no table follows"):
        schema.open_record(home)
    assert not home.backups.exists()


def test_obstacles_are_named(home):
    make_old(home, "0001")
    ahead = look_ahead(home)
    from msgspec.structs import replace

    cases = {
        "HOME-003": replace(ahead, schema="9999"),
        "SERVER-006": replace(ahead, free_bytes=ahead.room_bytes - 1),
    }
    for code, each in cases.items():
        obstacle = each.find_obstacle()
        assert isinstance(obstacle, MainspringError)
        assert obstacle.code == code
    assert replace(ahead, can_back_up=False).find_obstacle().code == "SERVER-006"


def test_a_backup_of_an_older_record_is_restored_and_migrated(home, tmp_path):
    make_old(home, "0001")
    write_backup(home, tmp_path / "backup", whole=False)
    shutil.rmtree(home.root)
    restore_backup(home, tmp_path / "backup")
    assert look_ahead(home).schema == schema.HEAD


def test_values_without_parts_are_what_marks_hold_them_for(home):
    from mainspring.store.marks import LEAVES
    from mainspring.tracking.codecs import CODECS
    from mainspring.tracking.displays import DISPLAYS

    names = {each.name for each in (*CODECS, *DISPLAYS)}
    assert names - {"checkpoint", "collection", "dataclass", "path", "sealed"} == LEAVES
    assert Value("png", "0" * 64, 1).codec in LEAVES
