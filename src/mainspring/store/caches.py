"""Copies of blobs that lie elsewhere: a bounded folder of them, each checked against its name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from mainspring.domain.errors import Invalid, Unavailable
from mainspring.domain.home import Home
from mainspring.domain.ports import FileSystem
from mainspring.store.blobs import check_content, check_digest, read_parts, watch
from mainspring.store.files import LocalFileSystem, write_faults

LIMIT_BYTES = 4096 * 1_000_000
SPARE_S = 60.0

_Kept = TypeVar("_Kept")


class BlobCache:
    """Copies of blobs that several processes of one home share.

    Parameters
    ----------
    folder : Path
        Absolute; made with the first copy, and may be removed at any time.
    files : FileSystem
        How it is written.
    limit_bytes : int, default LIMIT_BYTES
        Most that it holds; the copies that were not used for longest go first.
    spare_s : float, default SPARE_S
        Copies used in the last `spare_s` seconds stay, even above the limit.

    Notes
    -----
    Guarantees: a copy is whole and matches its name whenever a method returns it.
    Cost: finding a copy reads it once; the folder is looked through when a twentieth of the limit
    was added since.
    """

    def __init__(
        self, folder: Path, files: FileSystem, limit_bytes: int = LIMIT_BYTES, spare_s: float = SPARE_S
    ) -> None:
        self._folder = folder
        self._files = files
        self._limit_bytes = limit_bytes
        self._spare_s = spare_s
        self._added_bytes = limit_bytes  # so that the first copy has the folder looked through

    def find(self, digest: str) -> Path | None:
        """Return the copy of a digest and count it as used; a damaged one is removed."""
        path = self._path(digest)
        try:
            with path.open("rb") as file:
                whole = _digest(read_parts(file)) == digest
        except FileNotFoundError:
            return None
        if not whole:
            self.remove(digest)
            return None
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
        return path if path.exists() else None

    def measure(self, digest: str) -> int | None:
        """Return the length of the copy, None without one; it is not read."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, digest: str) -> bytes | None:
        """Return the bytes of a copy, None without one; a damaged one is removed."""
        try:
            content = self._files.read(self._path(digest))
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest() == digest:
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._path(digest))
            return content
        self.remove(digest)
        return None

    def add(self, digest: str, parts: Iterable[bytes]) -> Path:
        """Keep the bytes of a digest.

        Raises
        ------
        Invalid
            HOME-014 when the parts are not those bytes; nothing is kept then.
        Unavailable
            HOME-006 for a full disk, HOME-007 for a folder that may not be written.
        """

        def approve(found: str, draft: Path) -> None:
            del draft
            check_content(digest, found)

        return self.take(parts, approve)

    def take(self, parts: Iterable[bytes], approve: Callable[[str, Path], None]) -> Path:
        """Keep a stream under the digest that it turns out to have.

        Parameters
        ----------
        parts : iterable of bytes
            Read to its end, in bounded memory.
        approve : callable
            Is told the digest and the complete file before that gets its name; what it raises
            keeps the bytes out.

        Returns
        -------
        Path
            The copy, named by its digest.
        """
        draft = self._folder / f"incoming-{secrets.token_hex(8)}"
        seen = hashlib.sha256()
        try:
            with write_faults(draft):
                self._files.make_folder(draft.parent)
                self._files.write_atomic(draft, watch(parts, seen))
            digest = seen.hexdigest()
            approve(digest, draft)
            path = self._path(digest)
            with write_faults(path):
                self._files.make_folder(path.parent)
                self._added_bytes += draft.stat().st_size
                self._files.move(draft, path)
        finally:
            self._files.remove(draft)
        if self._added_bytes > self._limit_bytes / 20:
            self.evict()
        return path

    def remove(self, digest: str) -> None:
        """Remove a copy; a missing one is no error."""
        self._files.remove(self._path(digest))

    def evict(self) -> None:
        """Remove the copies that were not used for longest until the rest fits."""
        self._added_bytes = 0
        copies = []
        for path in (*self._folder.glob("??/*"), *self._folder.glob("*incoming-*")):
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                copies.append((facts.st_mtime, facts.st_size, path))
        excess = sum(size for _, size, _ in copies) - self._limit_bytes
        spared = time.time() - self._spare_s
        for used, size, path in sorted(copies):
            if excess <= 0 or used > spared:
                return
            self._files.remove(path)
            excess -= size

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest


def open_cache(home: Home) -> BlobCache:
    """Return the copies that the processes of a home share.

    Raises
    ------
    Invalid
        HOME-018 when MAINSPRING_BLOB_CACHE_MB is no number.
    """
    text = os.environ.get("MAINSPRING_BLOB_CACHE_MB", "")
    if text and not text.isdigit():
        raise Invalid("HOME-018", f"MAINSPRING_BLOB_CACHE_MB={text!r} is not a number of megabytes")
    return BlobCache(home.cache / "blobs", LocalFileSystem(), int(text) * 1_000_000 if text else LIMIT_BYTES)


class CopiedBlobs(ABC):
    """What stores of blobs have in common that are reached over a network: all is read from copies.

    Parameters
    ----------
    cache : BlobCache
        Where copies lie.
    """

    def __init__(self, cache: BlobCache) -> None:
        self._cache = cache

    def put(self, content: bytes | BinaryIO, digest: str = "") -> str:
        """Store bytes and return their digest; durable on return, idempotent.

        A stream is hashed into the cache and sent from there, so it may be larger than memory.
        """
        if not isinstance(content, bytes):
            return self._cache.take(
                read_parts(content), lambda found, draft: self._send(check_content(digest, found), draft)
            ).name
        digest = check_content(digest, hashlib.sha256(content).hexdigest())
        self._send(digest, content)
        with contextlib.suppress(Unavailable):  # a full disk costs a copy, not the blob
            self._cache.add(digest, [content])
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of a digest, checked against it."""

        def check(parts: Iterator[bytes]) -> bytes:
            content = b"".join(parts)
            check_content(digest, hashlib.sha256(content).hexdigest())
            return content

        content = self._cache.read(check_digest(digest))
        if content is not None:
            return content
        content = self._bring(digest, check)
        with contextlib.suppress(Unavailable):
            self._cache.add(digest, [content])
        return content

    def stream(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes in parts, all of them checked before the first is given."""
        with self.path(digest).open("rb") as file:
            yield from read_parts(file)

    def path(self, digest: str) -> Path:
        """Return a checked copy of the bytes in the cache."""
        copy = self._cache.find(check_digest(digest))
        return copy or self._bring(digest, lambda parts: self._cache.add(digest, parts))

    def measure(self, digest: str) -> int | None:
        """Return the length of the copy here, None without one."""
        return self._cache.measure(check_digest(digest))

    @abstractmethod
    def _send(self, digest: str, content: bytes | Path) -> None:
        """Have the store keep bytes under a digest that is theirs."""

    @abstractmethod
    def _bring(self, digest: str, keep: Callable[[Iterator[bytes]], _Kept]) -> _Kept:
        """Give what the store holds under a digest to `keep`, again when it broke off, and return its answer."""


def _digest(parts: Iterable[bytes]) -> str:
    seen = hashlib.sha256()
    for part in parts:
        seen.update(part)
    return seen.hexdigest()
