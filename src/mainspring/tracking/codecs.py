"""Store and load any value: the first codec that accepts its type writes it."""

from __future__ import annotations

from typing import Any, BinaryIO

from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.ports import Blobs
from mainspring.domain.records import Value
from mainspring.domain.units import format_size
from mainspring.security.seals import Seal
from mainspring.tracking.arrays import Array, Table
from mainspring.tracking.checkpoints import STATES
from mainspring.tracking.codec import Codec
from mainspring.tracking.displays import DISPLAYS
from mainspring.tracking.pickles import Sealed
from mainspring.tracking.plain import Bytes, Json, Text
from mainspring.tracking.structures import Collection, File, Record

_SEALED = Sealed()
CODECS: tuple[Codec, ...] = (
    STATES,
    Text(),
    Bytes(),
    Json(),
    Array(),
    Table(),
    File(),
    Record(),
    Collection(),
    _SEALED,
)
_BY_NAME = {codec.name: codec for codec in (*DISPLAYS, *CODECS)}


def store_value(value: Any, blobs: Blobs, seal: Seal) -> Value:
    """Write a value to the blobs in the format of its type.

    Parameters
    ----------
    value : object
        Arrays, tables, dataclasses, JSON, text, bytes and paths keep formats of their own;
        anything else is pickled and sealed.
    blobs : Blobs
        Where the bytes go.
    seal : Seal
        The project's seal.

    Returns
    -------
    Value
        What the record keeps.

    Raises
    ------
    Invalid
        STEP-001 when the value, or an attribute of it, cannot be stored.

    Notes
    -----
    Guarantees: the bytes are durable on return; nothing is imported that the value's type did not
    import already.
    """
    return _Storage(blobs, seal).store(value)


def store_shown(value: Any, blobs: Blobs, seal: Seal) -> Value:
    """Write what was logged: figures and pictures as such, the rest as `store_value` does.

    Parameters
    ----------
    value : object
        Matplotlib's and Plotly's figures, Pillow's pictures, arrays that look like one, tables of
        pandas or Arrow, or what `store_value` takes.
    blobs : Blobs
        Where the bytes go.
    seal : Seal
        The project's seal.
    """
    codec = next((each for each in DISPLAYS if each.accepts(value)), None)
    if codec is None:
        return store_value(value, blobs, seal)
    storage = _Storage(blobs, seal)
    return storage.keep(codec, codec.write(value, storage), codec.summarise(value))


def load_value(value: Value, blobs: Blobs, seal: Seal) -> Any:
    """Read a stored value.

    Raises
    ------
    NotFound
        HOME-013 when its bytes are gone; STEP-010 when its class is.
    Denied
        HOME-012 when a sealed value was not sealed by this project.
    """
    return _Storage(blobs, seal).load(value)


def find_codec(value: Any) -> Codec:
    """Return the codec that would write the value."""
    return next(codec for codec in CODECS if codec.accepts(value))


class _Storage:
    def __init__(self, blobs: Blobs, seal: Seal) -> None:
        self.blobs = blobs
        self.seal = seal
        self._stored: list[str] = []

    def put(self, content: bytes | BinaryIO) -> str:
        self._stored.append(self.blobs.put(content))
        return self._stored[-1]

    def store(self, value: Any) -> Value:
        _refuse_plans(value)
        before = len(self._stored)
        codec = find_codec(value)
        try:
            content = codec.write(value, self)
        except MainspringError:
            raise
        except Exception:  # a library's own format has limits that only writing shows; pickle has not
            if codec is _SEALED:
                raise
            codec = _SEALED
            content = codec.write(value, self)
        return self.keep(codec, content, codec.summarise(value), before)

    def keep(self, codec: Codec, content: bytes, summary: str, before: int = 0) -> Value:
        """Store the bytes of a value whose parts were stored after the first `before` ones."""
        digest = self.put(content)
        parts = tuple(dict.fromkeys(self._stored[before:-1]))
        return Value(codec.name, digest, len(content), f"{summary}, {format_size(len(content))}", parts)

    def load(self, stored: Value) -> Any:
        codec = _BY_NAME.get(stored.codec)
        if codec is None:
            raise Invalid("STEP-011", f"a value is written as {stored.codec!r}, which this version cannot read")
        return codec.read(self.blobs.get(stored.digest), self)


def _refuse_plans(value: Any) -> None:
    """Refuse what is a way to compute a value rather than one."""
    if type(value).__module__.startswith("polars") and type(value).__name__ == "LazyFrame":
        raise Invalid("STEP-001", "the result is a polars LazyFrame, which is a plan", fix="return frame.collect()")
    if type(value).__name__ in {"generator", "coroutine", "async_generator", "map", "filter", "zip"}:
        kind = type(value).__name__
        raise Invalid("STEP-001", f"the result is of type {kind}, which is used up by reading", fix="return a list")
