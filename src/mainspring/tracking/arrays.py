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
        import numpy as np

        return (type(value) is np.ndarray or isinstance(value, np.generic)) and not value.dtype.hasobject

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Write NumPy's own format; a scalar is an array without dimensions."""
        import numpy as np

        file = io.BytesIO()
        scalar = isinstance(value, np.generic)
        file.write(b"s" if scalar else b"a")
        np.save(file, np.asarray(value), allow_pickle=False)
        return file.getvalue()

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Read it back; never unpickles."""
        import numpy as np

        file = io.BytesIO(content)
        scalar = file.read(1) == b"s"
        array = np.load(file, allow_pickle=False)
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
        import polars as pl

        kinds = value.dtypes if type(value) is pl.DataFrame else [getattr(value, "dtype", None)]
        return type(value) in {pl.DataFrame, pl.Series} and pl.Object not in kinds

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Write one record batch for each chunk, compressed by LZ4."""
        import polars as pl

        file = io.BytesIO()
        series = isinstance(value, pl.Series)
        file.write(b"s" if series else b"f")
        body = io.BytesIO()
        (value.to_frame() if series else value).write_ipc(body, compression="lz4")
        file.write(body.getvalue())
        return file.getvalue()

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Read it back."""
        import polars as pl

        frame = pl.read_ipc(io.BytesIO(content[1:]))
        return frame.to_series() if content[:1] == b"s" else frame

    def summarise(self, value: Any) -> str:
        """Say rows and columns."""
        rows = f"{len(value):,} rows"
        return f"table of {rows} x {len(value.columns)}" if hasattr(value, "columns") else f"series of {rows}"
