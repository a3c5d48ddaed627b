"""Codecs of NumPy arrays and Polars tables."""

from __future__ import annotations

import io
from typing import Any

from mainspring.tracking.codec import Storage, library_of


class Array:
    """NumPy arrays and scalars without Python objects in them."""

    name = "ndarray"

    def accepts(self, value: Any) -> bool:
        """Accept exact arrays and NumPy's scalars."""
        if library_of(value) != "numpy":
            return False
        import numpy

        return (type(value) is numpy.ndarray or isinstance(value, numpy.generic)) and not value.dtype.hasobject

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Write NumPy's own format; a scalar is an array without dimensions."""
        import numpy

        file = io.BytesIO()
        scalar = isinstance(value, numpy.generic)
        file.write(b"s" if scalar else b"a")
        numpy.save(file, numpy.asarray(value), allow_pickle=False)
        return file.getvalue()

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Read it back; never unpickles."""
        import numpy

        file = io.BytesIO(content)
        scalar = file.read(1) == b"s"
        array = numpy.load(file, allow_pickle=False)
        return array[()] if scalar else array

    def summarise(self, value: Any) -> str:
        """Say type and shape."""
        if not value.shape:
            return str(value)
        return f"array {value.dtype} {' x '.join(f'{length:,}' for length in value.shape)}"


class Table:
    """Polars frames and series, as an Arrow IPC file."""

    name = "arrow"

    def accepts(self, value: Any) -> bool:
        """Accept exact frames and series; a lazy frame is a plan, not data."""
        if library_of(value) != "polars":
            return False
        import polars

        kinds = value.dtypes if type(value) is polars.DataFrame else [getattr(value, "dtype", None)]
        return type(value) in {polars.DataFrame, polars.Series} and polars.Object not in kinds

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Write one record batch for each chunk, compressed by LZ4."""
        import polars

        file = io.BytesIO()
        series = isinstance(value, polars.Series)
        file.write(b"s" if series else b"f")
        body = io.BytesIO()
        (value.to_frame() if series else value).write_ipc(body, compression="lz4")
        file.write(body.getvalue())
        return file.getvalue()

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Read it back."""
        import polars

        frame = polars.read_ipc(io.BytesIO(content[1:]), memory_map=False)
        return frame.to_series() if content[:1] == b"s" else frame

    def summarise(self, value: Any) -> str:
        """Say rows and columns."""
        rows = f"{len(value):,} rows"
        return f"table of {rows} x {len(value.columns)}" if hasattr(value, "columns") else f"series of {rows}"
