"""Maps: many calls at once, queued in pages, told by one line, cancelled together."""

import io
import itertools
import os
import re
import threading
import time
from pathlib import Path

import pytest

import mainspring as ms
from mainspring.control.processes import this_host
from mainspring.domain.errors import Invalid
from mainspring.domain.messages import BeginRun, CancelRuns, GetStatus, ListRuns, RunSpec, SubmitRuns
from mainspring.domain.records import Call
from mainspring.sdk.client import Client

COUNT = 25
WIDE, SIDE = (1000, 100) if os.environ.get("MAINSPRING_WIDE") else (60, 12)
"""Steps, and how many of them run at one moment; MAINSPRING_WIDE=1 takes the full number."""


@ms.step
def square(n: int) -> int:
    return n * n


@ms.step
def hold(n, path: str) -> int:
    while not Path(path).exists():
        time.sleep(0.02)
    return n


@ms.pipeline
def squares(count: int) -> int:
    return sum(future.result() for future in square.map(range(count)))


@pytest.fixture
def pages_of_ten(monkeypatch):
    monkeypatch.setattr("mainspring.sdk.steps._PAGE", 10)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_long_map_is_queued_in_pages_and_answers_in_order(client, pages_of_ten, monkeypatch):
    pages = []
    ask = type(client).ask

    def count(self, command, *args, **kwargs):
        if isinstance(command, SubmitRuns):
            pages.append(len(command.runs))
        return ask(self, command, *args, **kwargs)

    monkeypatch.setattr(type(client), "ask", count)
    futures = square.map(range(COUNT))
    assert pages == [10, 10, 5]
    assert [future.result() for future in futures] == [n * n for n in range(COUNT)]
    again = square.map(range(COUNT))
    assert all(future.wait().cached_from for future in again)


def test_elements_are_taken_as_they_are_queued(client, pages_of_ten):
    taken = []

    def elements():
        for n in range(15):
            taken.append(n)
            if n == 12:
                # The first page is in the record before the second is made.
                assert len(client.ask(ListRuns(name="square", limit=500))) == 10
            yield n

    assert len(square.map(elements())) == len(taken) == 15


def test_a_map_that_cannot_be_queued_leaves_nothing_behind(client, pages_of_ten, tmp_path):
    elements = itertools.chain(range(13), [threading.Lock()])
    with pytest.raises(Invalid) as caught:
        hold.options(cache=False).map(elements, path=str(tmp_path / "never"))
    assert caught.value.code == "STEP-005"
    runs = client.ask(ListRuns(name="hold", limit=500))
    assert len(runs) == 10
    assert {run.state for run in runs} == {"cancelled"}


def test_a_large_map_is_cancelled_while_others_are_answered(client, home):
    above = client.ask(BeginRun(kind="pipeline", name="above", host=this_host(), pid=os.getpid())).run
    specs = [RunSpec(kind="step", name="wait", parent_id=above.id, call=Call(payload="0" * 64))] * 500
    for _ in range(4):
        client.ask(SubmitRuns(specs))
    other, begun, ended, counts = Client(home), threading.Event(), threading.Event(), set()

    def look():
        while not ended.is_set():
            counts.add(other.ask(GetStatus()).runs.get("cancelled", 0))
            begun.set()

    looking = threading.Thread(target=look)
    looking.start()
    begun.wait()
    (cancelled,) = client.ask(CancelRuns([above.id]))
    ended.set()
    looking.join()
    other.close()
    assert cancelled.state == "cancelled"
    counted = client.ask(GetStatus()).runs
    assert set(counted) <= {"cancelled", "failed"}
    assert any(0 < count < counted["cancelled"] for count in counts), f"nobody was answered meanwhile: {counts}"


def test_a_pipeline_tells_of_a_map_by_one_line(client, monkeypatch):
    told = io.StringIO()
    monkeypatch.setattr("sys.stderr", told)
    assert squares(20) == sum(n * n for n in range(20))
    assert squares(30) == sum(n * n for n in range(30))
    lines = [line for line in told.getvalue().splitlines() if "square x" in line]
    assert len(lines) == 2
    assert "square x 20" in lines[0]
    assert "HIT" not in lines[0]
    assert "square x 30" in lines[1]
    assert "(20 HIT)" in lines[1]
    assert "\x1b" not in told.getvalue()


def test_a_terminal_sees_it_move(client, monkeypatch):
    monkeypatch.setattr("mainspring.sdk.progress._LIVE_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    told = Terminal()
    monkeypatch.setattr("sys.stderr", told)
    for future in square.map(range(5)):
        future.result()
    assert "square      2/5" in told.getvalue()
    assert told.getvalue().count("\n") == 1
    assert "square x 5" in told.getvalue().splitlines()[-1]


@pytest.mark.parametrize("most", [1, 4])
def test_a_map_of_a_map_waits_by_few_threads(client, monkeypatch, most):
    monkeypatch.setattr("mainspring.sdk.edges.MOST", most)
    counts = []
    begin = threading.Thread.start

    def count(self):
        begin(self)
        counts.append(sum("mainspring edge" in each.name for each in threading.enumerate()))

    monkeypatch.setattr(threading.Thread, "start", count)
    third = square.map(square.map(square.map(range(12))))
    assert [future.result() for future in third] == [n**8 for n in range(12)]
    assert max(counts) <= most


@ms.step(cpus=(os.cpu_count() or 1) / SIDE, cache=False)
def meet(n: int, ledger: Path) -> int:
    """Go on when as many as may run at once have begun, so that they do."""
    with ledger.open("a") as file:
        file.write(f"+{n}\n")
    until = time.monotonic() + 300
    while ledger.read_text().count("+") < SIDE:
        assert time.monotonic() < until
        time.sleep(0.1)
    with ledger.open("a") as file:
        file.write(f"-{n}\n")
    return n


def test_many_at_once_end_once_each_and_well(client, home, tmp_path):
    ledger = tmp_path / "ledger"
    futures = meet.map(range(WIDE), ledger=ledger)
    assert [future.result() for future in futures] == list(range(WIDE))
    lines = ledger.read_text().splitlines()
    assert sorted(lines) == sorted(f"{sign}{n}" for n in range(WIDE) for sign in "+-")
    at_once = list(itertools.accumulate(1 if line[0] == "+" else -1 for line in lines))
    assert max(at_once) == SIDE
    runs = ms.runs("name = meet", limit=WIDE + 1)
    assert len(runs) == WIDE
    for run in (each.record for each in runs):
        assert (run.state, run.attempt, run.attempts, run.problem) == ("succeeded", 1, [], None)
        assert run.created_at <= run.started_at <= run.ended_at
    assert not re.search("locked|Traceback", (home.logs / "owner.log").read_text())
