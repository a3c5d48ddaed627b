"""Attempts on a machine that has neither the home's folder nor its socket: they come home through a server.

The server's certificate is pinned, and what is shown there is the token of the one attempt.
"""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.support.laptops import Laptop
from tests.support.oncepool import place_engine
from tests.support.servers import UpProcess
from tests.support.travellers import double

import mainspring as ms
from mainspring.domain import access, messages
from mainspring.domain.errors import MainspringError
from mainspring.domain.tracking import GetSeries, Report
from mainspring.sdk.client import get_client
from mainspring.sdk.remote import RemoteClient
from mainspring.testing.engines import until, wait, wait_for_file

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def elsewhere(home, tmp_path, monkeypatch):
    """The home's runs are executed by `once` with a folder of its own, and with a server to come home through."""
    place_engine(tmp_path / "packages", monkeypatch, ROOT)
    monkeypatch.setenv("MAINSPRING_REMOTE_CODE", "1")
    return home


@pytest.fixture
def laptop(elsewhere, client, tmp_path, monkeypatch):
    listener = UpProcess("--host", "127.0.0.1", "--tls")
    made = Laptop(client, tmp_path / "laptop", monkeypatch, role="runner")
    told = [listener.url, listener.told["fingerprint"], str(tmp_path / "elsewhere")]
    (elsewhere.root / "server.txt").write_text("\n".join(told))
    made.listener = listener
    yield made
    made.end()
    listener.end()


@ms.step
def learn(folder: str) -> dict:
    """Log, print, and show what a process of an attempt may know."""
    for loss in (3.0, 2.0, 1.0):
        ms.log(loss=loss)
    print("learned")
    Path(folder, "token").write_text(os.environ["MAINSPRING_TOKEN"])
    return {"home": os.environ["MAINSPRING_HOME"], "attempt": "MAINSPRING_ATTEMPT" in os.environ}


@ms.step
def stand(folder: str) -> str:
    """Log a point, leave the token, and wait until a file is there."""
    ms.log(at=1.0)
    Path(folder, "token").write_text(os.environ["MAINSPRING_TOKEN"])
    Path(folder, "ready").write_text(str(os.getpid()))
    while not Path(folder, "stop").exists():
        time.sleep(0.01)
    return "done"


@ms.step
def measure(content: bytes) -> int:
    """Take an argument that is stored apart."""
    return len(content)


def latest(name):
    return get_client().ask(messages.ListRuns(name=name, limit=1))[0]


def code_of(client, command, **how):
    try:
        client.ask(command, **how)
    except MainspringError as error:
        return error.code
    return ""


def test_an_attempt_comes_home_through_the_server(laptop, client, tmp_path):
    told = learn.submit(str(tmp_path)).result()
    assert told == {"home": str(tmp_path / "elsewhere"), "attempt": False}
    run = latest("learn")
    assert run.principal == "user:anna"
    assert get_client().ask(messages.GetLogs(run_id=run.id)).text == "learned\n"
    assert [point[-1] for point in get_client().ask(GetSeries(run_id=run.id, key="loss"))] == [3.0, 2.0, 1.0]
    assert [future.result() for future in double.map([1, 2])] == [2, 4]
    assert measure.submit(os.urandom(300_000)).result() == 300_000
    assert not (tmp_path / "elsewhere" / "record.db").exists()
    assert not list((tmp_path / "elsewhere").rglob("*.journal")), "what was told is not kept"
    token = (tmp_path / "token").read_text()
    server = laptop.listener
    ended = RemoteClient(server.url, token, server.told["fingerprint"], project="air")
    assert code_of(ended, messages.GetRun(id=run.id)) == "AUTH-003"
    assert token.removeprefix("msw_") not in get_client().ask(messages.GetLogs(run_id=run.id)).text


def test_the_token_of_an_attempt_opens_what_is_its_own_and_no_more(laptop, client, tmp_path):
    (tmp_path / "other").mkdir()
    future, other = stand.submit(str(tmp_path)), stand.submit(str(tmp_path / "other"))
    wait_for_file(tmp_path / "ready")
    wait_for_file(tmp_path / "other" / "ready")
    token = (tmp_path / "token").read_text()
    server = laptop.listener
    worker = RemoteClient(server.url, token, server.told["fingerprint"], project="air")
    (mine,) = [run for run in get_client().ask(messages.ListRuns(name="stand")) if run.id in token]
    (theirs,) = [run for run in get_client().ask(messages.ListRuns(name="stand")) if run.id not in token]
    assert worker.ask(messages.Heartbeat(leases=[(mine.id, 1, mine.fence)])).orders == {mine.id: "keep"}
    shown = (tmp_path / "other" / "token").read_text().removeprefix("msw_")
    refused = {
        "its lease": messages.LeaseRun(worker_id="x", pid=1, token=shown),
        "its heartbeat": messages.Heartbeat(leases=[(theirs.id, 1, theirs.fence)]),
        "its report": Report(run_id=theirs.id, attempt=1, fence=theirs.fence, offset=0, params={"a": 1}),
        "its end": messages.FinishRun(run_id=theirs.id, attempt=1, fence=theirs.fence, state="failed"),
        "a cancel": messages.CancelRuns(ids=[theirs.id]),
        "users": access.AddUser(name="eve", role="admin"),
        "the audit": access.ListAudit(),
        "a token": access.IssueToken(principal="anna"),
    }
    told = {what: code_of(worker, command) for what, command in refused.items()}
    assert set(told.values()) <= {"AUTH-005", "AUTH-007", "AUTH-010"}, told
    assert code_of(worker, messages.GetRun(id=mine.id), project="rail") == "AUTH-007"
    forged = f"{token[:-4]}0000"
    assert code_of(worker, messages.GetRun(id=mine.id), token=forged) == "AUTH-002"
    (tmp_path / "other" / "stop").touch()
    (tmp_path / "stop").touch()
    assert (future.result(), other.result()) == ("done", "done")
    late = messages.FinishRun(run_id=mine.id, attempt=1, fence=mine.fence, state="failed")
    assert code_of(worker, late) == "AUTH-003", "a replay after the end"
    assert get_client().ask(messages.GetRun(id=mine.id)).state == "succeeded"


def test_an_attempt_that_was_given_up_is_told_nothing_and_tells_nothing(laptop, client, tmp_path):
    future = stand.submit(str(tmp_path))
    pid = int(wait_for_file(tmp_path / "ready"))
    token = (tmp_path / "token").read_text()
    for name in ("token", "ready"):
        (tmp_path / name).unlink()
    os.kill(pid, signal.SIGKILL)
    wait_for_file(tmp_path / "ready")
    run = latest("stand")
    assert (run.state, run.attempt) == ("running", 2)
    for _ in until():  # the guard of the first brought what its worker could not send any more
        if get_client().ask(GetSeries(run_id=run.id, key="at")):
            break
    server = laptop.listener
    first = RemoteClient(server.url, token, server.told["fingerprint"], project="air")
    late = messages.FinishRun(run_id=run.id, attempt=1, fence=run.fence - 1, state="failed")
    assert code_of(first, late) == "AUTH-002"
    second = RemoteClient(server.url, wait_for_file(tmp_path / "token"), server.told["fingerprint"], project="air")
    assert code_of(second, late) == "RUN-005"
    (tmp_path / "stop").touch()
    assert future.result() == "done"
    assert latest("stand").attempt == 2


def test_no_attempt_trusts_another_certificate(laptop, client, tmp_path):
    told = (client.home.root / "server.txt").read_text().splitlines()
    (client.home.root / "server.txt").write_text("\n".join([told[0], "0" * 64, told[2]]))
    run = ms.run(double, 21)
    (ended,) = wait(get_client(), run)
    assert ended.state == "failed"
    assert (ended.problem.code, ended.attempt) == ("RUN-008", 4)
    text = get_client().ask(messages.GetLogs(run_id=run.id)).text
    assert "API-015" in text
    assert "exit code 75" in ended.problem.what
