"""What surrounds every request: the host it names, the size of its body, mistakes of ours."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainspring.domain.errors import Failed, Invalid, MainspringError

MOST_JSON_BYTES = 1024 * 1024
_SHORT_BYTES = 65_536
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]{1,5})?")
_NUMBER = re.compile("[0-9a-f]{1,64}")
_log = logging.getLogger(__name__)


class Frame:
    """Wraps the application.

    Parameters
    ----------
    app : ASGI application
        What answers.
    hosts : sequence of str
        Names under which it may be asked, without ports.
    refuse : callable
        Makes the answer of an error, in the shape that clients of the path read.
    """

    def __init__(
        self, app: ASGIApp, hosts: Sequence[str], refuse: Callable[[Scope, MainspringError], Response]
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._hosts = frozenset(each.lower() for each in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it before anything of it is looked at."""
        if scope["type"] != "http":
            return  # no websockets, and nothing that begins or ends with the server
        headers = Headers(scope=scope)
        begun, number, unread = False, headers.get("mainspring-request", ""), _has_long_body(headers)

        async def take() -> Message:
            nonlocal unread
            message = await receive()
            unread = unread and bool(message.get("more_body"))
            return message

        async def tell(message: Message) -> None:
            nonlocal begun
            if not begun and _NUMBER.fullmatch(number):
                # The client knows by it that this answers what it asked, and nothing before.
                message["headers"] = [*message["headers"], (b"mainspring-request", number.encode())]
            if not begun and unread:
                # Else the rest of a body that was refused would be taken in, however long it is.
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            begun = True
            await send(message)

        host = read_host(headers.get("host", ""))
        if host not in self._hosts:
            problem = self._refuse(scope, Invalid("API-017", f"this server is not called {host[:100]!r}"))
            await problem(scope, take, tell)
            return
        try:
            await self._app(scope, take, tell)
        except ClientDisconnect:
            pass  # nobody is left who could hear
        except Exception as fault:  # a client sees a code, whatever broke; the log has the rest
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if begun:
                raise
            problem = self._refuse(scope, Failed("HOME-015", f"{type(fault).__name__} while answering"))
            await problem(scope, take, tell)


def _has_long_body(headers: Headers) -> bool:
    told = headers.get("content-length", "")
    return "transfer-encoding" in headers or (told.isdecimal() and int(told[:20]) > _SHORT_BYTES)


def read_host(text: str) -> str:
    """Return the name in a Host header, without its port; empty when it is none.

    Examples
    --------
    >>> read_host("Example.org:8430"), read_host("[::1]:8430"), read_host("[::1].evil.example")
    ('example.org', '::1', '')
    """
    found = _HOST.fullmatch(text.lower())
    return (found[1] or found[2]) if found else ""


async def read_content(request: Request, most_bytes: int = MOST_JSON_BYTES) -> bytes:
    """Return the body of a request.

    Raises
    ------
    Invalid
        API-009 when it is larger than `most_bytes`; one that says so beforehand is not read at all.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told[:20]) > most_bytes:
        raise Invalid("API-009", f"a body of {int(told[:20]):,} bytes; at most {most_bytes:,} are read")
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most_bytes:
            raise Invalid("API-009", f"a body of more than {most_bytes:,} bytes")
    return bytes(content)


def check_kind(request: Request, kind: str, content: bytes) -> None:
    """Refuse a body of another media type.

    Raises
    ------
    Invalid
        API-010.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content and given != kind:
        raise Invalid("API-010", f"the body is {given[:100] or 'of no stated kind'}, not {kind}")
