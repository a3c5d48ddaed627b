"""A bounded folder of copies of what an object store holds, each checked against its name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mainspring.domain.errors import Invalid
from mainspring.domain.ports import FileSystem
from mainspring.store.blobs import read_parts
from mainspring.store.files import write_faults

LIMIT_BYTES = 4096 * 1_000_000
SPARE_S = 60.0


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
            if found != digest:
                raise Invalid("HOME-014", f"the object of {digest} holds another content", digest=digest)

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

        def hashed() -> Iterator[bytes]:
            for part in parts:
                seen.update(part)
                yield part

        try:
            with write_faults(draft):
                self._files.make_folder(draft.parent)
                self._files.write_atomic(draft, hashed())
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


def _digest(parts: Iterable[bytes]) -> str:
    seen = hashlib.sha256()
    for part in parts:
        seen.update(part)
    return seen.hexdigest()
