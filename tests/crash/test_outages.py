"""A loop logs on while the owner or the server is gone; afterwards everything is there, once."""

import subprocess
import sys
import threading
import time

import pytest
from tests.support.homes import end_owner
from tests.support.laptops import Laptop
from tests.support.servers import UpProcess

import mainspring as ms
from mainspring.control.leases import AWAY_S, expire_leases
from mainspring.domain.messages import BeginRun, FinishRun, GetRun, GetSeries
from mainspring.sdk.backlog import deliver
from mainspring.sdk.https import Patience
from mainspring.tracking.journal import End, Journal, Point, journal_path, read_report


@pytest.fixture
def laptop(client, tmp_path, monkeypatch):
    made = Laptop(client, tmp_path / "laptop", monkeypatch)
    yield made
    made.end()


def steps_of(run_id):
    return [(step, value) for step, _, value in ms.Run(run_id).series("loss")]


def test_an_owner_killed_again_and_again_under_a_loop(client, home):
    killing = threading.Event()

    def kill():
        while not killing.wait(0.15):
            end_owner(home)

    with ms.start_run("loop") as run:
        thread = threading.Thread(target=kill)
        thread.start()
        try:
            for step in range(600):
                ms.log(loss=step, step=step)
                if step % 200 == 0:
                    ms.log(note=f"at {step}", step=step)
                time.sleep(0.003)
        finally:
            killing.set()
            thread.join()
    assert steps_of(run.id) == [(step, float(step)) for step in range(600)]
    assert run.artifacts["note"].steps == (0, 200, 400)
    assert (run.state, run.record.attempt) == ("succeeded", 1)
    assert not list(home.journals.glob("*"))


def test_a_server_that_is_killed_and_comes_back(laptop, home):
    with ms.start_run("loop") as run:
        ms.log(loss=0, step=0)
        laptop.server.kill()
        end_owner(home)
        began = time.process_time()
        for step in range(1, 500):
            ms.log(loss=step, step=step)
        assert time.process_time() - began < 5.0
        laptop.server = UpProcess(port=laptop.server.port, MAINSPRING_HOME=str(home.root), MAINSPRING_URL="")
    assert steps_of(run.id) == [(step, float(step)) for step in range(500)]
    assert (run.state, run.record.attempt) == ("succeeded", 1)


SCRIPT = """\
import mainspring as ms
with ms.start_run("next"):
    ms.log(loss=1.0)
"""


def test_a_run_that_ends_while_the_server_is_gone_is_told_by_the_next_process(
    laptop, home, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(Patience.__new__, "__defaults__", (0.5, 0.5, 1.0))
    with ms.start_run("loop") as run:
        for step in range(50):
            ms.log(loss=step, step=step)
        laptop.server.kill()
        end_owner(home)
        for step in range(50, 100):
            ms.log(loss=step, step=step)
    assert "succeeded is told when it is back" in capsys.readouterr().err
    assert len(list(laptop.folder.glob("remotes/*/journals/*.journal"))) == 1
    laptop.server = UpProcess(port=laptop.server.port, MAINSPRING_HOME=str(home.root), MAINSPRING_URL="")
    (tmp_path / "next.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "next.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 60
    while ms.Run(run.id).state != "succeeded" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ms.Run(run.id).state == "succeeded"
    assert steps_of(run.id) == [(step, float(step)) for step in range(100)]


class AtDesk:
    """Asks the use cases as a client would."""

    def __init__(self, desk):
        self.ask = desk.ask


def lose(desk, run):
    """Let the time pass after which a script elsewhere counts as lost."""
    desk.clock.advance(AWAY_S - 1)
    desk.call(expire_leases)
    assert desk.ask(GetRun(id=run.id)).state == "running"
    desk.clock.advance(2)
    desk.call(expire_leases)
    lost = desk.ask(GetRun(id=run.id))
    assert (lost.state, lost.problem.code, lost.reason) == ("failed", "RUN-008", f"no heartbeat for {AWAY_S:.0f} s")


@pytest.mark.parametrize("state", ["succeeded", None])
def test_a_script_that_was_given_up_is_taken_up_by_what_its_journal_says(desk, tmp_path, state):
    run = desk.ask(BeginRun(kind="script", name="loop", host="elsewhere", pid=7)).run
    journal = Journal(journal_path(tmp_path, run.id, run.attempt))
    journal.append(*(Point("loss", step, 1e9 + step, float(step)) for step in range(10)))
    desk.ask(read_report(journal.path, run.id, 1, 1))
    journal.append(*(Point("loss", step, 1e9 + step, float(step)) for step in range(10, 20)))
    if state is not None:
        journal.append(End(FinishRun(run_id=run.id, attempt=1, fence=1, state=state, cpu_s=2.5)))
    deliver(AtDesk(desk), journal.path)
    assert journal.path.exists(), "its process has it open"
    journal.close()
    lose(desk, run)
    deliver(AtDesk(desk), journal.path)
    found = desk.ask(GetRun(id=run.id))
    assert (found.state, found.attempt) == (state or "failed", 2)
    points = desk.ask(GetSeries(run_id=run.id, key="loss"))
    assert [(step, value) for step, _, value in points] == [(step, float(step)) for step in range(20)]
    assert not journal.path.exists()


def test_journals_that_cannot_be_told_are_kept(desk, tmp_path):
    unknown = Journal(journal_path(tmp_path, "0" * 32, 1))
    unknown.append(Point("loss", 0, 1e9, 1.0))
    unknown.close()
    (tmp_path / "no name.journal").write_bytes(b"x")
    gone = tmp_path / "gone.1.journal"
    for path in (unknown.path, tmp_path / "no name.journal", gone):
        deliver(AtDesk(desk), path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        f"{'0' * 32}.1.journal",
        "no name.refused",
    ]
