"""The engine ssh:// against a real server of OpenSSH on loopback."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.oncepool import place_engine
from tests.support.sshd import VARIABLE, SshServer, is_installed

from mainspring.compute.adapters.ssh import SshEngine
from mainspring.compute.engine import Spec
from mainspring.compute.keeper import MOST_TEXT_BYTES
from mainspring.domain.errors import Unavailable
from mainspring.domain.messages import GetLogs
from mainspring.domain.pools import ListNodes
from mainspring.domain.records import Resources
from mainspring.store.homes import make_folders
from mainspring.testing import programs
from mainspring.testing.engines import EngineContract, lives, problem_of, submit, until, wait, wait_for_file

pytestmark = pytest.mark.engines
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def server(tmp_path):
    if not is_installed():
        assert os.environ.get("ENGINES") != "all", "there is no sshd"
        pytest.skip("there is no sshd: apt install openssh-server openssh-client")
    made = SshServer(tmp_path / "sshd", ROOT)
    yield made
    made.end()


@pytest.fixture
def pool(server, home, tmp_path, monkeypatch):
    """The home's runs are executed there, with the home's folder shared."""
    monkeypatch.setenv(VARIABLE, server.url(home=str(home.root)))
    place_engine(tmp_path / "packages", monkeypatch, ROOT, "tests.support.sshd:open_engine")
    return home


@pytest.fixture
def client(pool, request):
    del pool
    made = request.getfixturevalue("client")
    for _ in until():  # the owner has heard what the machine has
        if made.ask(ListNodes()):
            break
    return made


def open_pool(url, home):
    make_folders(home)
    return SshEngine(url, home)


def await_machine(engine):
    for _ in until():
        with contextlib.suppress(Unavailable):  # it has not been asked again since it was down
            if engine.capacity():
                return


def await_problem(engine):
    for _ in until():
        try:
            engine.capacity()
        except Unavailable as error:
            return f"{error.code}: {error.what}"
    return None


@pytest.fixture
def engine(server, home):
    found = open_pool(server.url(home=str(home.root)), home)
    await_machine(found)
    yield found
    found.close()


class TestSshEngine(EngineContract):
    def fill(self, client):
        return Resources(cpus=float(len(os.sched_getaffinity(0))))


def shout(most):
    """Print without end, as far as it is asked; then say so."""
    line = b"x" * 65535 + b"\n"
    for _ in range(most // len(line) + 1):
        os.write(1, line)


def leave_daemon(path):
    """Make a daemon of the kind that no process group holds."""
    words = "import os,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)"
    write = f"open({path!r},'w').write(str(os.getpid())); time.sleep(600)"
    subprocess.run([sys.executable, "-c", f"{words}; {write}"], check=True)
    wait_for_file(Path(path))
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def test_output_without_end_is_bounded_and_the_run_ends(client):
    (run,) = wait(client, submit(client, shout, MOST_TEXT_BYTES + 1_000_000))
    assert run.state == "succeeded", run.problem
    text = client.home.logs / "runs" / f"{run.id}-1.log"
    for _ in until():
        if text.exists() and text.stat().st_size > MOST_TEXT_BYTES:
            break
    assert text.stat().st_size < MOST_TEXT_BYTES + 1000
    assert b"more than 64 MiB were printed" in text.read_bytes()[-200:]


def test_a_daemon_ends_also_when_the_guard_is_killed(client, tmp_path):
    run = submit(client, leave_daemon, str(tmp_path / "daemon"))
    daemon = int(wait_for_file(tmp_path / "daemon"))
    (ended,) = wait(client, run)
    assert problem_of(ended)[0] == "RUN-008"
    for _ in until():
        if not lives(daemon):
            break


def test_a_server_that_is_down_is_told_and_what_runs_goes_on(client, server, tmp_path):
    stop, ready = tmp_path / "stop", tmp_path / "ready"
    run = submit(client, programs.wait_for, str(stop), str(ready))
    pid = int(wait_for_file(ready))
    server.end()
    engine = open_pool(os.environ[VARIABLE], client.home)
    try:
        assert "127.0.0.1" in await_problem(engine)
        assert lives(pid)
        stop.touch()
        server.start()
        await_machine(engine)
    finally:
        engine.close()
    (ended,) = wait(client, run)
    assert (ended.state, ended.attempt) == ("succeeded", 1)
    assert client.ask(GetLogs(run_id=run.id)).ended


def test_what_keeps_a_machine_from_being_used_is_one_clear_line(server, home, tmp_path):
    shared = str(home.root)
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    server.know((server.folder / "user.pub").read_text())
    engine = open_pool(server.url(home=shared, folder=str(tmp_path / "other")), home)
    try:
        assert "Host key verification failed" in await_problem(engine)
        assert not (tmp_path / "other").exists()
    finally:
        engine.close()
    server.know((server.folder / "host.pub").read_text())
    cases = {
        server.url(home=shared, python="/nowhere/python3"): "127.0.0.1 has no /nowhere/python3",
        server.url(home=shared, python=str(bare)): "cannot import mainspring",
    }
    for url, told in cases.items():
        engine = open_pool(url, home)
        try:
            what = await_problem(engine)
            assert told in what
            assert what.startswith("WORK-013: ")
            assert "\n" not in what
        finally:
            engine.close()


def test_a_command_of_a_hostile_path_is_one_word(server, home, tmp_path):
    folder = tmp_path / "a b; touch broken $(touch broken) 'c"
    engine = open_pool(server.url(home=str(home.root), folder=str(folder)), home)
    try:
        await_machine(engine)
        assert [each.name for each in tmp_path.iterdir() if each.name == "broken"] == []
        assert folder.is_dir()
    finally:
        engine.close()


def test_code_that_does_not_travel_is_refused_where_the_home_is_not_shared(server, home):
    engine = open_pool(server.url(server="https://127.0.0.1:1", certificate="0" * 64), home)
    try:
        await_machine(engine)
        (answer,) = engine.submit([Spec("0" * 32, 1, 1, "no token", folder="/here")])
        assert "its code does not travel" in answer.reason
        assert not engine.describe().shares_blobs
    finally:
        engine.close()
