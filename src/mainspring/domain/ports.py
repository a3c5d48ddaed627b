"""Ports to what is outside a process: the clock, randomness and the file system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol


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

    def exists(self, path: Path) -> bool:
        """Tell whether a file or folder is there."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file; a missing one is no error."""
        ...

    def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, mode 0700; an existing one is no error."""
        ...


class Blobs(Protocol):
    """Content-addressed bytes, named by the 64 hexadecimal characters of their SHA-256."""

    def put(self, content: bytes) -> str:
        """Store bytes and return their digest.

        MUST be atomic and durable on return, and MUST be idempotent.
        """
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes.

        MUST raise `NotFound` HOME-013 when they are gone and `Invalid` HOME-014 when they do
        not match the digest.
        """
        ...

    def path(self, digest: str) -> Path:
        """Return the file that holds the bytes, for readers that map or stream it."""
        ...

    def exists(self, digest: str) -> bool:
        """Tell whether the bytes are there."""
        ...
