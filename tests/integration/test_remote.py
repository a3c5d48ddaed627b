"""The SDK at a server: the same client over HTTPS, a certificate that is checked, versions, streams."""

import json
import os
import socket
import threading
import time

import httpx
import pytest
from tests.support.servers import UpProcess

import mainspring as ms
from mainspring.domain import access, messages
from mainspring.domain.errors import Denied, Invalid, NotFound, Unavailable
from mainspring.sdk.client import get_client
from mainspring.sdk.https import Patience
from mainspring.sdk.remote import RemoteClient
from mainspring.security.tokens import home_token

HASTE = Patience(connect_s=1.0, silence_s=0.5, total_s=0.5)
VARIABLES = ("MAINSPRING_URL", "MAINSPRING_TOKEN", "MAINSPRING_CERTIFICATE", "MAINSPRING_PROJECT")


@pytest.fixture
def server(client):
    up = UpProcess()
    yield up
    up.end()


@pytest.fixture
def chosen(monkeypatch):
    """What `ms.connect` writes into the environment is taken back."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")


def test_the_sdk_reads_and_writes_at_a_server(server, client, chosen, tmp_path, monkeypatch):
    client.ask(access.AddProject(name="air"))
    client.ask(access.AddUser(name="anna", role="editor"), project="air")
    token = client.ask(access.IssueToken(principal="anna")).token
    ms.connect(server.url, token=token, project="air")
    monkeypatch.setenv("MAINSPRING_HOME", str(tmp_path / "elsewhere"))
    run = get_client().ask(messages.BeginRun(kind="step", name="fit", params={"rate": 0.1})).run
    assert (run.project, run.principal) == ("air", "user:anna")
    assert [each.id for each in ms.runs("params.rate = 0.1")] == [run.id]
    assert client.ask(messages.GetRun(id=run.id), project="air").name == "fit"
    with pytest.raises(NotFound) as caught:
        get_client().ask(messages.GetRun(id="feed"))
    assert caught.value.code == "RUN-001"
    with pytest.raises(Denied) as caught:
        get_client().ask(access.AddUser(name="eve"))
    assert caught.value.code in {"AUTH-005", "AUTH-007"}
    with pytest.raises(Invalid) as caught:
        get_client().home_seal  # noqa: B018 - it refuses
    assert caught.value.code == "API-018"
    assert not (tmp_path / "elsewhere" / "record.db").exists()


def test_a_repeated_key_is_answered_as_it_was(server, client):
    remote = RemoteClient(server.url, home_token(client.home))
    first = remote.ask(messages.BeginRun(kind="step", name="fit"), "k")
    assert remote.ask(messages.BeginRun(kind="step", name="fit"), "k") == first
    with pytest.raises(Exception, match="API-011"):
        remote.ask(messages.BeginRun(kind="step", name="other"), "k")
    remote.close()


def test_many_wait_at_once_and_nobody_else_does(server, client):
    """More requests wait than a server has threads; another is answered meanwhile."""
    remote = RemoteClient(server.url, home_token(client.home))
    run = remote.ask(messages.BeginRun(kind="step", name="slow")).run
    states = []

    def wait():
        each = RemoteClient(server.url, home_token(client.home))
        states.append(each.ask(messages.WaitRuns(ids=[run.id], wait_s=30.0))[0].state)
        each.close()

    threads = [threading.Thread(target=wait) for _ in range(60)]
    for thread in threads:
        thread.start()
    remote.ask(messages.GetStatus())
    remote.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=run.fence, state="succeeded"))
    for thread in threads:
        thread.join()
    assert states == ["succeeded"] * 60
    remote.close()


def test_a_server_that_is_not_there_is_named_in_time():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unavailable) as caught:
            RemoteClient(url, "x", patience=HASTE).ask(messages.GetStatus())
    assert caught.value.code == "API-014"


def test_a_half_open_server_is_given_up(client):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable) as caught:
            RemoteClient(url, "x", patience=HASTE).ask(messages.GetStatus())
    assert caught.value.code == "API-014"


def test_certificates(client, home):
    up = UpProcess("--tls")
    try:
        token = home_token(home)
        for certificate in (up.told["fingerprint"], up.told["fingerprint"].replace(":", "").lower()):
            assert RemoteClient(up.url, token, certificate).ask(messages.GetStatus()).pid
        assert RemoteClient(up.url, token, str(home.token.parent / "tls.crt")).ask(messages.GetStatus()).pid
        for certificate in ("", "0" * 64, "AA:" * 31 + "AA", "no such file", str(home.token)):
            with pytest.raises(Denied) as caught:
                RemoteClient(up.url, token, certificate).ask(messages.GetStatus())
            assert caught.value.code == "API-015"
            assert token not in str(caught.value)
    finally:
        up.end()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://records.example:8430", "API-006"),
        ("https://", "HOME-017"),
        ("https://user:password@host", "HOME-017"),
        ("https://host:port", "HOME-017"),
        ("https://host/?x=1", "HOME-017"),
        ("ftp://host", "HOME-017"),
    ],
)
def test_addresses_that_are_none(url, code, chosen):
    with pytest.raises(Invalid) as caught:
        ms.connect(url, token="x")
    assert caught.value.code == code
    assert not os.environ["MAINSPRING_URL"]


def test_a_token_without_a_server(chosen, tmp_path):
    with pytest.raises(Invalid) as caught:
        ms.connect(str(tmp_path), token="x")
    assert caught.value.code == "HOME-017"


@pytest.mark.parametrize("version", ["0", "2", "99999", "-1", "x", ""])
def test_another_version_of_the_wire_is_told_both(server, client, version):
    headers = {
        "Authorization": f"Bearer {home_token(client.home)}",
        "Content-Type": "application/msgpack",
        "Mainspring-Protocol": version,
    }
    answer = httpx.post(f"{server.url}/api/v1/commands/GetStatus", content=b"\x81", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "API-013")
    if version.isdecimal():
        assert answer.json()["detail"] == f"the client speaks version {version} of the wire, this server 1"


def read_events(lines, count):
    found, event = [], {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name:
            event[name] = value
        elif not line and event:
            if "id" in event:
                found.append((int(event["id"]), event["event"], json.loads(event["data"])["subject"]))
            event = {}
        if len(found) == count:
            return found
    return found


def test_events_are_streamed_and_resumed(server, client):
    headers = {"Authorization": f"Bearer {home_token(client.home)}"}
    url = f"{server.url}/api/v1/events/stream"
    names = [f"made-{number}" for number in range(6)]
    for name in names[:3]:
        client.ask(access.AddProject(name=name))
        client.ask(messages.PutVersion(kind="dataset", name=name, digest="0" * 64, manifest={}))
    with httpx.stream("GET", url, headers=headers, timeout=20) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        first = read_events(lines, 3)
        for name in names[3:]:
            client.ask(messages.PutVersion(kind="dataset", name=name, digest="0" * 64, manifest={}))
        live = read_events(lines, 3)
    assert [subject.partition("@")[0] for _, _, subject in first + live] == names
    resumed = {**headers, "Last-Event-ID": str(first[1][0])}
    with httpx.stream("GET", url, headers=resumed, timeout=20) as stream:
        assert read_events(stream.iter_lines(), 4) == (first + live)[2:]
    for bad in ({"Last-Event-ID": "x"}, {"Last-Event-ID": "-1"}):
        assert httpx.get(url, headers={**headers, **bad}).json()["code"] == "API-003"
    assert httpx.get(url).status_code == 401


def test_a_stream_ends_with_its_token(server, client, monkeypatch):
    client.ask(access.AddUser(name="anna", role="viewer"))
    issued = client.ask(access.IssueToken(principal="anna"))
    headers = {"Authorization": f"Bearer {issued.token}"}
    with httpx.stream("GET", f"{server.url}/api/v1/events/stream", headers=headers, timeout=40) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": events"
        client.ask(access.RevokeToken(id=issued.record.id))
        client.ask(messages.PutVersion(kind="dataset", name="rows", digest="0" * 64, manifest={}))
        rest = "\n".join(lines)
    assert "event: end" in rest
    assert "AUTH-004" in rest
    assert "rows" not in rest


def test_a_server_ends_while_streams_are_open(server, client):
    headers = {"Authorization": f"Bearer {home_token(client.home)}"}
    with httpx.stream("GET", f"{server.url}/api/v1/events/stream", headers=headers, timeout=20) as stream:
        assert next(stream.iter_lines()) == ": events"
        begun = time.monotonic()
        server.end()
    assert server.process.returncode is not None
    assert time.monotonic() >= begun
