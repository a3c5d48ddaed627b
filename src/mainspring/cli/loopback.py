"""HTTP for one process on this machine: ``python -m mainspring.cli.loopback``, with a listener that is open already.

It answers who shows the token that it was given a digest of, or the token of a worker; it ends with who started it.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn import Config

    from mainspring.domain.home import Home


def main(arguments: list[str] | None = None) -> int:
    """Serve until the standard input ends; its first line is the digest of the token."""
    parser = argparse.ArgumentParser(prog="python -m mainspring.cli.loopback")
    parser.add_argument("--home", required=True, type=Path, help="folder of the record")
    parser.add_argument("--listener", required=True, type=int, help="descriptor of the socket that listens")
    given = parser.parse_args(arguments)
    digest = sys.stdin.readline().strip()
    if not digest:
        return 1

    import uvicorn

    from mainspring.store.homes import place_home

    server = uvicorn.Server(configure(make_site(place_home(given.home), digest)))

    def end_with_starter() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=end_with_starter, daemon=True).start()
    with socket.socket(fileno=given.listener) as listener:
        server.run(sockets=[listener])
    return 0


def make_site(home: Home, digest: str) -> ASGIApp:
    """Make the application of a home, for who shows the token of a digest."""
    from mainspring.api.app import make_app
    from mainspring.api.entrance import Entrance
    from mainspring.api.relay import Relay
    from mainspring.api.sessions import Sessions
    from mainspring.api.transfers import Transfers
    from mainspring.sdk.owners import start_owner
    from mainspring.store.blobs import open_blobs

    relay, entrance = Relay(home, start_owner), Entrance(digest, Sessions())
    return make_app(relay, entrance, Transfers(relay, entrance, home, open_blobs(home)))


def configure(app: ASGIApp, cert: Path | None = None, key: Path | None = None) -> Config:
    """Return how an application is served."""
    import uvicorn

    from mainspring.api.replies import WholeReplies

    return uvicorn.Config(
        app,
        http=WholeReplies,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
        proxy_headers=False,  # who a proxy speaks for is the entrance's to believe
        server_header=False,
        ssl_certfile=cert,
        ssl_keyfile=key,
    )


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that listens.

    Raises
    ------
    OSError
        Nobody can listen there.

    Notes
    -----
    Its protocol is named: asyncio sends small answers of a socket without one only once the client has
    acknowledged what came before, 40 ms later.
    """
    (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
    )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


if __name__ == "__main__":
    sys.exit(main())
