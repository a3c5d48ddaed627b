"""Blobs in a folder: bytes named by their SHA-256, spread over 256 sub-folders."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.ports import FileSystem
from mainspring.store.files import write_faults

FOLDERS = 256
"""Folders that blobs are spread over, by the first byte of the digest."""

MOST_ENTRIES = 20_000
"""So many files are looked at in one sweep, some 20 ms of work."""

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


def sweep_drafts(root: Path, before: float, *, first: int = 0, most: int = MOST_ENTRIES) -> int:
    """Remove the temporary files of writers that were killed.

    Parameters
    ----------
    root : Path
        Folder of blobs; it may be missing.
    before : float
        Only what was last written before that time, in seconds since 1970, is removed.
    first : int, default 0
        Number of the folder to begin with, 0 to 255.
    most : int, default MOST_ENTRIES
        No further folder is opened once so many files were looked at.

    Returns
    -------
    int
        How many were removed.
    """
    seen = removed = 0
    for number in range(first, first + FOLDERS):
        with contextlib.suppress(OSError), os.scandir(root / f"{number % FOLDERS:02x}") as entries:
            for entry in entries:
                seen += 1
                if entry.name.startswith(".") and _remove_old(entry, before):
                    removed += 1
        if seen >= most:
            break
    return removed


def _remove_old(entry: os.DirEntry[str], before: float) -> bool:
    try:
        if entry.stat(follow_symlinks=False).st_mtime >= before:
            return False
        Path(entry).unlink()
    except OSError:  # its writer has renamed it, or the home is read-only
        return False
    return True
