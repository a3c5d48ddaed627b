"""One way to write values of a kind as bytes, and what it may use."""

from __future__ import annotations

from typing import Any, BinaryIO, Protocol

from mainspring.domain.ports import Blobs
from mainspring.domain.records import Value
from mainspring.security.seals import Seal


class Storage(Protocol):
    """What a codec reaches: blobs, the project's seal, and the other codecs for its parts."""

    blobs: Blobs
    seal: Seal

    def put(self, content: bytes | BinaryIO) -> str:
        """Store bytes that are a part; return their digest."""
        ...

    def store(self, value: Any) -> Value:
        """Store a part."""
        ...

    def load(self, stored: Value) -> Any:
        """Load a part."""
        ...


class Codec(Protocol):
    """Writes values of one kind.

    `accepts` MUST decide by the name of the type's module before it imports anything, and `read`
    MUST give a value that equals the one written.
    """

    name: str

    def accepts(self, value: Any) -> bool:
        """Tell whether this codec writes the value."""
        ...

    def write(self, value: Any, storage: Storage) -> bytes:
        """Return the bytes of the value."""
        ...

    def read(self, content: bytes, storage: Storage) -> Any:
        """Return the value of the bytes."""
        ...

    def summarise(self, value: Any) -> str:
        """Say in a few words what the value is; the size is added by the caller."""
        ...


def library_of(value: Any) -> str:
    """Return the top-level module of a value's type."""
    module: str = type(value).__module__
    return module.partition(".")[0]
