"""A script that dies in the middle: the record tells, nothing logged is lost, and the next run goes on."""

import os
import signal
import subprocess
import sys
import time

import pytest

import mainspring as ms
from mainspring.domain.messages import ListRuns

SCRIPT = """\
import os, signal, sys
import mainspring as ms


@ms.step
def first():
    return "slow work"


@ms.step
def second(text, deadly):
    for loss in range(100):
        ms.log(loss=loss)
    ms.log_params(seen=True)
    if deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return text


@ms.pipeline
def train(deadly=False):
    return second(first(), deadly)


train("deadly" in sys.argv)
"""


def launch(folder, *arguments):
    (folder / "flow.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, "flow.py", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def wait_for_ends(client):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        runs = client.ask(ListRuns())
        if all(run.ended_at for run in runs):
            return {run.name: run for run in runs}
        time.sleep(0.05)
    pytest.fail("a run of a dead process has not ended")


def test_a_killed_script(client, tmp_path):
    assert launch(tmp_path, "deadly").returncode == -signal.SIGKILL
    runs = wait_for_ends(client)
    assert {name: run.state for name, run in runs.items()} == {
        "train": "failed",
        "second": "failed",
        "first": "succeeded",
    }
    assert runs["second"].problem.code == "RUN-008"
    assert [value for _, _, value in ms.Run(runs["second"].id).series("loss")] == list(range(100))
    assert runs["second"].params["seen"] is True
    assert not list(client.home.journals.glob("*"))
    done = launch(tmp_path)
    assert done.returncode == 0
    assert "HIT" in done.stderr.splitlines()[0]
    assert {run.name: run.state for run in client.ask(ListRuns(limit=3))} == dict.fromkeys(runs, "succeeded")


def test_an_owner_killed_under_a_script_is_no_loss(client, tmp_path):
    text = SCRIPT.replace(
        'return "slow work"',
        'os.kill(int(open(os.environ["MAINSPRING_HOME"] + "/owner.lock").read()), signal.SIGKILL); return "slow work"',
    )
    (tmp_path / "flow.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "flow.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    runs = client.ask(ListRuns())
    assert sorted((run.name, run.state) for run in runs) == [
        ("first", "succeeded"),
        ("second", "succeeded"),
        ("train", "succeeded"),
    ]
    assert runs[0].metrics == {"loss": 99.0}
