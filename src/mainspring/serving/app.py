"""The HTTP face of a plane: raw ASGI over the core."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import mainspring
from mainspring.domain.errors import Denied, Failed, Invalid, MainspringError, NotFound, Unavailable
from mainspring.serving.core import Core
from mainspring.serving.description import describe_model, describe_statistics
from mainspring.serving.protocol import encode, encode_refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Answer = tuple[int, bytes]

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_LINGER_BYTES = 64 * 1024 * 1024
_LINGER_S = 2.0
_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")
_REVISION = re.compile("[0-9]{1,18}")


class App:
    """An ASGI application that serves one core.

    Parameters
    ----------
    core : Core
        Answers the requests.
    port : int
        Where it listens, for the names that a caller may use.

    Attributes
    ----------
    draining : bool
        When set, the plane is not ready any more and every answer closes its connection.
    """

    def __init__(self, core: Core, port: int) -> None:
        self.core = core
        self.draining = False
        self._infer_path = f"/v2/models/{core.desired.service}/infer"
        self._hosts = {name.encode() for host in _LOOPBACK for name in (host, f"{host}:{port}")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        close = self.draining
        more: list[tuple[bytes, bytes]] = []
        try:
            status, body = await self._answer(scope, receive)
        except MainspringError as error:
            status, body, again = encode_refusal(error, self.core.desired.service)
            if again:
                more.append((b"retry-after", b"1"))
            if status == 401:
                more.append((b"www-authenticate", b"Bearer"))
            close = close or status == 413
        except Exception:  # noqa: BLE001 - a caller never sees a traceback
            traceback.print_exc(file=sys.stderr)
            status, body, _ = encode_refusal(
                Failed("SERVE-010", "the service failed on this request"), self.core.desired.service
            )
        if close or self.draining:
            more.append(_CLOSE)
        headers = [_JSON, (b"content-length", b"%d" % len(body)), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if status == 413:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            await _linger(receive)
            body = b""
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        host, token, length = _read_headers(scope["headers"])
        if host not in self._hosts:
            raise Denied("SERVE-012", f"the host name {host.decode('latin-1')!r} is not allowed")
        path: str = scope["path"]
        method: str = scope["method"]
        if path.startswith("/v2/health/"):
            return self._answer_health(path, method)
        self._check_token(token)
        if path == self._infer_path and method == "POST":
            body = await _read_body(receive, length, self.core.desired.limits.body_bytes)
            return 200, await self.core.infer(body)
        parts = path.strip("/").split("/")
        if parts[:2] == ["v2", "models"] and len(parts) >= 3:
            return await self._answer_model(parts[2:], method, receive, length)
        if path in {"/v2", "/v2/"} and method == "GET":
            described = {"name": "mainspring", "version": mainspring.__version__, "extensions": ["statistics"]}
            return 200, encode(described)
        raise NotFound("SERVE-015", f"no such address: {method} {path}")

    def _answer_health(self, path: str, method: str) -> Answer:
        if method in {"GET", "HEAD"} and path == "/v2/health/live":
            return 200, encode({"live": True})
        if method in {"GET", "HEAD"} and path == "/v2/health/ready":
            ready = self.core.ready and not self.draining
            return 200 if ready else 503, encode({"ready": ready})
        raise NotFound("SERVE-015", f"no such address: {method} {path}")

    async def _answer_model(self, parts: list[str], method: str, receive: Receive, length: int) -> Answer:
        """Answer ``NAME[/versions/NUMBER][/ready|/stats|/infer]``."""
        name = parts[0]
        if name != self.core.desired.service:
            raise NotFound("SERVE-001", f"no such service: {name!r}", fix=f"this is {self.core.desired.service!r}")
        revision = None
        rest = parts[1:]
        if len(rest) >= 2 and rest[0] == "versions":
            if not _REVISION.fullmatch(rest[1]):
                raise NotFound("SERVE-015", f"revision {rest[1][:40]!r} is not a number")
            revision, rest = int(rest[1]), rest[2:]
        if rest == ["infer"] and method == "POST":
            body = await _read_body(receive, length, self.core.desired.limits.body_bytes)
            return 200, await self.core.infer(body, revision)
        if method == "GET" and not rest:
            return 200, encode(describe_model(name, self.core, revision))
        if method == "GET" and rest == ["stats"]:
            return 200, encode(describe_statistics(name, self.core, revision))
        if method in {"GET", "HEAD"} and rest == ["ready"]:
            ready = self.core.ready and not self.draining
            if ready and revision is not None:
                self.core.find_lane(revision)
            return 200 if ready else 503, encode({"name": name, "ready": ready})
        raise NotFound("SERVE-015", f"no such address: {method} of {'/'.join(parts)}")

    def _check_token(self, token: bytes) -> None:
        digests = self.core.desired.token_sha256
        if not digests:
            return
        given = hashlib.sha256(token).hexdigest()
        if not token or not any(hmac.compare_digest(given, digest) for digest in digests):
            raise Denied("SERVE-011", "the token is wrong" if token else "the token is missing")


def _read_headers(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes, int]:
    """Return host, bearer token and declared length (-1: none) of a request."""
    host, token, length = b"", b"", -1
    for name, value in headers:
        if name == b"host":
            host = value.lower()
        elif name == b"content-length":
            length = int(value)
        elif name == b"authorization" and value[:7].lower() == b"bearer ":
            token = value[7:].strip()
    return host, token, length


async def _read_body(receive: Receive, length: int, limit: int) -> bytes:
    """Return the body; SERVE-008 as soon as it is known to be too long."""
    if length > limit:
        raise _too_large(length, limit)
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unavailable("SERVE-020", "the caller left before its request was complete")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(size, limit)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(size: int, limit: int) -> Invalid:
    return Invalid("SERVE-008", f"the request has {size:,} bytes or more, {limit:,} are taken", limit_bytes=limit)


async def _linger(receive: Receive) -> None:
    """Read on for a moment without keeping anything, so that the caller sees the refusal and no reset."""
    left = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
