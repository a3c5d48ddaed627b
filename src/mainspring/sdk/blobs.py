"""The blobs of a client: what is stored holds no secret, and what is sensitive is sealed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import msgspec

from mainspring.domain.errors import Denied
from mainspring.domain.ports import Blobs
from mainspring.sdk.exposures import expose, is_exposed, seen_columns, seen_sources
from mainspring.sdk.keys import DataKeys
from mainspring.security.masks import holds_hidden, is_hiding

_MARK = b"\0mainspring sealed 1\0"
_DIGEST = re.compile(rb"(?=([0-9a-f]{64}))")


class _Head(msgspec.Struct, array_like=True):
    """What stands before sealed bytes in the clear.

    Attributes
    ----------
    key : str
        Id of the data key.
    columns : list of str
        Sensitive columns that were seen where the bytes were made.
    parts : list of str
        Digests of blobs that the bytes name, so that a sweep keeps those.
    sources : list of str
        Dataset versions that were read where the bytes were made.
    """

    key: str
    columns: list[str]
    parts: list[str]
    sources: list[str] = []


class _Sealed(msgspec.Struct, array_like=True):
    head: msgspec.Raw  # the very bytes that the seal covers
    content: bytes


class ScreenedBlobs:
    """Blobs that refuse content with the value of a secret, and seal content where something sensitive was seen.

    Parameters
    ----------
    inner : Blobs
        Where the bytes go and come from; all but `put`, `get` and `stream` is its own.
    data_keys : DataKeys
        Makes a key for each blob that is sealed, and opens.
    seals : bool, default True
        False: nothing is sealed.
    """

    def __init__(self, inner: Blobs, data_keys: DataKeys, *, seals: bool = True) -> None:
        self._inner = inner
        self._data_keys = data_keys
        self._seals = seals
        self._known: set[str] = set()

    def put(self, content: bytes | BinaryIO) -> str:
        """Store bytes and return the digest of what lies there.

        Raises
        ------
        Denied
            SECRET-005 when they hold a secret as it is; nothing was stored. AUTH-005, AUTH-006 or
            AUTH-007 when something sensitive was seen by who may not.

        Notes
        -----
        Guarantees: equal sensitive bytes are stored as different ones, so a digest confirms no guess.
        Cost: a process that was given a secret or has seen something sensitive reads a stream whole.
        """
        sealing = self._seals and is_exposed()
        if is_hiding() or sealing:
            content = content if isinstance(content, bytes) else content.read()
            if holds_hidden(content):
                raise Denied("SECRET-005", f"{len(content):,} bytes to be stored hold the value of a secret")
        digest = self._inner.put(self._seal(content) if sealing and isinstance(content, bytes) else content)
        if sealing:
            self._known.add(digest)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes; sealed ones are opened, and count as seen.

        Raises
        ------
        Denied
            AUTH-005, AUTH-006 or AUTH-007 for sealed bytes and who may not read them; SECRET-003 when
            their key is lost.
        """
        content = self._inner.get(digest)
        return self._open(content) if content.startswith(_MARK) else content

    def stream(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes in parts; sealed ones come whole."""
        parts = self._inner.stream(digest)
        first = next(parts, b"")
        if first.startswith(_MARK):
            yield self._open(first + b"".join(parts))
            return
        yield first
        yield from parts

    def plainly(self) -> Blobs:
        """Return the same blobs for what holds nothing sensitive, whatever was seen."""
        return cast("Blobs", ScreenedBlobs(self._inner, self._data_keys, seals=False))

    def _seal(self, content: bytes) -> bytes:
        cipher = self._data_keys.make()
        named = {found[1].decode() for found in _DIGEST.finditer(content)} & self._known
        head = _Head(cipher.id, sorted(seen_columns()), sorted(named), sorted(seen_sources()))
        told = msgspec.msgpack.encode(head)
        (sealed,) = cipher.seal([content], told)
        assert sealed is not None
        return _MARK + msgspec.msgpack.encode(_Sealed(msgspec.Raw(told), sealed))

    def _open(self, content: bytes) -> bytes:
        try:
            sealed = msgspec.msgpack.decode(memoryview(content)[len(_MARK) :], type=_Sealed)
            head = msgspec.msgpack.decode(sealed.head, type=_Head)
        except msgspec.DecodeError:
            raise Denied("SECRET-003", f"{len(content):,} sealed bytes cannot be read") from None
        (plain,) = self._data_keys.open(head.key).open([sealed.content], bytes(sealed.head))
        assert plain is not None
        expose(head.columns, head.sources)
        self._known.update(head.parts)
        return plain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def screen_blobs(inner: Blobs, data_keys: DataKeys) -> Blobs:
    """Return blobs that store no secret, and nothing sensitive in the clear."""
    return cast("Blobs", ScreenedBlobs(inner, data_keys))


def store_plainly(blobs: Blobs) -> Blobs:
    """Return blobs that seal nothing: for models, which planes read without keys, and for handles."""
    return blobs.plainly() if isinstance(blobs, ScreenedBlobs) else blobs
