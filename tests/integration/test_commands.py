"""Plain commands as runs: placed, logged, cancelled as a whole, and what they log in the record."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import mainspring as ms
from mainspring.cli.main import _run
from mainspring.domain.errors import Failed, Invalid
from mainspring.domain.messages import CancelRuns, GetLogs, ListRuns
from mainspring.domain.pools import AddPool
from mainspring.domain.retries import RetryRuns
from mainspring.sdk.commands import start_command
from mainspring.testing.engines import get, lives, until, wait, wait_for_file

LOGGING = """
import mainspring as ms

@ms.step
def twice(number: int) -> int:
    return 2 * number

ms.log(loss=0.5)
ms.log(loss=0.25, note="converged")
ms.log_params(rate=twice(4))
"""

FAMILY = """
import os, pathlib, signal, subprocess, sys, time

def clean_up(*_):
    pathlib.Path("cleaned").touch()
    sys.exit(0)

signal.signal(signal.SIGTERM, clean_up)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("pids.part").write_text(f"{os.getpid()} {child.pid}")
os.rename("pids.part", "pids")
time.sleep(600)
"""


@pytest.fixture
def folder(client, tmp_path, monkeypatch):
    """The folder of the caller, whose home has an owner."""
    del client
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("end", "status"), [("", 0), ("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
@pytest.mark.usefixtures("folder")
def test_a_command_is_followed_and_its_status_is_that_of_the_verb(client, capfd, end, status):
    program = f"print('all', 'well', flush=True); {end}"
    assert _run(["run", "-w", "--name", "trial", "--", sys.executable, "-c", program]) == status
    assert capfd.readouterr().out == "all well\n"
    (run,) = client.ask(ListRuns(kind="command"))
    assert (run.name, run.state, run.place) == ("trial", "succeeded" if status == 0 else "failed", "local")
    assert run.params["command"] == [sys.executable, "-c", program]
    if status:
        assert (run.problem.code, run.problem.context["status"]) == ("RUN-024", status)


def test_without_waiting_it_is_queued_and_told(folder, client, capfd):
    assert _run(["run", "--json", "--", "pwd"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["kind"] == "command"
    (run,) = wait(client, get_run(client, told["id"]))
    assert client.ask(GetLogs(run_id=run.id)).text == f"{folder}\n"  # it ran where its caller stood


def get_run(client, run_id):
    return next(run for run in client.ask(ListRuns(kind="command")) if run.id == run_id)


def test_what_a_command_logs_and_runs_belongs_to_its_run(folder, client):
    (folder / "train.py").write_text(LOGGING)
    run = ms.run(["python", "train.py"], wait=True)
    assert run.state == "succeeded", run.logs()
    assert (run.metrics["loss"], run.params["rate"]) == (0.25, 8)
    assert run.artifacts["note"].load() == "converged"
    (below,) = client.ask(ListRuns(parent_id=run.id))
    assert below.name == "twice"


def test_a_command_finds_its_run_and_its_gang_of_one(folder):
    names = ("MAINSPRING_RUN", "RANK", "WORLD_SIZE", "MASTER_ADDR")
    program = f"import os; print(*(os.environ[name] for name in {names}), int(os.environ['MASTER_PORT']) > 0)"
    run = ms.run(["python", "-c", program], wait=True)
    assert run.logs() == f"{run.id} 0 1 127.0.0.1 True\n"


def test_the_word_to_end_reaches_all_of_a_command_and_is_waited_for(folder, client):
    (folder / "family.py").write_text(FAMILY)
    run = start_command([sys.executable, "family.py"])
    pids = [int(each) for each in wait_for_file(folder / "pids").split()]
    client.ask(CancelRuns([run.id]))
    assert wait(client, run)[0].state == "cancelled"
    for _ in until():
        if not any(map(lives, pids)):
            break
    assert (folder / "cleaned").exists()


def test_an_interrupt_of_who_follows_it_cancels_it(folder, client):
    (folder / "family.py").write_text(FAMILY)
    words = [sys.executable, "-m", "mainspring", "run", "-w", "--", sys.executable, "family.py"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as following:
        pids = [int(each) for each in wait_for_file(folder / "pids").split()]
        following.send_signal(signal.SIGINT)
        assert "interrupted" in following.communicate(timeout=60)[1]
    assert following.returncode == 130
    (run,) = client.ask(ListRuns(kind="command"))
    assert (run.state, run.reason) == ("cancelled", "interrupted where it was started")
    for _ in until():
        if not any(map(lives, pids)):
            break


@pytest.mark.usefixtures("folder")
def test_a_command_that_failed_is_queued_again(client):
    (failed,) = wait(client, start_command(["false"], name="gate"))
    (again,) = client.ask(RetryRuns([failed.id]))
    (again,) = wait(client, again)
    assert (again.kind, again.name, again.tags["retries"]) == ("command", "gate", failed.id)
    assert again.problem.code == "RUN-024"


def test_a_command_outlives_its_owner(folder, client):
    client.ask(AddPool(name="lab", url="local://lab?cpus=1"))
    program = "import pathlib, time; print('on', flush=True); pathlib.Path('begun').write_text('1')\n"
    program += "while not pathlib.Path('go').exists(): time.sleep(0.02)\nprint('over')"
    run = start_command(["python", "-c", program], pool="lab")
    wait_for_file(folder / "begun")
    owner = int(client.home.lock.read_text())
    os.kill(owner, signal.SIGKILL)
    while lives(owner):
        time.sleep(0.01)
    assert get(client, run).state == "running"
    (folder / "go").touch()
    (ended,) = wait(client, run)
    assert (ended.state, ended.attempt, ended.place) == ("succeeded", 1, "lab")
    assert client.ask(GetLogs(run_id=run.id)).text == "on\nover\n"


def test_a_command_finds_the_packages_of_its_file(folder, wheels):
    del wheels
    (folder / "needs.txt").write_text("# words\ntinywords==2.0  # the newer one\n")
    program = "import tinywords; raise SystemExit(tinywords.say() != 'two')"
    assert _run(["run", "--env", "needs.txt", "-w", "--", "python", "-c", program]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--nodes", "2", "--", "true"], "RUN-009: command true can never start: it asks 2 nodes of one pool"),
        (["run", "--cpus", "5000", "--", "true"], "RUN-009: command true can never start"),
        (["run", "--nodes", "0", "--", "true"], "STEP-008: nodes=0"),
        (["run", "--cpus", "0", "--", "true"], "STEP-008: cpus=0.0"),
        (["run", "--gpus", "-1", "--", "true"], "STEP-008: gpus=-1.0"),
        (["run", "--memory", "much", "--", "true"], "RUN-004"),
        (["run", "--pool", "attic", "--", "true"], "there is no pool 'attic'"),
        (["run", "-w", "--", "/no/such/program"], "RUN-012: '/no/such/program' cannot be started"),
        (["run", "--", ""], "STEP-004: [''] is no command"),
        (["run", "--"], "CLI-001: there is no command behind --"),
        (["run"], "CLI-001: Missing argument 'TARGET'"),
        (["run", "--gpus", "1", "train.py"], "CLI-001: --gpus goes with a command"),
        (["run", "train.py", "--", "true"], "CLI-001: a command behind -- takes the place of TARGET"),
    ],
)
def test_what_cannot_be_run_says_why(folder, capfd, words, said):
    assert _run(words) != 0
    assert said in capfd.readouterr().err


def test_a_failed_command_raises_for_who_asks_for_its_result(folder):
    with pytest.raises(Failed, match="RUN-024: false ended with status 1"):
        ms.run(["false"]).result(60)
    with pytest.raises(Invalid, match="STEP-004"):
        ms.run([])
