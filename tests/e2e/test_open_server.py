"""`mainspring up` beyond loopback: TLS with a printed fingerprint, a link that works once, refusals."""

import contextlib
import hashlib
import json
import signal
import socket
import ssl
import subprocess
import sys

import httpx
import pytest


@contextlib.contextmanager
def serve(last_line, *words):
    """Run `mainspring up`; yield what it prints up to a line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mainspring", "up", "--port", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        text = ""
        for line in process.stdout:
            text += line
            if line.startswith(last_line):
                break
        yield text
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


@contextlib.contextmanager
def up(*words):
    with serve("}", "--json", *words) as text:
        yield json.loads(text)


def test_what_it_says_to_try_works(client):
    with serve("try:", "--tls") as text:
        command = text.splitlines()[-1].removeprefix("try: ")
        done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout)["runs"] == {}, done.stderr


def test_a_certificate_of_the_homes_own_is_the_one_whose_fingerprint_is_printed(client, home):
    with up("--tls", "--host", "127.0.0.1") as told:
        port = int(told["url"].rpartition(":")[2])
        context = ssl.create_default_context(cafile=home.token.parent / "tls.crt")
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
        ):
            shown = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest().upper()
        assert told["fingerprint"].replace(":", "") == shown
        with httpx.Client(verify=context, base_url=told["url"]) as browser:
            assert browser.get("/api/v1/status").status_code == 401
            answer = browser.get(told["link"])
            assert "secure" in answer.headers["set-cookie"].lower()
            assert browser.get("/api/v1/status").status_code == 200
            assert browser.get(told["link"]).status_code == 401
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/health")
    assert (home.token.parent / "tls.key").stat().st_mode & 0o777 == 0o600
    with up("--tls") as again:
        assert again["fingerprint"] == told["fingerprint"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_open_address_without_protection_is_refused(client, host):
    done = subprocess.run(
        [sys.executable, "-m", "mainspring", "up", "--host", host],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "API-006" in done.stderr


def test_an_open_address_behind_a_proxy_lets_only_the_proxy_in(client):
    with up("--host", "0.0.0.0", "--behind-proxy", "192.0.2.0/24") as told:
        port = told["url"].rpartition(":")[2]
        assert httpx.get(f"http://127.0.0.1:{port}/health").json()["code"] == "API-005"
