"""Predictions of a dataset whose worker or owner is killed on the way: each row once, and none answered for nothing."""

import os
import subprocess
import sys
import time

import pytest
from tests.support.homes import end_owner
from tests.support.scoring import check_scores, make_rows, register_delays

import mainspring as ms
from mainspring.domain import messages, tracking
from mainspring.domain.predictions import Predict
from mainspring.domain.states import TERMINAL

ROWS = 450_000
"""Three parts."""


def wait(client, run):
    until = time.monotonic() + 200
    while run.state not in TERMINAL and time.monotonic() < until:
        (run,) = client.ask(messages.WaitRuns(ids=[run.id], wait_s=5.0))
    return run


def prepare():
    rows = make_rows(ROWS)
    ms.write(rows, "arrivals", key="id")
    register_delays()
    return rows


def check(client, rows, run, versions):
    assert (run.state, run.problem) == ("succeeded", None)
    check_scores(rows, ms.Dataset(run.details["version"]).polars())
    made = client.ask(messages.ListVersions(kind="dataset", name="scores"))
    assert [each.run_id for each in made] == [run.id] * versions


@pytest.mark.parametrize(
    ("point", "told"), [("predict.marked", [1, 2]), ("table.before_commit", [0, 1, 2]), ("table.committed", [0, 1, 2])]
)
def test_a_killed_worker_is_followed_by_one_that_goes_on(client, tmp_path, monkeypatch, point, told):
    rows = prepare()
    mark = tmp_path / "killed"
    monkeypatch.setenv("MAINSPRING_CRASH", f"{point}:1:{mark}")
    end_owner(client.home)  # the next one's workers inherit the plan
    run = wait(client, client.ask(Predict(model="delays", data="arrivals", to="scores")))
    assert mark.exists()
    check(client, rows, run, versions=1)
    assert run.attempt == 2
    # A part that is marked is not answered again, so each tells its rows at most once.
    assert [step for step, _, _ in client.ask(tracking.GetSeries(run_id=run.id, key="rows"))] == told


def test_killed_owners_do_not_repeat_predictions(client):
    rows = prepare()
    run = client.ask(Predict(model="delays", data="arrivals", to="scores", mode="append"))
    for _ in range(2):
        time.sleep(0.4)
        end_owner(client.home)
        client.ask(messages.GetRun(id=run.id))
    run = wait(client, run)
    check(client, rows, run, versions=1)


SCRIPT = """
import mainspring as ms
ms.Model("delays").predict("arrivals", to="scores")
"""


def test_a_killed_caller_finds_the_predictions_that_went_on(client):
    rows = prepare()
    script = subprocess.Popen([sys.executable, "-c", SCRIPT], env={**os.environ, "MAINSPRING_PROGRESS": "0"})
    while not (runs := [each for each in client.ask(messages.ListRuns()) if each.kind == "predict"]):
        time.sleep(0.02)
    script.kill()
    script.wait()
    scores = ms.Model("delays").predict("arrivals", to="scores")
    assert scores.version.run_id == runs[0].id
    check(client, rows, wait(client, runs[0]), versions=1)
