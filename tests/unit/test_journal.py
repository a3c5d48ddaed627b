"""A journal keeps what was logged, in order, whatever happens to its writer."""

import math
import os
import signal
import subprocess
import sys

import pytest

from mainspring.tracking.journal import Facts, Journal, Point, journal_path, parse_name, read_entries, read_report

RUN = "0" * 32


def test_entries_come_back_in_order_and_by_offset(tmp_path):
    path = journal_path(tmp_path / "journals", RUN, 2)
    journal = Journal(path)
    assert not path.exists()
    points = [Point("loss", step, 1.5, value) for step, value in enumerate([0.1, math.nan, math.inf])]
    for point in points:
        journal.append(point)
    first, offset = read_entries(path)
    assert [each.value for each in first[::2]] == [0.1, math.inf]
    assert math.isnan(first[1].value)
    journal.append(Facts({"rate": 0.1}, {"note": "x"}))
    assert read_entries(path, offset)[0] == [Facts({"rate": 0.1}, {"note": "x"})]
    assert parse_name(path) == (RUN, 2)
    journal.close()


def test_a_report_is_what_the_wire_takes(tmp_path):
    path = journal_path(tmp_path, RUN, 1)
    journal = Journal(path)
    journal.append(Point("auc", 0, 2.0, 0.7))
    journal.append(Facts({"rate": 0.1}))
    journal.append(Facts({"rate": 0.2}, {"a": "b"}))
    report = read_report(path, RUN, 1, 7)
    assert (report.points, report.params, report.tags) == ([("auc", 0, 2.0, 0.7)], {"rate": 0.2}, {"a": "b"})
    assert report.offset == path.stat().st_size
    assert read_report(path, RUN, 1, 7, report.offset) is None
    journal.close()


def test_a_torn_tail_is_left_until_it_is_whole(tmp_path):
    path = journal_path(tmp_path, RUN, 1)
    journal = Journal(path)
    for step in range(3):
        journal.append(Point("loss", step, 0.0, 1.0))
    journal.close()
    whole = path.read_bytes()
    for cut in range(len(whole) * 2 // 3 + 1, len(whole)):
        path.write_bytes(whole[:cut])
        entries, offset = read_entries(path)
        assert len(entries) == 2
        assert offset == len(whole) * 2 // 3
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert len(read_entries(path)[0]) == 2


def test_what_was_appended_outlives_kill_9(tmp_path):
    path = journal_path(tmp_path, RUN, 1)
    program = (
        "import sys\nfrom pathlib import Path\nfrom mainspring.tracking.journal import Journal, Point\n"
        f"journal = Journal(Path({str(path)!r}))\n"
        "step = 0\n"
        "while True:\n"
        "    journal.append(Point('loss', step, 0.0, 1.0))\n"
        "    step += 1\n"
        "    if step == 100: print('on', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    steps, offset = [], 0
    while True:
        entries, offset = read_entries(path, offset)
        if not entries:
            break
        steps += [each.step for each in entries]
    assert len(steps) >= 100
    assert steps == list(range(len(steps)))


def test_a_disk_that_takes_half_an_entry_hides_no_other(tmp_path, monkeypatch):
    path = journal_path(tmp_path, RUN, 1)
    journal = Journal(path)
    journal.append(Point("auc", 0, 1.0, 0.5))
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, content: write(handle, content[: len(content) // 2]))
        with pytest.raises(OSError, match="No space left"):
            journal.append(Point("auc", 1, 2.0, 0.6))
    journal.append(Point("auc", 2, 3.0, 0.7))
    journal.close()
    assert [each.step for each in read_entries(path)[0]] == [0, 2]


def test_an_entry_may_be_larger_than_a_report(tmp_path):
    path = journal_path(tmp_path, RUN, 1)
    journal = Journal(path)
    entries = [Point("auc", 0, 1.0, 0.5), Facts({"text": "x" * 3_000_000}), Point("auc", 1, 2.0, 0.6)]
    for entry in entries:
        journal.append(entry)
    journal.close()
    found, offset = [], 0
    while part := read_entries(path, offset)[0]:
        found += part
        offset = read_entries(path, offset)[1]
    assert found == entries
