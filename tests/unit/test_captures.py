"""Segments: what stands whole was counted, torn tails are cut, ids are found again."""

from __future__ import annotations

import os
import threading

import pytest

from mainspring.domain.errors import Failed
from mainspring.serving.captures import START, Captures, Cursor, Record, list_segments, read_segments, segment_path
from mainspring.serving.files import Limits


def make_record(number: int, rows: int = 2, revision: int = 1) -> Record:
    return Record(f"r{number}", 1.0 * number, revision, "m@1", rows, b"body%d" % number, b"reply%d" % number)


def read_all(folder, after=START, **options):
    found, cursor = [], after
    for batch, following in read_segments(folder, after, **options):
        found += batch
        cursor = following
    return found, cursor


def test_counts_and_ids_survive_reopening(tmp_path):
    captures = Captures(tmp_path, "s")
    assert captures.append([make_record(1), make_record(2, rows=3, revision=2)]) == 2
    again = Captures(tmp_path, "s")  # the first one was never closed, as after a kill
    assert (again.requests, again.rows) == (2, 5)
    assert (again.counts[2].requests, again.counts[2].rows) == (1, 3)
    assert again.find("r2") == make_record(2, rows=3, revision=2)
    assert again.find("r3") is None


@pytest.mark.parametrize("cut", [1, 5, 9, 20])
def test_torn_tail_is_cut_and_later_records_follow(tmp_path, cut):
    captures = Captures(tmp_path, "s")
    captures.append([make_record(1), make_record(2)])
    path = segment_path(tmp_path, 1)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - cut)
    assert [each.id for each in read_all(tmp_path)[0]] == ["r1"]
    again = Captures(tmp_path, "s")
    assert again.requests == 1
    assert again.cut_bytes > 0
    again.append([make_record(3)])
    assert [each.id for each in read_all(tmp_path)[0]] == ["r1", "r3"]


def test_rotation_keeps_counts_and_finds_ids_in_older_segments(tmp_path):
    limits = Limits(segment_rows=4)
    captures = Captures(tmp_path, "s", limits)
    for number in range(10):
        captures.append([make_record(number)])
    assert len(list_segments(tmp_path)) == 5
    again = Captures(tmp_path, "s", limits)
    assert (again.requests, again.rows) == (10, 20)
    assert all(again.find(f"r{number}") == make_record(number) for number in range(10))
    records, cursor = read_all(tmp_path, limit_rows=3)
    assert [each.id for each in records] == [f"r{number}" for number in range(10)]
    again.append([make_record(10)])
    assert [each.id for each in read_all(tmp_path, cursor)[0]] == ["r10"]
    assert Cursor.at(cursor.position) == cursor


def test_old_ids_are_forgotten_but_never_fewer_than_promised(tmp_path):
    limits = Limits(segment_rows=4, remembered_ids=5)
    captures = Captures(tmp_path, "s", limits)
    for number in range(40):
        captures.append([make_record(number)])
    again = Captures(tmp_path, "s", limits)
    for each in (captures, again):
        assert each.requests == 40
        assert all(each.find(f"r{number}") for number in range(35, 40))
        assert each.find("r0") is None


def test_damage_inside_a_closed_segment_is_named(tmp_path):
    captures = Captures(tmp_path, "s", Limits(segment_rows=4))
    for number in range(6):
        captures.append([make_record(number)])
    path = segment_path(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(Failed) as fault:
        read_all(tmp_path)
    assert fault.value.code == "SERVE-016"
    assert "00000001.segment" in fault.value.what


def test_only_whole_records_of_a_short_write_count(tmp_path, monkeypatch):
    captures = Captures(tmp_path, "s")
    captures.append([make_record(0)])
    real = os.write

    def write_short(handle, content):
        return real(handle, content[: len(content) * 2 // 3])

    monkeypatch.setattr(os, "write", write_short)
    kept = captures.append([make_record(number) for number in range(1, 7)])
    monkeypatch.undo()
    assert 0 < kept < 6
    assert captures.requests == kept + 1
    assert captures.find(f"r{kept + 1}") is None
    assert captures.append([make_record(9)]) == 1
    again = Captures(tmp_path, "s")
    assert again.requests == kept + 2
    assert [each.id for each in read_all(tmp_path)[0]] == [f"r{n}" for n in range(kept + 1)] + ["r9"]


def test_a_torn_tail_that_cannot_be_cut_is_cut_before_the_next_write(tmp_path, monkeypatch):
    captures = Captures(tmp_path, "s")
    real = os.write

    def refuse(handle, size):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "write", lambda handle, content: real(handle, content[:-3]))
    monkeypatch.setattr(os, "ftruncate", refuse)
    assert captures.append([make_record(1), make_record(2)]) == 1
    monkeypatch.setattr(os, "write", real)
    assert captures.append([make_record(3)]) == 0
    monkeypatch.undo()
    assert captures.append([make_record(4)]) == 1
    assert [each.id for each in read_all(tmp_path)[0]] == ["r1", "r4"]
    assert captures.requests == 2


def test_a_segment_is_rotated_when_the_system_gives_no_thread(tmp_path, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    captures = Captures(tmp_path, "s", Limits(segment_rows=2))
    assert [captures.append([make_record(number)]) for number in range(3)] == [1, 1, 1]
    assert [each.id for each in read_all(tmp_path)[0]] == ["r0", "r1", "r2"]
    assert list_segments(tmp_path) == [1, 2, 3]


def test_a_full_disk_keeps_nothing_and_recovers(tmp_path, monkeypatch):
    captures = Captures(tmp_path, "s")

    def refuse(handle, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    assert captures.append([make_record(1)]) == 0
    monkeypatch.undo()
    assert captures.find("r1") is None
    assert captures.append([make_record(1)]) == 1


def test_a_segment_without_a_header_is_started_anew(tmp_path):
    Captures(tmp_path, "s").append([make_record(1)])
    segment_path(tmp_path, 2).write_bytes(b"\0" * 100)  # what a power loss leaves of a new file
    again = Captures(tmp_path, "s")
    assert again.requests == 1
    assert list_segments(tmp_path) == [1]
