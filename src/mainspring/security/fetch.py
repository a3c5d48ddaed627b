"""The one way out: connections to addresses that somebody else has named, checked before they are made.

A name is resolved once and the connection goes to the address that was checked, so that a second
answer of the resolver changes nothing. Redirects are told, not followed; proxies of the environment
are not asked. Errors name host and port alone: paths and queries may hold what is secret.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO, Self
from urllib.parse import SplitResult, urlsplit

import msgspec

from mainspring.domain.errors import Denied, Invalid, Unavailable

if TYPE_CHECKING:
    import http.client
    import ssl

PORTS = {"http": 80, "https": 443, "smtp": 587, "smtps": 465}
MOST_ANSWER_BYTES = 65_536
MOST_LINE_BYTES = 4 << 20
MOST_ADDRESSES = 8

_SETTING = "MAINSPRING_PRIVATE_HOSTS"
_URL = re.compile(r"[\x21-\x7e]{0,2000}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?\.?\Z")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Where clouds answer with the keys of a machine; two of them are no private addresses.
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Response(msgspec.Struct, frozen=True):
    """What a server answered.

    Attributes
    ----------
    status : int
        Of HTTP.
    reason : str
        The words beside it.
    headers : dict of str to str
        Names in small letters.
    body : bytes
        Its first bytes, as many as were wanted.
    """

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


def split_url(url: str, schemes: tuple[str, ...] = ("http", "https")) -> SplitResult:
    """Take a URL apart, and refuse what two readers could understand differently.

    Parameters
    ----------
    url : str
        Visible ASCII.
    schemes : tuple of str
        Those that will do, of `PORTS`.

    Returns
    -------
    SplitResult
        With a host, without a password and without a fragment.

    Raises
    ------
    Invalid
        FETCH-005; of the URL only its scheme and place are told.
    """
    try:
        parts = urlsplit(url) if _URL.fullmatch(url) and "\\" not in url else None
        port = parts.port if parts else None
    except ValueError:
        parts = None
    if parts is None:
        raise Invalid("FETCH-005", "an address with blanks, backslashes, letters outside of ASCII, or no such port")
    if parts.scheme not in schemes:
        raise Invalid("FETCH-005", f"an address of {parts.scheme or 'no scheme'}, not of {' or '.join(schemes)}")
    host = parts.hostname or ""
    if not _HOST.match(host) and not _is_address(host):
        raise Invalid("FETCH-005", f"{host[:100]!r} is no host")
    if parts.password is not None or parts.fragment:
        raise Invalid("FETCH-005", f"the address at {host} holds a password or a fragment")
    if port == 0:
        raise Invalid("FETCH-005", f"port 0 of {host}")
    return parts


def name_place(url: SplitResult) -> str:
    """Return host and port of a URL, all of it that errors may tell."""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"{host}:{url.port or PORTS.get(url.scheme, 0)}"


def check_literal(url: SplitResult) -> None:
    """Refuse a URL whose host is an address that may not be reached; names are told apart when they are resolved.

    Raises
    ------
    Denied
        FETCH-001.
    """
    if _is_address(url.hostname or ""):
        _check_address(ipaddress.ip_address(url.hostname or ""), name_place(url))


def fetch(
    url: str,
    *,
    method: str = "POST",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
    most_bytes: int = MOST_ANSWER_BYTES,
    private: bool = False,
) -> Response:
    """Send one request and return the answer, whatever its status is.

    Parameters
    ----------
    url : str
        Of ``http`` or ``https``.
    method : str, default POST
        Of HTTP.
    body : bytes
        What is sent.
    headers : mapping, optional
        Beside Host, Content-Length and Connection.
    timeout_s : float
        Seconds for all of it, from the resolver to the last byte; > 0.
    most_bytes : int, default MOST_ANSWER_BYTES
        So much of the answer is read.
    private : bool, default False
        Whoever runs this process has named the host, so it may be one of this machine or network.

    Returns
    -------
    Response
        Also of a redirect, which is not followed.

    Raises
    ------
    Denied
        FETCH-001 when the host's address may not be reached.
    Unavailable
        FETCH-002 when there is no connection, FETCH-003 when the time is over, FETCH-004 when what
        comes back is no HTTP.
    Invalid
        FETCH-005 for a URL that cannot be used.
    """
    with ask_streaming(url, method=method, body=body, headers=headers, timeout_s=timeout_s, private=private) as answer:
        return Response(answer.status, answer.reason, answer.headers, answer.read(most_bytes))


class Answer:
    """An answer whose body is read as it comes; a context that closes the connection.

    Attributes
    ----------
    status : int
        Of HTTP.
    reason : str
        The words beside it.
    headers : dict of str to str
        Names in small letters.
    """

    def __init__(self, answer: http.client.HTTPResponse, told: Deadline, close: contextlib.ExitStack) -> None:
        self.status, self.reason = answer.status, answer.reason
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self._answer, self._told, self._close = answer, told, close

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, fewer at the end.

        Raises
        ------
        Unavailable
            FETCH-003 when the time is over, FETCH-004 when the body breaks off.
        """
        import http.client

        try:
            part = self._answer.read(None if size < 0 else size)
        except (OSError, http.client.HTTPException) as fault:
            self._told.check()
            raise Unavailable("FETCH-004", f"the answer broke off: {type(fault).__name__}") from None
        self._told.check()  # what was cut off can look like an answer
        if size and not part and self._answer.length:
            raise Unavailable("FETCH-004", f"the answer broke off {self._answer.length:,} bytes before its end")
        return part

    def readline(self) -> bytes:
        """Return the next line, empty at the end; the time counts for all of them.

        Raises
        ------
        Unavailable
            FETCH-003 when the time is over, FETCH-004 when the body breaks off.
        """
        import http.client

        try:
            line = self._answer.readline(MOST_LINE_BYTES)
        except (OSError, http.client.HTTPException) as fault:
            self._told.check()
            raise Unavailable("FETCH-004", f"the answer broke off: {type(fault).__name__}") from None
        self._told.check()
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close.close()


def ask_streaming(
    url: str,
    *,
    method: str,
    body: bytes | BinaryIO | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
    private: bool = False,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """Send one request, and return the answer before its body is read; parameters and errors are those of `fetch`.

    Parameters
    ----------
    body : bytes or file, optional
        A file is read as it is sent; `headers` must tell its length.
    context : SSLContext, optional
        Whom TLS believes, and who this is there; else the authorities of this machine.

    Returns
    -------
    Answer
        To be closed by whoever asked.
    """
    import http.client

    parts = split_url(url)
    with contextlib.ExitStack() as opened:
        connected, told = opened.enter_context(connect(parts, timeout_s=timeout_s, private=private, context=context))
        client = http.client.HTTPConnection(parts.hostname or "", parts.port or PORTS[parts.scheme])
        client.default_port = PORTS[parts.scheme]
        opened.callback(client.close)
        client.sock = connected
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            client.request(method, target, body, {"Connection": "close", **(headers or {})})
            answer = client.getresponse()
        except (OSError, http.client.HTTPException) as fault:
            told.check()
            place = name_place(parts)
            raise Unavailable("FETCH-004", f"{place} broke off: {type(fault).__name__}", place=place) from None
        return Answer(answer, told, opened.pop_all())


@contextlib.contextmanager
def connect(
    url: SplitResult, *, timeout_s: float, private: bool = False, context: ssl.SSLContext | None = None
) -> Iterator[tuple[socket.socket, Deadline]]:
    """Connect to the checked address of a URL's host, with TLS where the scheme says so.

    Parameters
    ----------
    url : SplitResult
        Of `split_url`.
    timeout_s : float
        Seconds until whatever is under way on the connection is cut off; > 0.
    private : bool, default False
        The host may be one of this machine or network.
    context : SSLContext, optional
        As for `ask_streaming`.

    Yields
    ------
    tuple of socket and Deadline
        The socket is closed at the end; `Deadline.check` tells whether it was cut off.

    Raises
    ------
    Denied, Unavailable
        FETCH-001, FETCH-002 and FETCH-003 as for `fetch`.
    """
    until = time.monotonic() + timeout_s
    place = name_place(url)
    addresses = _resolve(url, timeout_s, private=private)
    connected = _dial(addresses, place, until)
    deadline = Deadline(connected, until, f"{place} took more than {timeout_s:g} s")
    try:
        if url.scheme in {"https", "smtps"}:
            connected = secure(connected, url.hostname or "", deadline, context)
        yield connected, deadline
    finally:
        deadline.cancel()
        connected.close()


def secure(
    connected: socket.socket, host: str, deadline: Deadline, context: ssl.SSLContext | None = None
) -> socket.socket:
    """Put TLS around a connection; the certificate must name the host.

    Raises
    ------
    Unavailable
        FETCH-002 when there is no such certificate, FETCH-003 when the time is over.
    """
    import ssl

    try:
        return (context or ssl.create_default_context()).wrap_socket(connected, server_hostname=host)
    except OSError as fault:
        connected.close()
        deadline.check()
        why = getattr(fault, "verify_message", "") or getattr(fault, "reason", "") or type(fault).__name__
        raise Unavailable("FETCH-002", f"no TLS with {host}: {why}", host=host) from None


class Deadline:
    """Cuts a connection off when its time is over, also one whose bytes come one by one."""

    def __init__(self, connected: socket.socket, until: float, what: str) -> None:
        self._handle = connected.dup()  # TLS takes the socket's own handle over
        self._what = what
        self._over = False
        self._timer = threading.Timer(max(until - time.monotonic(), 0.0), self._cut)
        self._timer.daemon = True
        self._timer.start()

    def check(self) -> None:
        """Raise FETCH-003 when the time is over."""
        if self._over:
            raise Unavailable("FETCH-003", self._what)

    def cancel(self) -> None:
        """Let the connection be."""
        self._timer.cancel()
        self._timer.join()
        self._handle.close()

    def _cut(self) -> None:
        self._over = True
        with contextlib.suppress(OSError):
            self._handle.shutdown(socket.SHUT_RDWR)


def _dial(addresses: list[Address], place: str, until: float) -> socket.socket:
    why = ""
    for address in addresses:
        left = until - time.monotonic()
        if left <= 0:
            raise Unavailable("FETCH-003", f"{place} could not be reached in time", place=place)
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        connected = socket.socket(family, socket.SOCK_STREAM)
        try:
            connected.settimeout(left)
            connected.connect((str(address), int(place.rpartition(":")[2])))
        except TimeoutError:
            connected.close()
            raise Unavailable("FETCH-003", f"{place} could not be reached in time", place=place) from None
        except OSError as fault:
            connected.close()
            why = os.strerror(fault.errno) if fault.errno else type(fault).__name__
            continue
        connected.settimeout(None)  # the deadline cuts it off
        return connected
    raise Unavailable("FETCH-002", f"no connection to {place}: {why}", place=place)


def _resolve(url: SplitResult, timeout_s: float, *, private: bool) -> list[Address]:
    """Return the addresses of a URL's host, all of them allowed."""
    host, place = url.hostname or "", name_place(url)
    found: list[Address] = []
    faults: list[OSError | UnicodeError] = []

    def look_up() -> None:
        try:
            for *_, address in socket.getaddrinfo(host, url.port or PORTS[url.scheme], type=socket.SOCK_STREAM):
                found.append(ipaddress.ip_address(str(address[0]).partition("%")[0]))
        except (OSError, UnicodeError) as fault:
            faults.append(fault)

    # The resolver knows no deadline; one that hangs is left behind.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        raise Unavailable("FETCH-003", f"{host} could not be resolved within {timeout_s:g} s", place=place)
    if faults or not found:
        raise Unavailable("FETCH-002", f"{host} cannot be resolved", place=place)
    addresses = list(dict.fromkeys(found))[:MOST_ADDRESSES]
    for address in addresses:
        _check_address(address, place, private=private)
    return addresses


def _check_address(address: Address, place: str, *, private: bool = False) -> None:
    """Refuse an address that may not be reached; an allowed host may have a private one, and no other."""
    inner = _unwrap(address)
    special = inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner in _METADATA
    special = special or (inner.is_reserved and not inner.is_loopback)
    if special or not (inner.is_global or private or _is_allowed(place)):
        raise Denied("FETCH-001", f"{place} is at {address}, which is {_describe(inner)}", place=place)


def _unwrap(address: Address) -> Address:
    """Return the IPv4 address that one of IPv6 stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def _describe(address: Address) -> str:
    if address in _METADATA or address.is_link_local:
        return "link-local, or tells about a cloud's machine"
    if address.is_loopback:
        return "this machine"
    return "private" if address.is_private else "no address of the internet"


def _is_allowed(place: str) -> bool:
    allowed = {each.strip().lower() for each in os.environ.get(_SETTING, "").split(",") if each.strip()}
    return not allowed.isdisjoint({place, place.rpartition(":")[0]})


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
