"""``mainspring login``: work at a server from now on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import msgspec

from mainspring.cli.printing import Verb, print_json, print_next, wants_json
from mainspring.domain.access import Identity, WhoAmI
from mainspring.domain.errors import Denied, Unavailable

if TYPE_CHECKING:
    from mainspring.sdk.logins import Login

_PATIENCE_S = 5.0


class LoggedIn(msgspec.Struct):
    """At which server, as whom, by which certificate, and the file that keeps it."""

    url: str
    principal: str
    certificate: str | None
    file: str


@click.command(
    "login",
    answer=LoggedIn,
    untried="it writes one file, and logout removes it",
    cls=Verb,
    epilog="Examples: mainspring login https://records.example:8430 · mainspring login https://... --browser",
)
@click.argument("url")
@click.option("--certificate", default="", help="SHA-256 of its certificate as `up` prints it, or an authority's file.")
@click.option("--browser", is_flag=True, help="Sign in at the server's issuer, in the browser of this machine.")
def command(url: str, certificate: str, browser: bool) -> None:
    """Keep a server and a token for it; the command line and Python work there from now on.

    The token is read from standard input or asked for, and never an argument: those are seen by
    others. With --browser the server makes one for whoever signs in, which holds for 30 days. A
    certificate that no authority vouches for is shown once, to be compared with what `mainspring up`
    prints at the other end, and then held to.
    """
    from mainspring.sdk.logins import Login, write_login

    pinned = certificate or _compare(url, _find_fingerprint(url))
    url = url.rstrip("/")
    login = Login(url, _sign_in(url, pinned) if browser else read_token(), pinned)
    principal = _ask_who(login)
    path = write_login(login)
    if wants_json():
        print_json(LoggedIn(login.url, principal, pinned or None, str(path)))
        return
    click.echo(f"works at {login.url} as {principal}, kept in {path}")
    print_next("mainspring status")


def read_token() -> str:
    """Return a token from standard input, or ask for it; it is never an argument, since others see those."""
    return (click.prompt("token", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read()).strip()


def _sign_in(url: str, certificate: str) -> str:
    from mainspring.cli.browsers import sign_in

    return sign_in(url, certificate)


def _compare(url: str, fingerprint: str) -> str:
    """Ask whether the certificate is the right one; only who sees the other end can tell."""
    if not fingerprint:
        return ""
    shown = f"{url} shows a certificate of SHA-256 {fingerprint}, for which no authority of this system vouches"
    again = f"compare it with what mainspring up prints there, then: mainspring login {url} --certificate {fingerprint}"
    if not sys.stdin.isatty():
        raise Denied("API-015", shown, fix=again)
    click.echo(shown, err=True)
    if not click.confirm("is it what `mainspring up` prints there", err=True):
        raise Denied("API-015", "the certificate was not confirmed", fix=again)
    return fingerprint


def _ask_who(login: Login) -> str:
    """Ask a server who a login is; whatever is wrong with it shows here."""
    from mainspring.sdk.https import Patience
    from mainspring.sdk.remote import RemoteClient

    client = RemoteClient(login.url, login.token, login.certificate, patience=Patience(total_s=_PATIENCE_S))
    try:
        told: Identity = client.ask(WhoAmI())
    finally:
        client.close()
    return told.principal


def _find_fingerprint(url: str) -> str:
    """Return the SHA-256 of a certificate that no authority of this system vouches for; else an empty text."""
    import hashlib
    import ssl

    from mainspring.sdk.https import Patience, Server, read_address

    address = read_address(url)
    if not address.secure:
        return ""
    server = Server(url, "", Patience(total_s=_PATIENCE_S))
    try:
        server.request("GET", "/api/v1/status", None, {})
    except Denied:
        pass
    else:
        return ""
    finally:
        server.close()
    try:
        shown = ssl.get_server_certificate((address.host, address.port), timeout=_PATIENCE_S)
    except OSError as fault:
        raise Unavailable("API-014", f"{address.host}:{address.port}: {fault}") from None
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown)).hexdigest()
