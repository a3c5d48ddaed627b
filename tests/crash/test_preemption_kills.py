"""Owners are killed while runs give way: each gives way once, and loses nothing that it has saved."""

import os
import signal

import pytest
from tests.support.preemption import Lab, check_counted, count, hold, put, wait_for_steps

from mainspring.domain.preemptions import PreemptRuns
from mainspring.domain.quotas import Amounts, SetQuota
from mainspring.testing.engines import get, until, wait


@pytest.mark.parametrize("point", ["preempt.ordered", "preempt.told", ""])
def test_an_owner_that_is_killed_has_the_run_give_way_once(client, monkeypatch, tmp_path, point):
    mark = tmp_path / "killed"
    if point:
        monkeypatch.setenv("MAINSPRING_CRASH", f"{point}:1:{mark}")
    lab = Lab(client, 1)
    run = put(client, count, tmp_path, "run")
    wait_for_steps(tmp_path / "run.saved", 3)
    client.ask(PreemptRuns(ids=[run.id]))
    if not point:  # as soon as it is on disk
        os.kill(int(client.home.lock.read_text()), signal.SIGKILL)
        mark.touch()
    for _ in until():
        if get(client, run).attempt == 2:
            break
    wait_for_steps(tmp_path / "run.begun", 2)
    (tmp_path / "enough").touch()
    (run,) = wait(client, run)
    assert (run.state, run.attempt, len(run.attempts)) == ("succeeded", 2, 1)
    assert run.attempts[0].reason.startswith("preempted for ")
    check_counted(client, run)
    assert int((tmp_path / "run.begun").read_text().split()[1]) >= 3
    assert mark.exists()
    lab.close()


@pytest.mark.parametrize("point", ["preempt.ordered", "preempt.told"])
def test_a_guarantee_is_taken_back_over_the_death_of_the_owner(client, monkeypatch, tmp_path, point):
    mark = tmp_path / "killed"
    monkeypatch.setenv("MAINSPRING_CRASH", f"{point}:1:{mark}")
    monkeypatch.setenv("MAINSPRING_CALM_S", "0.2")
    lab = Lab(client, 2)
    client.ask(SetQuota(tenant="ben", guarantee=Amounts(gpus=1)))
    anna, ben = lab.of("anna"), lab.of("ben")
    runs = [put(anna, count, tmp_path, name) for name in ("one", "two")]
    for name in ("one", "two"):
        wait_for_steps(tmp_path / f"{name}.saved", 1)
    due = put(ben, hold, tmp_path, "due")
    for _ in until():
        get(ben, due)  # who asks starts an owner
        if (tmp_path / "due.begun").exists():
            break
    assert sorted(get(anna, run).attempt for run in runs) == [1, 2]
    (tmp_path / "enough").touch()
    assert {run.state for run in wait(ben, due)} == {"succeeded"}
    for run in wait(anna, *runs):
        assert run.state == "succeeded"
        check_counted(anna, run)
    assert mark.exists()
    lab.close()
