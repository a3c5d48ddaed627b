"""``mainspring login`` against a real server with a certificate of its own."""

import json
import os
import stat
import subprocess
import sys

import pytest
from tests.support.servers import UpProcess
from tests.support.shapes import check_shape

from mainspring.domain import access
from mainspring.domain.errors import Denied, Invalid
from mainspring.sdk.logins import Login, find_login, place_login, read_login, write_login

WHO = """
from mainspring.domain.access import WhoAmI
from mainspring.sdk.client import get_client
print(get_client().ask(WhoAmI()))
"""


@pytest.fixture
def server(client):
    """A server over the test's home, and a token of anna's."""
    client.ask(access.AddUser(name="anna", role="viewer"))
    process = UpProcess("--tls", "--host", "127.0.0.1")
    process.token = client.ask(access.IssueToken(principal="anna")).token
    yield process
    process.end()


@pytest.fixture
def shell(tmp_path):
    """The command line of somebody who has no home here."""

    def run(*words, given="", code=0, **environment):
        outside = {name: value for name, value in os.environ.items() if name != "MAINSPRING_HOME"}
        outside["XDG_STATE_HOME"] = str(tmp_path / "elsewhere")
        done = subprocess.run(
            [sys.executable, "-m", "mainspring", *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env={**outside, **environment},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_a_login_is_tried_kept_used_and_forgotten(server, shell, client):
    fingerprint = server.told["fingerprint"].replace(":", "").lower()
    refused = shell("login", server.url, given=server.token, code=4)
    assert "API-015" in refused.stderr
    assert f"--certificate {fingerprint}" in refused.stderr
    assert not place_login().exists()
    wrong = shell("login", server.url, "--certificate", "0" * 64, given=server.token, code=4)
    assert "API-015" in wrong.stderr
    unknown = f"msp_{'0' * 16}_{'0' * 64}"
    for given, code in ((unknown, "AUTH-002"), ("nonsense", "API-001")):
        answer = shell("login", server.url, "--certificate", fingerprint, given=given, code=4)
        assert code in answer.stderr
        assert given not in answer.stderr + answer.stdout
    assert not place_login().exists()
    done = shell("login", server.url, "--certificate", fingerprint, given=f"{server.token}\n")
    assert "user:anna" in done.stdout
    assert stat.S_IMODE(place_login().stat().st_mode) == 0o600
    client.ask(access.AddProject(name="rail"))
    assert json.loads(shell("projects", "--json").stdout)[0]["name"] == "default"
    names = {name: value for name, value in os.environ.items() if name != "MAINSPRING_HOME"}
    told = subprocess.run(
        [sys.executable, "-c", WHO], capture_output=True, text=True, check=True, timeout=60, env=names
    )
    assert "user:anna" in told.stdout
    logged_in = shell("login", server.url, "--certificate", fingerprint, "--json", given=server.token).stdout
    assert check_shape("mainspring login", logged_in)["principal"] == "user:anna"
    check_shape("mainspring logout", shell("logout", "--json").stdout)
    shell("login", server.url, "--certificate", fingerprint, given=server.token)
    assert "works at the home" in shell("logout").stdout
    assert "no login" in shell("logout").stdout


def test_the_environment_goes_before_the_login(monkeypatch):
    assert find_login() is None
    write_login(Login("https://a.example", "token a", "aa"))
    monkeypatch.setenv("MAINSPRING_HOME", "/somewhere")
    assert find_login() is None
    monkeypatch.setenv("MAINSPRING_URL", "https://a.example")
    assert find_login() == Login("https://a.example", "token a", "aa")
    monkeypatch.setenv("MAINSPRING_TOKEN", "another")
    assert find_login() == Login("https://a.example", "another", "aa")
    monkeypatch.setenv("MAINSPRING_URL", "https://b.example")
    assert find_login() == Login("https://b.example", "another"), "no token goes to another server"
    monkeypatch.delenv("MAINSPRING_URL")
    monkeypatch.delenv("MAINSPRING_HOME")
    assert find_login() == read_login()
    assert "token a" not in repr(read_login())


@pytest.mark.parametrize(
    ("content", "mode", "error", "code"),
    [(b"{", 0o600, Invalid, "API-026"), (b'{"url":"https://a","token":"t"}', 0o644, Denied, "HOME-008")],
)
def test_a_login_that_is_none_or_open_to_others_is_refused(content, mode, error, code):
    path = write_login(Login("https://a.example", "t"))
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(error) as caught:
        read_login()
    assert caught.value.code == code
