"""``mainspring up``: the owner plus HTTP, until Ctrl-C."""

from __future__ import annotations

import ipaddress
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from mainspring.cli.addresses import leave_note, name_user
from mainspring.cli.loopback import configure, listen
from mainspring.cli.printing import Verb, print_json, wants_json
from mainspring.domain.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from mainspring.domain.home import Home

_HOST = "127.0.0.1"


class Address(msgspec.Struct):
    """Where the record answers, the file of its token, a link that works once, the certificate's SHA-256."""

    url: str
    token_file: str
    link: str
    fingerprint: str | None


@click.command(
    "up",
    answer=Address,
    untried="it serves, and changes nothing",
    cls=Verb,
    epilog="Examples: mainspring up · mainspring up --port 0 · mainspring up --host :: --tls",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8430, show_default=True, help="0 takes a free one.")
@click.option("--host", default=_HOST, show_default=True, help="Address to listen at.")
@click.option("--name", "names", multiple=True, help="Host name under which it may be asked, beside the address.")
@click.option("--tls", is_flag=True, help="TLS with a certificate of the home's own; its fingerprint is printed.")
@click.option("--cert", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="TLS with this certificate.")
@click.option("--key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Its key.")
@click.option("--behind-proxy", "proxies", multiple=True, metavar="CIDR", help="A proxy of this network does TLS.")
@click.option("--oidc", "issuer", metavar="URL", help="People may sign in at this issuer of OpenID Connect.")
@click.option("--oidc-client", "client_id", default="mainspring", show_default=True, help="How it knows us.")
def command(
    port: int,
    host: str,
    names: tuple[str, ...],
    tls: bool,
    cert: Path | None,
    key: Path | None,
    proxies: tuple[str, ...],
    issuer: str | None,
    client_id: str,
) -> None:
    """Serve the record over HTTP until Ctrl-C; over loopback, where nothing else is asked for.

    Programs send a token: Authorization: Bearer TOKEN, the home's own or one of `mainspring
    tokens`. For a browser a link is printed that works once. Services and runs go on after it.
    """
    from mainspring.domain.loading import collecting_nothing
    from mainspring.domain.messages import GetStatus
    from mainspring.sdk.client import connect_home
    from mainspring.sdk.homes import current_home, current_project
    from mainspring.sdk.owners import start_owner

    _check(host, tls or cert is not None, cert, key, proxies)
    client = connect_home(current_home(), current_project())
    with ThreadPoolExecutor(1) as beside, collecting_nothing():
        owner = beside.submit(client.ask, GetStatus())  # it starts while the modules below are loaded
        from mainspring.api.app import HOSTS, make_app
        from mainspring.api.entrance import Entrance
        from mainspring.api.issuers import CALLBACK
        from mainspring.api.relay import Relay
        from mainspring.api.sessions import Sessions
        from mainspring.api.transfers import Transfers
        from mainspring.security.certificates import make_certificate
        from mainspring.security.oidc import SignIn
        from mainspring.security.tokens import digest_token, home_token
        from mainspring.store.blobs import open_blobs

        owner.result()
    token = home_token(client.home)
    sessions = Sessions()
    hosts = [*HOSTS, *_show_host(host), *names]
    if tls and cert is None:
        cert, key = make_certificate(client.home, [*_show_host(host), *names] or [_HOST])
    listener = _listen(host, port)
    scheme = "https" if cert else "http"
    shown = (names or _show_host(host) or (socket.gethostname(),))[0]
    url = f"{scheme}://{f'[{shown}]' if ':' in shown else shown}:{listener.getsockname()[1]}"
    _tell(client.home, url, sessions.make_code(), cert)
    entrance = Entrance(digest_token(token), sessions, proxies=proxies)
    sign_in = None
    if issuer:
        back = f"https://{shown}{CALLBACK}" if proxies else f"{url}{CALLBACK}"
        sign_in = SignIn(issuer, client_id, os.environ.get("MAINSPRING_OIDC_SECRET", ""), back)
    relay = Relay(client.home, start_owner)
    transfers = Transfers(relay, entrance, client.home, open_blobs(client.home))
    with leave_note(client.home, url, cert):
        _serve(make_app(relay, entrance, transfers, hosts, sign_in=sign_in), listener, cert, key)


def _tell(home: Home, url: str, code: str, cert: Path | None) -> None:
    from mainspring.security.certificates import read_fingerprint

    fingerprint = read_fingerprint(cert) if cert else None
    link = f"{url}/login?code={code}"
    if wants_json():
        print_json(Address(url, str(home.token), link, fingerprint))
        return
    click.echo(f"Mainspring answers at {url}, record {home.root}")
    click.echo(f"in a browser, once, within ten minutes: {link}")
    if fingerprint:
        click.echo(f"certificate SHA-256 {fingerprint}")
    trust = f"--cacert {cert} " if cert else ""
    click.echo(f'try: curl {trust}-H "Authorization: Bearer $(cat {home.token})" {url}/api/v1/status')
    uri = url.replace("://", f"://{name_user()}:$(cat {home.token})@")
    click.echo(f"programs that log with MLflow: export MLFLOW_TRACKING_URI={uri}")
    click.echo('or, for those and ours: eval "$(mainspring status --env)"')
    click.echo("Ctrl-C ends it", err=True)


def _check(host: str, secure: bool, cert: Path | None, key: Path | None, proxies: tuple[str, ...]) -> None:
    for each in proxies:
        try:
            ipaddress.ip_network(each)
        except ValueError:
            raise Invalid("CLI-001", f"{each!r} is no network", fix="--behind-proxy 10.0.0.0/8") from None
    if (cert is None) != (key is None):
        raise Invalid("CLI-001", "--cert and --key belong together", fix="mainspring up --help")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback and not secure and not proxies:
        raise Invalid("API-006", f"{host} is no loopback address, and neither --tls nor --behind-proxy is given")


def _show_host(host: str) -> tuple[str, ...]:
    """Return the host as it is asked for; an address that stands for all of them is none."""
    try:
        return () if ipaddress.ip_address(host).is_unspecified else (host,)
    except ValueError:
        return (host,)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return listen(host, port)
    except socket.gaierror as fault:
        raise Unavailable("CLI-005", f"{host} cannot be listened at: {fault.strerror}", port=port) from None
    except OSError as fault:
        raise Unavailable("CLI-005", f"port {port} cannot be had: {fault.strerror}", port=port) from None


def _serve(app: ASGIApp, listener: socket.socket, cert: Path | None, key: Path | None) -> None:
    import uvicorn

    try:
        uvicorn.Server(configure(app, cert, key)).run(sockets=[listener])
    except KeyboardInterrupt:
        click.echo("ended; the record and its services stay", err=True)
    finally:
        listener.close()
