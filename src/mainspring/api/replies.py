"""Replies of HTTP that leave in one write, head and body, so that who waits for them wakes up once."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

_MOST_BYTES = 65_536
"""More is written at once, so that a long reply does not gather."""


# One of two classes, by what is installed.
class WholeReplies(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """The protocol of uvicorn over a transport that joins what is written in one round of the loop."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection."""
        super().connection_made(_Joined(transport))


class _Joined:
    """A transport; all but writing and closing is the inner one's own."""

    def __init__(self, inner: asyncio.Transport) -> None:
        self._inner = inner
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        """Write by the end of this round."""
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MOST_BYTES:
            self._flush()

    def close(self) -> None:
        """Close it after what was written."""
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self._inner.is_closing():
            self._inner.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
