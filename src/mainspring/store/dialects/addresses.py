"""Connections to the PostgreSQL database that an address names."""

from __future__ import annotations

import contextlib
import getpass
import ipaddress
import os
import socket
import ssl
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from pg8000.exceptions import InterfaceError

from mainspring.domain.errors import Invalid
from mainspring.store.dialects.pipeline import PipelinedConnection

CONNECT_S = 5.0
"""Seconds in which the server must take a connection."""

_SILENCE_S = 30.0
"""Seconds after which a server that says nothing counts as gone; longer than any lock is waited for."""

_MODES = ("disable", "require", "verify-full")


class Address(msgspec.Struct, frozen=True):
    """Where a database is.

    Attributes
    ----------
    host : str
        Name, IP address, or the folder of a Unix socket.
    mode : str
        ``disable``: no TLS; ``require``: TLS with whomever answers; ``verify-full``: with the host
        that the certificate names, trusted by this machine.
    """

    host: str
    port: int
    user: str
    password: str
    database: str
    mode: str


def parse_address(text: str) -> Address:
    """Read ``postgresql://user:password@host:port/database?sslmode=verify-full``.

    Parameters
    ----------
    text : str
        ``?host=/folder`` names a Unix socket. Without `sslmode` a loopback address or socket is spoken to as it is,
        any other host with ``verify-full``.

    Raises
    ------
    Invalid
        HOME-035 when it is no such address.
    """
    try:
        parts = urlsplit(text)
        options = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        host = options.pop("host", "") or unquote(parts.hostname or "") or "localhost"
        mode = options.pop("sslmode", "disable" if is_near(host) else "verify-full")
        port = parts.port or 5432
    except ValueError as fault:
        raise Invalid("HOME-035", f"the address of the record cannot be read: {fault}") from None
    database = unquote(parts.path.lstrip("/"))
    if parts.scheme not in {"postgresql", "postgres"} or not database or options or mode not in _MODES:
        told = f"scheme {parts.scheme!r}, database {database!r}, sslmode {mode!r}, other options {sorted(options)}"
        raise Invalid("HOME-035", f"the address of the record cannot be read: {told}")
    return Address(
        host,
        port,
        unquote(parts.username or "") or getpass.getuser(),
        unquote(parts.password or ""),
        database,
        mode,
    )


def is_near(host: str) -> bool:
    """Tell whether a host is this machine, so that nobody can listen on the way."""
    if host.startswith("/") or host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def connect(text: str) -> PipelinedConnection:
    """Connect to the database of an address.

    Raises
    ------
    InterfaceError
        Nobody answers there.
    DatabaseError
        The server refuses, and says why.
    """
    address = parse_address(text)
    reached = _dial(address)
    try:
        connection = PipelinedConnection(
            user=address.user,
            password=address.password,
            database=address.database,
            host=address.host,
            sock=reached,
            ssl_context=_trust(address.mode),
            application_name="mainspring",
        )
    except OSError as fault:  # of TLS, or of what the driver does not name itself
        _drop(reached)
        raise InterfaceError(f"{address.host}:{address.port} does not answer: {fault}") from fault
    except BaseException:
        _drop(reached)
        raise
    connection.set_silence(_SILENCE_S)
    return connection


def _drop(reached: socket.socket) -> None:
    """Close a socket that a driver which failed may still have a file on: `close` would wait for that one."""
    handle = reached.detach()
    if handle >= 0:
        os.close(handle)


def _dial(address: Address) -> socket.socket:
    try:
        if address.host.startswith("/"):
            reached = socket.socket(socket.AF_UNIX)
            reached.settimeout(CONNECT_S)
            reached.connect(f"{address.host}/.s.PGSQL.{address.port}")
            return reached
        reached = socket.create_connection((address.host, address.port), CONNECT_S)
        reached.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError as fault:
        raise InterfaceError(f"{address.host}:{address.port} does not answer: {fault}") from fault
    return reached


def _trust(mode: str) -> ssl.SSLContext | bool:
    if mode == "disable":
        return False
    context = ssl.create_default_context()
    if mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
