"""Universal Binary JSON, as XGBoost writes it: read strictly, so that what is checked is what is there."""

from __future__ import annotations

from typing import Any

import numpy as np

_MOST_DEEP = 32
_NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_CONSTANTS = {b"T": True, b"F": False, b"Z": None}


def read_ubjson(content: bytes) -> Any:
    r"""Return the value that the bytes hold.

    Returns
    -------
    dict, list, ndarray, str, int, float, bool or None
        An array whose elements share a type is an array of NumPy's.

    Raises
    ------
    ValueError
        The bytes are cut short or go on, are nested more than 32 deep, name a key twice, or hold
        something that XGBoost does not write.

    Examples
    --------
    >>> read_ubjson(b"{i\x01ai\x07}")
    {'a': 7}
    """
    reader = _Reader(content)
    value = reader.read_value(0)
    if reader.place != len(content):
        raise ValueError(f"{len(content) - reader.place} bytes follow the end")
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def read_value(self, depth: int) -> Any:
        marker = self._take(1)
        if depth > _MOST_DEEP:
            raise ValueError(f"it is nested more than {_MOST_DEEP} deep")
        if marker == b"{":
            return self._read_object(depth)
        if marker == b"[":
            return self._read_array(depth)
        if marker == b"S":
            return self._read_text()
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        return self._read_numbers(marker, 1)[0].item()

    def _read_object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.content[self.place : self.place + 1] != b"}":
            name = self._read_text()
            if name in found:
                raise ValueError(f"{name!r} stands there twice")
            found[name] = self.read_value(depth + 1)
        self.place += 1
        return found

    def _read_array(self, depth: int) -> Any:
        marker = self._take(1)
        kind = self._take(1) if marker == b"$" else None
        if (marker if kind is None else self._take(1)) != b"#":
            raise ValueError(f"an array at byte {self.place} does not say how long it is")
        count = self._read_count()
        if kind is not None:
            return self._read_numbers(kind, count)
        if count > len(self.content) - self.place:
            raise ValueError(f"an array of {count:,} elements does not fit")
        return [self.read_value(depth + 1) for _ in range(count)]

    def _read_text(self) -> str:
        return self._take(self._read_count()).decode()

    def _read_count(self) -> int:
        marker = self._take(1)
        count = self._read_numbers(marker, 1)[0].item()
        if not isinstance(count, int) or count < 0:
            raise ValueError(f"{count} is no length")
        return count

    def _read_numbers(self, marker: bytes, count: int) -> Any:
        if marker not in _NUMBERS:
            raise ValueError(f"{marker!r} at byte {self.place} is no type")
        kind = np.dtype(_NUMBERS[marker])
        return np.frombuffer(self._take(kind.itemsize * count), kind).astype(kind.newbyteorder("="))

    def _take(self, size: int) -> bytes:
        end = self.place + size
        if end > len(self.content):
            raise ValueError(f"it is cut short at byte {len(self.content):,}")
        found = self.content[self.place : end]
        self.place = end
        return found
