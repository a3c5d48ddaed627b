"""The blobs of a client: what is stored holds no secret."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

from mainspring.domain.errors import Denied
from mainspring.domain.ports import Blobs
from mainspring.security.masks import holds_hidden, is_hiding


class ScreenedBlobs:
    """Blobs that refuse content with the value of a secret that this process was given.

    Parameters
    ----------
    inner : Blobs
        Where the bytes go and come from; all but `put` is its own.
    """

    def __init__(self, inner: Blobs) -> None:
        self._inner = inner

    def put(self, content: bytes | BinaryIO) -> str:
        """Store bytes and return their digest.

        Raises
        ------
        Denied
            SECRET-005 when they hold a secret as it is; nothing was stored.

        Notes
        -----
        Cost: a process that was given a secret reads a stream whole before it stores it.
        """
        if is_hiding():
            content = content if isinstance(content, bytes) else content.read()
            if holds_hidden(content):
                raise Denied("SECRET-005", f"{len(content):,} bytes to be stored hold the value of a secret")
        return self._inner.put(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def screen_blobs(inner: Blobs) -> Blobs:
    """Return blobs that store no secret."""
    return cast("Blobs", ScreenedBlobs(inner))
