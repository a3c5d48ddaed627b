"""Codecs of what `log` keeps to be looked at: figures, pictures, tables of other libraries."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from mainspring.domain.errors import Invalid
from mainspring.tracking.arrays import Table
from mainspring.tracking.codec import Codec, Storage, library_of

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct("!IIBBBBB")
# Values of a pixel -> PNG's word for it: grey, colour, colour with opacity.
_COLOURS = {1: 0, 3: 2, 4: 6}


class Figure:
    """Matplotlib's figures and Pillow's pictures, as PNG; read back as the bytes of it."""

    name = "png"

    def accepts(self, value: Any) -> bool:
        """Accept a figure, or a picture."""
        return (library_of(value) == "matplotlib" and hasattr(value, "savefig")) or (
            library_of(value) == "PIL" and hasattr(value, "save")
        )

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Draw it."""
        file = io.BytesIO()
        if hasattr(value, "savefig"):
            value.savefig(file, format="png")
        else:
            value.save(file, format="PNG")
        return file.getvalue()

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Return the bytes."""
        return content

    def summarise(self, value: Any) -> str:
        """Say which of the two, and how large."""
        size = getattr(value, "size", None)
        return f"image {size[0]:,} x {size[1]:,}" if size else "figure"


class Image:
    """NumPy arrays of 8 bits that have the shape of a picture, as PNG; read back as they were."""

    name = "image"

    def accepts(self, value: Any) -> bool:
        """Accept height x width, and height x width x 1, 3 or 4."""
        if library_of(value) != "numpy" or type(value).__name__ != "ndarray" or value.dtype.str != "|u1":
            return False
        flat = value.ndim == 2 or (value.ndim == 3 and value.shape[2] in _COLOURS)
        return bool(flat and value.size)

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Write rows without a filter."""
        import numpy as np

        height, width = value.shape[:2]
        depth = value.shape[2] if value.ndim == 3 else 1
        rows = np.zeros((height, 1 + width * depth), np.uint8)
        rows[:, 1:] = value.reshape(height, width * depth)
        head = _HEADER.pack(width, height, 8, _COLOURS[depth], 0, 0, 0)
        # A private chunk: whether a grey picture had a third axis.
        chunks = ((b"IHDR", head), (b"maXs", bytes([value.ndim])), (b"IDAT", zlib.compress(rows.tobytes(), 6)))
        return _SIGNATURE + b"".join(_frame(*chunk) for chunk in (*chunks, (b"IEND", b"")))

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Read what `write` wrote."""
        import numpy as np

        chunks = _list_chunks(content)
        width, height, _, colour, *_ = _HEADER.unpack(chunks[b"IHDR"])
        depth = next(depth for depth, word in _COLOURS.items() if word == colour)
        rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * depth)
        shape = (height, width) if chunks[b"maXs"] == b"\x02" else (height, width, depth)
        return rows[:, 1:].reshape(shape).copy()

    def summarise(self, value: Any) -> str:
        """Say how large."""
        return f"image {value.shape[1]:,} x {value.shape[0]:,}"


class Plot:
    """Plotly's figures, as their JSON; read back as the dict of it."""

    name = "plotly"

    def accepts(self, value: Any) -> bool:
        """Accept a figure."""
        return library_of(value) == "plotly" and hasattr(value, "to_json")

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Have it written."""
        return str(value.to_json()).encode()

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Return data and layout; ``plotly.graph_objects.Figure`` takes them."""
        import json

        return json.loads(content)

    def summarise(self, value: Any) -> str:  # noqa: ARG002 - the port's signature
        """Name the kind."""
        return "plotly figure"


class ForeignTable:
    """Tables of pandas and whatever speaks Arrow, as `Table` writes them; read back as a Polars frame."""

    name = Table.name
    _table = Table()

    def accepts(self, value: Any) -> bool:
        """Accept a pandas frame or series, and other objects with Arrow's interface of streams."""
        if library_of(value) == "pandas":
            return type(value).__name__ in {"DataFrame", "Series"}
        return library_of(value) != "polars" and hasattr(type(value), "__arrow_c_stream__")

    def write(self, value: Any, storage: Storage) -> bytes:
        """Convert it; an index that is more than a count becomes columns."""
        return self._table.write(_convert(value), storage)

    def read(self, content: bytes, storage: Storage) -> Any:
        """Return a Polars frame."""
        return self._table.read(content, storage)

    def summarise(self, value: Any) -> str:
        """Say rows and columns."""
        return self._table.summarise(_convert(value))


DISPLAYS: tuple[Codec, ...] = (Figure(), Image(), Plot(), ForeignTable())


def _convert(value: Any) -> Any:
    import polars as pl

    if library_of(value) != "pandas":
        return pl.DataFrame(value)
    frame = value.to_frame() if hasattr(value, "to_frame") else value
    if type(frame.index).__name__ != "RangeIndex":
        frame = frame.reset_index()
    columns = {str(name): _list_values(frame[name]) for name in frame.columns}
    if len(columns) < len(frame.columns):
        raise Invalid("STEP-001", "two columns of the pandas frame have one name", fix="rename one of them")
    return pl.DataFrame(columns, strict=False)


def _list_values(column: Any) -> Any:
    """Return a column for Polars without PyArrow, which pandas need not have."""
    array = column.to_numpy()
    return array if array.dtype.kind in "biufM" else [None if each != each else each for each in column.tolist()]  # noqa: PLR0124 - NaN


def _frame(kind: bytes, content: bytes) -> bytes:
    return struct.pack("!I", len(content)) + kind + content + struct.pack("!I", zlib.crc32(kind + content))


def _list_chunks(content: bytes) -> dict[bytes, bytes]:
    found, at = {}, len(_SIGNATURE)
    while at < len(content):
        (size,) = struct.unpack_from("!I", content, at)
        found[content[at + 4 : at + 8]] = content[at + 8 : at + 8 + size]
        at += 12 + size
    return found
