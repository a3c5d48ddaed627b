"""Blobs in a folder, and the way to those of other stores: bytes named by their SHA-256."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Invalid, NotFound, Unavailable
from mainspring.domain.home import Home
from mainspring.domain.ports import Blobs, FileSystem, StoredBlob
from mainspring.store.files import LocalFileSystem, write_faults

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

GROUP = "mainspring.blobs"
PART_BYTES = 5 * 1024 * 1024
"""Size of the parts in which streams travel; what is not larger travels in one piece."""

FOLDERS = 256
"""Folders that blobs are spread over, by the first byte of the digest."""

MOST_ENTRIES = 20_000
"""So many files are looked at in one sweep, some 20 ms of work."""

ASIDE = ".swept"
"""The folder of blobs that a sweep has laid aside."""

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def open_blobs(home: Home) -> Blobs:
    """Return the blobs of a home.

    Parameters
    ----------
    home : Home
        Its ``blob_store`` names the place; the scheme names the entry point of the group
        ``mainspring.blobs``, a callable that takes the home.

    Raises
    ------
    Invalid
        BLOB-001 when no adapter is installed for the scheme.
    Unavailable
        BLOB-002 when the adapter's library is missing.

    Notes
    -----
    Nothing is read or written, and no connection is made.
    """
    if not home.blob_store:
        return FolderBlobs(home.blobs, LocalFileSystem())
    scheme = home.blob_store.partition("://")[0]
    from importlib.metadata import entry_points  # a tenth of what a small script imports

    known = entry_points(group=GROUP)
    found = next((point for point in known if point.name == scheme), None)
    if found is None:
        names = ", ".join(sorted(point.name for point in known)) or "none"
        raise Invalid("BLOB-001", f"no adapter speaks {scheme}://; there are {names}", scheme=scheme)
    try:
        factory: Callable[[Home], Blobs] = found.load()
    except ImportError as missing:
        raise Unavailable("BLOB-002", f"{home.blob_store} needs {missing.name}", scheme=scheme) from None
    return factory(home)


def check_digest(digest: str) -> str:
    """Return a digest, refusing what is none.

    Raises
    ------
    Invalid
        HOME-014 when the text is no SHA-256 in hexadecimal.
    """
    if not _DIGEST.match(digest):
        raise Invalid("HOME-014", f"{digest!r} is not a SHA-256 in 64 hexadecimal characters", digest=digest)
    return digest


def check_content(wanted: str, found: str) -> str:
    """Return the digest of bytes, refusing those that were to have another one; empty: any will do.

    Raises
    ------
    Invalid
        HOME-014.
    """
    if wanted and check_digest(wanted) != found:
        raise Invalid("HOME-014", f"the bytes for {wanted} are those of {found}", digest=wanted)
    return found


def watch(parts: Iterable[bytes], seen: Hash) -> Iterator[bytes]:
    """Pass parts on as they come, and have a digest see each."""
    for part in parts:
        seen.update(part)
        yield part


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest."""
    return _DIGEST.match(text) is not None


def read_parts(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what a stream holds in parts of `PART_BYTES`."""
    while part := stream.read(PART_BYTES):
        yield part


class FolderBlobs:
    """Implements `mainspring.domain.ports.Blobs` in a folder that several processes write.

    Blobs are spread over 256 sub-folders.

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

    def put(self, content: bytes | BinaryIO, digest: str = "") -> str:
        """Store bytes and return their digest; atomic, durable on return, idempotent.

        Raises
        ------
        Invalid
            HOME-014 when they are not those of the digest that is given.
        Unavailable
            HOME-006 when the disk is full, HOME-007 when the folder cannot be written.
        """
        if not isinstance(content, bytes):
            return self._put_stream(content, digest)
        digest = check_content(digest, hashlib.sha256(content).hexdigest())
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
            raise no_blob(digest) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise Invalid("HOME-014", f"{path} holds {len(content):,} bytes of another content", digest=digest)
        return content

    def stream(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes in parts; raises as `get` does, a mismatch after the last part."""
        path = self.path(digest)
        seen = hashlib.sha256()
        try:
            with path.open("rb") as file:
                yield from watch(read_parts(file), seen)
        except FileNotFoundError:
            raise no_blob(digest) from None
        if seen.hexdigest() != digest:
            raise Invalid("HOME-014", f"{path} holds another content", digest=digest)

    def path(self, digest: str) -> Path:
        """Return the file of a digest, there or not.

        Raises
        ------
        Invalid
            HOME-014 when the text is no digest.
        """
        return self._root / check_digest(digest)[:2] / digest

    def exists(self, digest: str) -> bool:
        """Tell whether bytes are stored under a digest."""
        return self._files.exists(self.path(digest))

    def measure(self, digest: str) -> int | None:
        """Return the length of the file, None when it is gone."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def list(self) -> Iterator[StoredBlob]:
        """Yield the blobs of the folder."""
        for path in self._root.glob("??/*"):
            if is_digest(path.name):
                try:
                    facts = path.stat()
                except FileNotFoundError:
                    continue
                yield StoredBlob(path.name, facts.st_size, facts.st_mtime)

    def delete(self, digest: str) -> None:
        """Remove the file of a digest; a missing one is no error."""
        path = self.path(digest)
        with write_faults(path):
            self._files.remove(path)

    def remove_old(self, digest: str, before: float) -> int | None:
        """Remove a blob unless it was put since; as `sweep_blob` does."""
        return sweep_blob(self._root, digest, before)

    def presign(self, digest: str, seconds: float) -> str | None:
        """Return None: a folder has no address for others."""
        del seconds
        check_digest(digest)
        return None

    def beside(self, name: str) -> Path | None:
        """Return None: tables have folders of their own."""
        del name
        return None

    def claim(self, record_id: str, *, anew: bool) -> None:
        """Do nothing: the folder lies in the home, which one owner locks."""

    def _put_stream(self, stream: BinaryIO, digest: str) -> str:
        name = os.urandom(8).hex()
        draft = self._root / name[:2] / f".{name}"
        seen = hashlib.sha256()
        try:
            with write_faults(draft):
                self._files.make_folder(draft.parent)
                self._files.write_atomic(draft, watch(read_parts(stream), seen))
                path = self.path(check_content(digest, seen.hexdigest()))
                self._files.make_folder(path.parent)
                crash_point("blobs.before_rename")
                self._files.move(draft, path)
        finally:
            self._files.remove(draft)
        crash_point("blobs.after_rename")
        return path.name

    def _holds(self, path: Path, content: bytes) -> bool:
        # A blob that was cut or swapped on disk is written anew, so it is read, not only looked for.
        # It is made young before that, so that a sweep which has found it old looks again and spares it.
        try:
            with contextlib.suppress(PermissionError):  # of another user, or in a home that is read only
                self._files.touch(path)
            return self._files.read(path) == content
        except FileNotFoundError:
            return False
        except OSError as fault:
            if fault.errno != errno.EROFS:
                raise
            return self._files.read(path) == content

    def _parts(self, content: bytes) -> Iterator[bytes]:
        yield content
        crash_point("blobs.before_rename")


def sweep_drafts(root: Path, before: float, *, first: int = 0, most: int = MOST_ENTRIES) -> int:
    """Remove the temporary files of writers that were killed, and put back what a killed sweep laid aside.

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
    for aside in (root / ASIDE).glob("*"):
        put_back(aside)
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


def sweep_blob(root: Path, digest: str, before: float) -> int | None:
    """Remove a blob that nothing names, unless it was put again.

    Parameters
    ----------
    root : Path
        Folder of blobs.
    digest : str
        Of the blob.
    before : float
        Seconds since 1970; a blob that was put since then stays.

    Returns
    -------
    int or None
        Its length; None when it stays, or is gone already.

    Notes
    -----
    Guarantees: a blob whose `put` returned, at whatever moment of a sweep, is there afterwards.
    `put` makes a blob young and then reads it; a sweep lays it aside under another name and then
    looks at its age. Whichever comes first, one of the two sees the other: the sweep puts a young
    one back, and `put` writes one anew that it does not find. A sweep that was killed loses
    nothing either: what was laid aside is put back by `sweep_drafts`.
    """
    path = root / check_digest(digest)[:2] / digest
    aside = root / ASIDE / digest
    aside.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        if path.stat().st_mtime >= before:
            return None
        crash_point("sweep.seen")
        path.rename(aside)
        crash_point("sweep.aside")
        facts = aside.stat()
        if facts.st_mtime >= before:
            crash_point("sweep.spared")
            put_back(aside)
            return None
        aside.unlink()
    except FileNotFoundError:
        return None
    return facts.st_size


def put_back(aside: Path) -> None:
    """Give a blob that was laid aside its name again, unless it was put anew meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        with contextlib.suppress(FileExistsError):
            (aside.parent.parent / aside.name[:2] / aside.name).hardlink_to(aside)
        aside.unlink()


def no_blob(digest: str) -> NotFound:
    """Make the error of bytes that are gone."""
    return NotFound("HOME-013", f"no bytes are stored under {digest}", digest=digest)
