"""Runs survive the death of workers, fork servers and owners; an oracle in files watches."""

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from mainspring.domain.crashpoints import POINTS
from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import GetStatus, ListRuns, SubmitRuns
from mainspring.testing import programs
from mainspring.testing.engines import make_spec, wait
from mainspring.tracking.codecs import load_value

RUNS = 30


def check(client, runs, folder):
    """Every run succeeded once, with the result of one of its own executions."""
    ended = wait(client, *runs)
    assert [run.state for run in ended] == ["succeeded"] * len(runs), [run.problem for run in ended if run.problem]
    marks = {path.name for path in folder.iterdir()}
    results = [load_value(run.outputs, client.blobs, client.seal) for run in ended]
    assert len(set(results)) == len(runs)
    assert set(results) <= marks
    assert [text.split(".")[0] for text in results] == [run.name for run in ended]
    # Every execution but the recorded ones belongs to an attempt that was lost.
    lost = sum(run.attempt - 1 for run in ended)
    assert len(marks) <= len(runs) + lost
    assert len(client.ask(ListRuns(limit=1000))) == len(runs)
    return lost


def specs_of(client, folder, wait_s=0.0):
    folder.mkdir()
    return [
        make_spec(client, programs.leave_mark, str(folder), f"run{at}", wait_s, name=f"run{at}", dedupe=f"run{at}")
        for at in range(RUNS)
    ]


@pytest.mark.parametrize("point", sorted(each for each in POINTS if each.startswith(("worker.", "owner."))))
def test_a_death_at_each_point_loses_and_doubles_nothing(client, tmp_path, monkeypatch, point):
    mark = tmp_path / "died"
    monkeypatch.setenv("MAINSPRING_CRASH", f"{point}:7:{mark}")
    runs = client.ask(SubmitRuns(runs=specs_of(client, tmp_path / "marks")))
    lost = check(client, runs, tmp_path / "marks")
    assert mark.exists(), f"nobody died at {point}"
    # What was told before the death stays; what was not is done again, once.
    assert lost == (1 if point in {"worker.leased", "worker.ran", "worker.stored"} else 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_deaths_at_random_lose_and_double_nothing(client, tmp_path, seed):
    print(f"seed {seed}")
    chance = random.Random(seed)
    over = threading.Event()
    killed = []

    def kill_now_and_then():
        # A run may lose three workers; a fourth loss would rightly fail it.
        plan = chance.sample(["worker", "worker", "fork server", "owner", "owner", "owner"], 6)
        while plan and not over.wait(chance.uniform(0.1, 0.4)):
            kind = plan[-1]
            victims = sorted(pid for found, pid in list_processes(client.home.root) if found == kind)
            # An owner that never gets to answer would prove nothing.
            if victims and (kind != "owner" or client.home.socket.exists()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(victims), signal.SIGKILL)
                    killed.append(plan.pop())

    specs = specs_of(client, tmp_path / "marks", wait_s=0.3)
    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        runs = [run for spec in specs for run in client.ask(SubmitRuns(runs=[spec]))]
        check(client, runs, tmp_path / "marks")
    finally:
        over.set()
        killer.join()
    print(f"killed {', '.join(killed)}")
    assert len(killed) == 6


def list_processes(root):
    """Return (kind, pid) of the owner, the fork servers and the workers of a home."""
    owners, forked = [], {}
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if str(root).encode() in words:
            if b"mainspring.control.owner" in words:
                owners.append(("owner", int(folder.name)))
            elif b"mainspring.worker.forkserver" in words:
                forked[int(folder.name)] = int(parent)
    return owners + [("worker" if parent in forked else "fork server", pid) for pid, parent in forked.items()]


def test_an_owner_that_dies_in_every_turn_still_gets_there(client, tmp_path):
    runs = client.ask(SubmitRuns(runs=specs_of(client, tmp_path / "marks")))
    for _ in range(6):
        try:
            os.kill(client.ask(GetStatus()).pid, signal.SIGKILL)
        except (MainspringError, ProcessLookupError):
            continue
        time.sleep(0.05)
    assert check(client, runs, tmp_path / "marks") == 0
