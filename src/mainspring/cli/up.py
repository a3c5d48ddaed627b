"""``mainspring up``: the owner plus loopback HTTP, until Ctrl-C."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import click

from mainspring.cli.printing import Verb, print_json, wants_json
from mainspring.domain.errors import Unavailable

if TYPE_CHECKING:
    from starlette.applications import Starlette

_HOST = "127.0.0.1"


@click.command("up", cls=Verb, epilog="Examples: mainspring up · mainspring up --port 0")
@click.option("--port", type=click.IntRange(0, 65535), default=8430, show_default=True, help="0 takes a free one.")
def command(port: int) -> None:
    """Serve the record over loopback HTTP until Ctrl-C.

    Readers send the home's token: Authorization: Bearer TOKEN. Services and runs go on after it.
    """
    from mainspring.api.app import make_app
    from mainspring.domain.messages import GetStatus
    from mainspring.sdk.client import get_client
    from mainspring.security.tokens import digest_token, home_token

    client = get_client()
    client.ask(GetStatus())
    token = home_token(client.home)
    listener = _listen(port)
    url = f"http://{_HOST}:{listener.getsockname()[1]}"
    if wants_json():
        print_json({"url": url, "token_file": str(client.home.token)})
    else:
        click.echo(f"Mainspring answers at {url}, record {client.home.root}")
        click.echo(f'try: curl -H "Authorization: Bearer $(cat {client.home.token})" {url}/api/v1/status')
        click.echo("Ctrl-C ends it", err=True)
    _serve(make_app(client.ask, digest_token(token)), listener)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as fault:
        listener.close()
        raise Unavailable("CLI-005", f"port {port} cannot be had: {fault.strerror}", port=port) from None
    listener.listen(128)
    return listener


def _serve(app: Starlette, listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        click.echo("ended; the record and its services stay", err=True)
    finally:
        listener.close()
