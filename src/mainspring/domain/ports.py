"""Ports to what is outside a process: the clock, randomness and the file system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol


class Clock(Protocol):
    """Where time is read; a simulator gives its own."""

    def now(self) -> float:
        """Return the wall time in seconds since 1970 UTC; it may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that MUST never go backwards; leases use it."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class Randomness(Protocol):
    """Where random bits are drawn; a test gives a seeded one."""

    def bits(self, count: int) -> int:
        """Return an unsigned integer of at most `count` random bits."""
        ...


class FileSystem(Protocol):
    """The file operations of the record; a test gives one that fails on purpose.

    Every method raises `OSError` as the operating system would.
    """

    def read(self, path: Path) -> bytes:
        """Return the whole content."""
        ...

    def write_atomic(self, path: Path, parts: Iterator[bytes]) -> None:
        """Write a file whole or not at all.

        MUST write to a temporary file of the same folder, fsync it, rename it over `path`
        and fsync the folder, and MUST remove the temporary file when anything fails.
        """
        ...

    def append(self, path: Path, content: bytes) -> None:
        """Append with one `write`; the content MUST be in the kernel on return."""
        ...

    def move(self, source: Path, target: Path) -> None:
        """Rename a file over another of the same disk; MUST be durable on return."""
        ...

    def touch(self, path: Path) -> None:
        """Have a file count as written now; a missing one is `FileNotFoundError`."""
        ...

    def exists(self, path: Path) -> bool:
        """Tell whether a file or folder is there."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; a missing one is no error."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, mode 0700; an existing one is no error."""
        ...


class StoredBlob(NamedTuple):
    """A blob that a store lists.

    Attributes
    ----------
    digest : str
        Its name.
    size_bytes : int
        As stored.
    modified_at : float
        When it was stored, in seconds since 1970 UTC, by the store's clock.
    """

    digest: str
    size_bytes: int
    modified_at: float


class Blobs(Protocol):
    """Content-addressed bytes, named by the 64 hexadecimal characters of their SHA-256.

    Several threads and processes use one store at the same time. Every method MUST raise
    `Invalid` HOME-014 for a text that is no digest, and MUST NOT show credentials in an error.
    A store that is reached over a network MUST try again what is safe to repeat, a bounded number
    of times, and then raise `Unavailable` BLOB-008 when it does not answer, BLOB-007 when the
    place is gone, `Denied` BLOB-006 when it refuses; an absent place is never an absent blob.
    """

    def put(self, content: bytes | BinaryIO, digest: str = "") -> str:
        """Store bytes and return their digest.

        MUST be atomic and durable on return, MUST be idempotent, and MUST replace bytes that were
        cut or swapped. A stream MUST be read to its end in bounded memory. Bytes that are not those
        of a `digest` that is given MUST be refused with `Invalid` HOME-014 before anybody sees them.
        """
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes.

        MUST raise `NotFound` HOME-013 when they are gone and `Invalid` HOME-014 when they do
        not match the digest.
        """
        ...

    def stream(self, digest: str) -> Iterator[bytes]:
        """Yield the bytes in parts of bounded size.

        MUST raise as `get` does; a mismatch may show itself only after the last part, so what
        was made of the parts before is to be thrown away then.
        """
        ...

    def path(self, digest: str) -> Path:
        """Return a file of this machine that holds the bytes, for readers that map it.

        A remote store MUST copy them to a bounded cache, whole or not at all, checked, and
        raises as `get` does. The file stays for at least a minute; who needs it longer links it.
        """
        ...

    def exists(self, digest: str) -> bool:
        """Tell whether the bytes are there."""
        ...

    def measure(self, digest: str) -> int | None:
        """Return the length where it can be told without a network; None: it cannot."""
        ...

    def list(self) -> Iterator[StoredBlob]:
        """Yield every blob once, in no order; what is put meanwhile may be left out."""
        ...

    def delete(self, digest: str) -> None:
        """Remove the bytes; missing ones are no error."""
        ...

    def remove_old(self, digest: str, before: float) -> int | None:
        """Remove the bytes unless they were put at or after `before`; return their length, None when they stay.

        `put` of bytes that are there MUST make them count as put now, within half an hour. In a folder no
        `put` that returned may lose its bytes; a store that cannot promise that is swept as
        `mainspring.control.sweeps` does it, which tells who has lost.
        """
        ...

    def presign(self, digest: str, seconds: float) -> str | None:
        """Return a URL that reads the bytes without credentials for that long; None: it cannot."""
        ...

    def beside(self, name: str) -> Path | None:
        """Return a copy of what lies in the place under a name that is no digest, as files of tables do.

        None: nothing else lies there. What lies under a name MUST NOT change. MUST raise `NotFound`
        HOME-013 when it is gone. The copy has its digest for a name, and stays for at least a minute.
        """
        ...

    def claim(self, record_id: str, *, anew: bool) -> None:
        """Mark the place as that of a record, once for each owner's start.

        `anew` is True as long as the home has not claimed it before: then the place is tried, and
        MUST be refused with `Invalid` BLOB-005 when it cannot create an object only if there is
        none. MUST raise `Conflict` BLOB-004 when another record's mark is there, and
        `Unavailable` BLOB-007 when the mark is gone and `anew` is False.
        """
        ...
