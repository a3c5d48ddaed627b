"""Blobs in a folder: bytes named by their SHA-256, spread over 256 sub-folders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.ports import FileSystem
from mainspring.store.files import write_faults

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class FolderBlobs:
    """Implements `mainspring.domain.ports.Blobs` in a folder that several processes write.

    Parameters
    ----------
    root : Path
        Absolute folder; made with the first blob.
    files : FileSystem
        How it is written and read.
    """

    def __init__(self, root: Path, files: FileSystem) -> None:
        self._root = root
        self._files = files

    def put(self, content: bytes) -> str:
        """Store bytes and return their digest; atomic, durable on return, idempotent.

        Raises
        ------
        Unavailable
            HOME-006 when the disk is full, HOME-007 when the folder cannot be written.
        """
        digest = hashlib.sha256(content).hexdigest()
        path = self.path(digest)
        if self._holds(path, content):
            return digest
        with write_faults(path):
            self._files.make_folder(path.parent)
            self._files.write_atomic(path, self._parts(content))
        crash_point("blobs.after_rename")
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of a digest, checked against it.

        Raises
        ------
        NotFound
            HOME-013 when they are gone.
        Invalid
            HOME-014 when they were cut or swapped on disk.
        """
        path = self.path(digest)
        try:
            content = self._files.read(path)
        except FileNotFoundError:
            raise NotFound("HOME-013", f"no bytes are stored under {digest}", digest=digest) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise Invalid("HOME-014", f"{path} holds {len(content):,} bytes of another content", digest=digest)
        return content

    def path(self, digest: str) -> Path:
        """Return the file of a digest, there or not.

        Raises
        ------
        Invalid
            HOME-014 when the text is no digest.
        """
        if not _DIGEST.match(digest):
            raise Invalid("HOME-014", f"{digest!r} is not a SHA-256 in 64 hexadecimal characters", digest=digest)
        return self._root / digest[:2] / digest

    def exists(self, digest: str) -> bool:
        """Tell whether bytes are stored under a digest."""
        return self._files.exists(self.path(digest))

    def _holds(self, path: Path, content: bytes) -> bool:
        # A blob that was cut or swapped on disk is written anew, so it is read, not only looked for.
        try:
            return self._files.read(path) == content
        except FileNotFoundError:
            return False

    def _parts(self, content: bytes) -> Iterator[bytes]:
        yield content
        crash_point("blobs.before_rename")
