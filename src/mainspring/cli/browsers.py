"""A sign-in with the browser of this machine, for the command line (RFC 8252, with PKCE)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import click
import msgspec

from mainspring.domain.errors import Denied, Unavailable
from mainspring.sdk.https import Patience, Server

PATIENCE_S = 300.0
"""So long it is waited for who signs in."""


def sign_in(url: str, certificate: str, patience_s: float = PATIENCE_S) -> str:
    """Have somebody sign in at the issuer of a server, and return the token that the server made.

    Parameters
    ----------
    url, certificate : str
        Of the server; nothing is sent to another one.
    patience_s : float
        How long to wait, in seconds.

    Raises
    ------
    Denied
        OIDC-007 when the server does not take the sign-in for one that was begun here.
    Unavailable
        OIDC-008 when nobody signed in in time, or the server has no issuer.
    """
    verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with _Waiting(state) as waiting:
        query = urlencode({"port": waiting.server_port, "state": state, "challenge": challenge})
        address = f"{url}/oidc/login?{query}"
        click.echo(f"sign in at {address}", err=True)
        webbrowser.open(address)
        until = time.monotonic() + patience_s
        while not waiting.code:
            waiting.timeout = until - time.monotonic()
            if waiting.timeout <= 0:
                raise Unavailable("OIDC-008", f"nobody signed in within {patience_s:.0f} s")
            waiting.handle_request()
    server = Server(url, certificate, Patience(total_s=10.0))
    try:
        shown = {"Mainspring-Code": waiting.code, "Mainspring-Verifier": verifier}
        answer = server.request("POST", "/oidc/program", None, shown)
    finally:
        server.close()
    if answer.status != 200:
        raise Denied("OIDC-007", f"the server answers {answer.status} to the code that the browser brought")
    token: str = msgspec.json.decode(answer.body)["token"]
    return token


class _Waiting(HTTPServer):
    """Waits on loopback for the browser that comes back with this sign-in's state."""

    def __init__(self, state: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.state = state
        self.code = ""


class _Answer(BaseHTTPRequestHandler):
    server: _Waiting
    timeout = 5.0

    def do_GET(self) -> None:
        """Take the code; whoever does not know the state is told nothing."""
        query = parse_qs(urlsplit(self.path).query)
        known = hmac.compare_digest(query.get("state", [""])[0], self.server.state)
        if known:
            self.server.code = query.get("code", [""])[0]
        text = b"You are signed in. Close this page.\n" if known else b"This is no way back of a sign-in.\n"
        self.send_response(200 if known else 400)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Print nothing: the address holds the code."""
