"""Sessions: shells and notebooks that hold what they asked for, until nobody works in them any more."""

import contextlib
import os
import re
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tests.support.shapes import check_shape
from tests.support.terminals import Terminal

from mainspring.cli.main import _run
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.messages import CancelRuns, GetLogs, ListRuns
from mainspring.domain.pools import AddPool, ListNodes
from mainspring.domain.quotas import Amounts, SetQuota
from mainspring.sdk.idling import Watch, measure_cpu
from mainspring.sdk.sessions import find_entrance, start_session
from mainspring.testing.engines import get, lives, until, wait


@pytest.fixture
def folder(client, tmp_path, monkeypatch):
    """The folder of the caller, whose home has a pool with a device."""
    monkeypatch.setenv("SHELL", "/bin/sh")  # of the owner, which is about to begin
    monkeypatch.chdir(tmp_path)
    client.ask(AddPool(name="lab", url="local://lab?cpus=2&memory=8GB&gpus=1"))
    return tmp_path


def find_session(client):
    for _ in until():
        found = client.ask(ListRuns(kind="session"))
        if found and found[0].state == "running":
            break
    return found[0]


def test_a_shell_has_what_its_run_asks_for_and_ends_with_it(folder, client):
    terminal = Terminal("shell", "--gpus", "1", "--pool", "lab")
    terminal.wait_for(r"a shell on")
    run = find_session(client)
    (node,) = client.ask(ListNodes(pool="lab"))
    assert (run.name, run.place, node.held) == ("shell", "lab", 1)
    terminal.type("echo got-$CUDA_VISIBLE_DEVICES-$((6*7))-$MAINSPRING_RUN; pwd; stty size\n")
    terminal.wait_for(rf"got-0-42-{run.id}\s+{folder}\s+24 80")
    terminal.type("exit 3\n")
    assert terminal.end() == 0
    (ended,) = wait(client, run)
    assert ended.state == "succeeded"  # what the last command ended with is no failure of the session


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("by", ["pipe", "file"])
def test_what_is_no_terminal_is_read_to_its_end(folder, client, by):
    (folder / "words").write_text("echo $((6*7)) >answer\n")
    words = [sys.executable, "-m", "mainspring", "shell", "--json"]
    if by == "pipe":
        done = subprocess.run(words, input=(folder / "words").read_text(), capture_output=True, text=True, check=True)
    else:
        with (folder / "words").open() as file:
            done = subprocess.run(words, stdin=file, capture_output=True, text=True, check=True)
    told = check_shape("mainspring shell", done.stdout)  # what the shell showed stands on standard error
    assert (told["kind"], (folder / "answer").read_text()) == ("session", "42\n")
    assert "echo" in done.stderr
    (run,) = client.ask(ListRuns(kind="session"))
    assert wait(client, run)[0].state == "succeeded"


def test_who_goes_away_finds_the_shell_as_it_was(folder, client):
    first = Terminal("shell")
    first.wait_for("a shell on")
    run = find_session(client)
    first.type("word=kept; echo is-$word\n")
    first.wait_for("is-kept")
    first.hang_up()
    assert stat.S_IMODE(find_entrance(run).stat().st_mode) == 0o600
    again = Terminal("shell", "--attach", run.id)
    again.wait_for("a shell on")
    again.type("echo still-$word\n")
    again.wait_for("still-kept")
    assert get(client, run).state == "running"
    client.ask(CancelRuns([run.id]))
    again.end()
    (ended,) = wait(client, run)
    assert ended.state == "cancelled"
    assert not find_entrance(run).exists()


def test_a_cancel_ends_all_that_a_shell_has_started(folder, client):
    terminal = Terminal("shell")
    terminal.wait_for("a shell on")
    run = find_session(client)
    terminal.type("sleep 600 & echo $! >pid; trap '' HUP; sleep 600\n")
    for _ in until():
        if (folder / "pid").exists() and (folder / "pid").read_text().strip():
            break
    pid = int((folder / "pid").read_text())
    client.ask(CancelRuns([run.id]))
    wait(client, run)
    for _ in until():
        if not lives(pid):
            break
    terminal.end()


@pytest.mark.usefixtures("folder")
def test_a_session_in_which_nobody_works_is_ended(client):
    run = start_session("shell", idle=0.5)
    (ended,) = wait(client, run)
    assert (ended.state, ended.name) == ("succeeded", "shell")
    assert ended.params == {"idle_s": 0.5}


def test_what_works_is_not_idle_and_what_is_typed_counts():
    watch = Watch(60.0, 0.0, 0.0)
    assert not watch.is_over(59.0, 0.0)
    watch.note(59.0)
    assert not watch.is_over(118.0, 0.1)
    assert not watch.is_over(178.0, 30.0)  # half a core since the last look
    assert not watch.is_over(237.0, 30.0)
    assert not watch.is_over(237.5, 1.0)  # what had been used went with the process that used it
    assert watch.is_over(238.0, 1.0)
    assert measure_cpu(os.getpid()) > 0
    assert measure_cpu(2**22 + 1) == 0


@pytest.mark.usefixtures("folder")
def test_no_more_sessions_than_were_agreed(client, capfd):
    client.ask(SetQuota(tenant="default", most=Amounts(sessions=1)))
    first = start_session("shell")
    with pytest.raises(Conflict, match="QUOTA-006: default has 1 of 1 session"):
        start_session("shell")
    client.ask(CancelRuns([first.id]))
    second = start_session("shell")  # a run of any other kind is no session, and one that ended counts no more
    assert _run(["quotas", "set", "default", "--limit", "gpus=1,sessions=2"]) == 0
    assert "1 gpus, 2 sessions" in capfd.readouterr().out
    third = start_session("shell")
    client.ask(CancelRuns([second.id, third.id]))
    with pytest.raises(Invalid, match="QUOTA-002: default: sessions are limited, and not guaranteed"):
        client.ask(SetQuota(tenant="default", guarantee=Amounts(sessions=1)))


@pytest.mark.usefixtures("folder")
def test_what_nobody_could_reach_is_refused(client, capfd, monkeypatch):
    monkeypatch.setattr("mainspring.sdk.notebooks._PROGRAMS", ("no_such_jupyter",))
    with pytest.raises(NotFound, match="SESSION-001: Jupyter is not installed for") as missing:
        start_session("notebook")
    assert missing.value.fix.startswith("pip install jupyterlab")
    with pytest.raises(Invalid, match="RUN-003"):
        start_session("shell", idle="soon")
    with pytest.raises(NotFound, match="POOL-001"):
        start_session("shell", pool="attic")
    ended = wait(client, start_session("shell", idle=0.1))[0]
    assert _run(["shell", "--attach", ended.id]) != 0
    assert "SESSION-004" in capfd.readouterr().err


def list_words():
    """Return with which words the processes of this machine were started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return found


def answers(url):
    try:
        urllib.request.urlopen(url).close()
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("folder")
def test_a_notebook_lets_in_who_has_its_address_alone_and_ends_when_it_is_idle(client, capfd):
    pytest.importorskip("jupyter_server")
    pytest.importorskip("ipykernel")
    assert _run(["notebook", "--pool", "lab", "--gpus", "1", "--idle", "1h"]) == 0
    url = re.search(r"http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{64}", capfd.readouterr().out)[0]
    run = find_session(client)
    status = url.replace("/?", "/api/status?")
    assert answers(status)
    assert not answers(status.partition("?")[0])
    token = url.partition("token=")[2]
    assert _run(["notebook", "--attach", run.id, "--json"]) == 0
    assert check_shape("mainspring notebook", capfd.readouterr().out)["id"] == run.id
    assert token not in client.ask(GetLogs(run.id)).text
    assert stat.S_IMODE(find_entrance(run).stat().st_mode) == 0o600
    assert not any(token in words for words in list_words())
    client.ask(CancelRuns([run.id]))
    assert wait(client, run)[0].state == "cancelled"
    for _ in until():
        if not answers(status):
            break
    (idle,) = wait(client, start_session("notebook", idle=2))
    assert idle.state == "succeeded"
