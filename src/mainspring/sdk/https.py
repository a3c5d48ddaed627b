"""Requests to a server that may be slow, restarted or half gone: deadlines, repetition, a trusted certificate."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import io
import os
import random
import re
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mainspring.domain.errors import Denied, Invalid, MainspringError, Unavailable

_LOOPBACK = re.compile(r"127(?:\.\d{1,3}){3}\Z|::1\Z|localhost\Z")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_REST_S = 0.05
_LONGEST_REST_S = 2.0
_OK = 200
_TOLD = ("Mainspring-Code", "Mainspring-SHA256", "Location")
_PART_BYTES = 1024 * 1024
_BLOCK_BYTES = 128 * 1024


class Address(NamedTuple):
    """Where a server is."""

    secure: bool
    host: str
    port: int
    path: str


class Patience(NamedTuple):
    """How long a client waits.

    Attributes
    ----------
    connect_s : float
        For a connection.
    silence_s : float
        Without a byte of the answer, beyond the request's own waiting time.
    total_s : float
        From the first failure to the last repetition.
    """

    connect_s: float = 5.0
    silence_s: float = 20.0
    total_s: float = 60.0


class Answered(NamedTuple):
    """An answer.

    Attributes
    ----------
    status : int
        Of HTTP.
    body : bytes
        Empty when it was streamed.
    code : str
        Of the error.
    digest : str
        SHA-256 of the body, where the server tells it.
    location : str
        Where else the body is.
    kept : object
        What came of a body that was streamed.
    """

    status: int
    body: bytes
    code: str = ""
    digest: str = ""
    location: str = ""
    kept: Any = None


class Broken(http.client.HTTPException):
    """The connection broke off in the middle of a body."""


def read_address(url: str) -> Address:
    """Read the URL of a server.

    Raises
    ------
    Invalid
        HOME-017 when it is none, API-006 when it would carry a token in the clear.

    Examples
    --------
    >>> read_address("https://records.example:8430/air/")
    Address(secure=True, host='records.example', port=8430, path='/air')
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Invalid("HOME-017", "the address has no readable port") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise Invalid("HOME-017", "the address is not https://host:port")
    secure = parts.scheme == "https"
    if not secure and not _LOOPBACK.match(parts.hostname):
        fix = f"https://{parts.hostname}, with mainspring up --tls at the other end"
        raise Invalid("API-006", f"http://{parts.hostname} is not on this machine", fix=fix)
    return Address(secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/"))


class Server:
    """Asks one server; safe to share between threads, and usable after a fork.

    Parameters
    ----------
    url : str
        ``https://host:port``.
    certificate : str, default ""
        SHA-256 of its certificate, or the file of an authority; empty: the system's authorities.
    patience : Patience, optional
        How long to wait.
    ours : bool, default True
        It is Mainspring's, and numbers its answers as the requests are; False: an object store.
    """

    def __init__(self, url: str, certificate: str = "", patience: Patience | None = None, *, ours: bool = True) -> None:
        self._idle: list[tuple[int, http.client.HTTPConnection]] = []
        self.address = read_address(url)
        self.patience = patience or Patience()
        self._certificate = certificate
        self._ours = ours

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Path | None,
        headers: Mapping[str, str],
        wait_s: float = 0.0,
        keep: Callable[[Iterator[bytes]], Any] | None = None,
    ) -> Answered:
        """Send a request until it is answered; it MUST be one that may be repeated.

        Parameters
        ----------
        method, path, body, headers
            Of the request; a body may be a file, which is streamed.
        wait_s : float, default 0
            Seconds that the server may take on purpose.
        keep : callable, optional
            Is given the parts of a body of status 200, of bounded size; anew at each repetition.

        Raises
        ------
        Denied
            API-015 when its certificate is not trusted; nothing was sent.
        Unavailable
            API-014 when it was not answered in `Patience.total_s` since the first failure.
        """
        trouble_since: float | None = None
        rest_s = _REST_S
        # A try that went on for longer than silence can has moved bytes, so it begins the count anew.
        progress_s = self.patience.total_s + 2 * (self.patience.connect_s + self.patience.silence_s + wait_s)
        while True:
            begun = time.monotonic()
            try:
                return self._try(method, path, body, headers, wait_s, keep)
            except (OSError, http.client.HTTPException) as fault:
                if isinstance(fault, MainspringError):
                    raise  # it was not trusted, or what it sent could not be kept
                now = time.monotonic()
                if trouble_since is None or now - begun > progress_s:
                    trouble_since = now
                if now - trouble_since > self.patience.total_s:
                    what = f"{self.address.host}:{self.address.port}: {type(fault).__name__}: {fault}"
                    raise Unavailable("API-014", what) from fault
            time.sleep(rest_s * random.uniform(0.5, 1.0))
            rest_s = min(rest_s * 2, _LONGEST_REST_S)

    def rest(self) -> None:
        """Wait a moment before a request is repeated that the server could not take."""
        time.sleep(self.patience.total_s / 100 * random.uniform(0.5, 1.0))

    def close(self) -> None:
        """Close the connections that are open."""
        while self._idle:
            self._idle.pop()[1].close()

    def __del__(self) -> None:
        self.close()

    def _try(
        self,
        method: str,
        path: str,
        body: bytes | Path | None,
        headers: Mapping[str, str],
        wait_s: float,
        keep: Callable[[Iterator[bytes]], Any] | None,
    ) -> Answered:
        connection = self._take()
        number = secrets.token_hex(8)
        try:
            assert connection.sock is not None
            connection.sock.settimeout(wait_s + self.patience.silence_s)
            _send(connection, method, self.address.path + path, body, {**headers, "Mainspring-Request": number})
            answer = connection.getresponse()
            if self._ours:
                _check_number(answer, number)
            streams = keep is not None and answer.status == _OK
            content = b"" if streams else answer.read()
            kept = keep(_read_parts(answer)) if keep is not None and streams else None
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            self._idle.append((os.getpid(), connection))
        code, digest, location = (answer.headers.get(name, "") for name in _TOLD)
        return Answered(answer.status, content, code, digest, location, kept)

    def _take(self) -> http.client.HTTPConnection:
        while self._idle:
            pid, connection = self._idle.pop()
            if pid == os.getpid() and connection.sock is not None and _is_silent(connection.sock):
                return connection
            connection.close()
        return self._open()

    def _open(self) -> http.client.HTTPConnection:
        host, port = self.address.host, self.address.port
        waits_s = self.patience.connect_s
        if not self.address.secure:
            plain = http.client.HTTPConnection(host, port, timeout=waits_s, blocksize=_BLOCK_BYTES)
            plain.connect()
            return plain
        pinned = self._certificate.replace(":", "").lower()
        pinned = pinned if _FINGERPRINT.fullmatch(pinned) else ""
        context = _make_context(self._certificate, pinned=bool(pinned))
        secure = http.client.HTTPSConnection(host, port, timeout=waits_s, context=context, blocksize=_BLOCK_BYTES)
        try:
            secure.connect()
            _check_certificate(secure, pinned)
        except ssl.SSLCertVerificationError as fault:
            secure.close()
            raise Denied("API-015", f"{host}:{port}: {fault.verify_message}") from None
        except BaseException:
            secure.close()
            raise
        return secure


def _send(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | Path | None, headers: dict[str, str]
) -> None:
    """Send a request; a body in blocks, each of which has the time that silence may last."""
    if body is None:
        connection.request(method, path, None, headers)
        return
    with body.open("rb") if isinstance(body, Path) else io.BytesIO(body) as stream:
        size_bytes = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        # A server that refuses does not read to the end; its answer may be there all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, stream, {**headers, "Content-Length": str(size_bytes)})


def _read_parts(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield a body; only one that is as long as it was told ends in peace."""
    left = answer.length or 0
    try:
        while part := answer.read(_PART_BYTES):
            left -= len(part)
            yield part
    except OSError as fault:  # not one of the disk, for which whoever keeps the parts might take it
        raise Broken(f"{type(fault).__name__}: {fault}") from fault
    if left > 0:
        raise Broken(f"{left:,} bytes are missing")


def _check_certificate(connection: http.client.HTTPSConnection, pinned: str) -> None:
    if not pinned:
        return  # the authorities were asked
    shown = hashlib.sha256(connection.sock.getpeercert(True) or b"").hexdigest()
    if not hmac.compare_digest(shown, pinned):
        what = f"{connection.host}:{connection.port} shows a certificate of SHA-256 {shown}"
        raise Denied("API-015", what)


def _check_number(answer: http.client.HTTPResponse, number: str) -> None:
    """Refuse an answer to an earlier request, which something between may have sent twice."""
    if answer.headers.get("Mainspring-Request", number if answer.status >= 400 else "") != number:
        raise http.client.BadStatusLine("an answer to another request")


def _make_context(certificate: str, *, pinned: bool) -> ssl.SSLContext:
    if not pinned:
        if certificate and not Path(certificate).is_file():
            raise Denied("API-015", f"{certificate!r} is neither a SHA-256 nor a file of an authority")
        try:
            return ssl.create_default_context(cafile=certificate or None)
        except ssl.SSLError as fault:
            raise Denied("API-015", f"{certificate} holds no certificate of an authority: {fault}") from None
    context = ssl.create_default_context()
    # The fingerprint is compared before anything is sent, and says more than a name does.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _is_silent(connected: socket.socket) -> bool:
    """Tell whether nothing waits to be read: neither an end nor an answer that nobody asked for."""
    connected.settimeout(0)
    try:
        connected.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return True
    except OSError:
        pass
    return False
