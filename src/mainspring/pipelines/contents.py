"""Digests of the content of values, the same in every process and on every machine."""

from __future__ import annotations

import copyreg
import enum
import hashlib
import io
import marshal
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from mainspring.domain.errors import Invalid
from mainspring.domain.records import Value
from mainspring.pipelines import modules
from mainspring.pipelines.reach import LITERAL_LENGTH, digest_scalar, find_reach

_EXACT = frozenset({type(None), bool, int, float, complex, str, bytes, type(Ellipsis)})
_LITERALS = frozenset({type(None), bool, int, float, str})
_CHUNK_BYTES = 1 << 20
_YOUNG_S = 2.0
"""Times of files are coarse: one that is younger may be written again, as long as before, and keep its time."""


def digest_content(value: Any, name: str = "the value") -> str:
    """Digest what a value holds.

    Parameters
    ----------
    value : object
        Scalars, containers, arrays, tables, dataclasses, functions, classes and paths by content;
        handles by their ``__mainspring_digest__()``; anything else by what pickle would write.
    name : str, default "the value"
        What the user calls it, for the error.

    Returns
    -------
    str
        ``=`` and the text of a short scalar or flat container, else ``kind:`` and 32 hexadecimal
        characters.

    Raises
    ------
    Invalid
        STEP-002 when it has no content, such as an open file or a generator.

    Notes
    -----
    Guarantees: equal after a trip through `tracking.codecs`. A set has no order, a dict has its
    own. Cost: about 1 ns a byte for arrays and tables.
    """
    kind = type(value)
    if kind in _LITERALS:
        return digest_scalar(value)
    if kind in {list, tuple, dict} and len(value) <= 12 and _is_flat(value):
        text = repr(value)
        if len(text) <= LITERAL_LENGTH:
            return f"={text}"
    try:
        return f"{kind.__name__}:{_Content(name).digest(value).hex()[:32]}"
    except RecursionError:
        raise Invalid("STEP-002", f"{name} is nested too deeply to be read") from None


def digest_constant(value: Any, label: str) -> str:
    """Digest a value that code names; one without content, such as a lock, counts by its type.

    Parameters
    ----------
    value : object
        What a name of a module or a captured variable stands for.
    label : str
        Such as ``flows.py:FILE``.

    Raises
    ------
    Invalid
        STEP-002 for a generator or a file that is open for reading: its type says nothing of what it gives next.
    """
    try:
        return digest_content(value)
    except Invalid:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        if isinstance(value, Iterator) and _gives(value):
            file, _, name = label.rpartition(":")
            what = f"{name} of {file} is an object of type {kind}, and the code of the step reads it"
            raise Invalid("STEP-002", what, type=kind) from None
        return f"type:{type(value).__module__}.{type(value).__qualname__}"


def _gives(value: Iterator[Any]) -> bool:
    return not isinstance(value, io.IOBase) or (not value.closed and value.readable())


def _is_flat(value: Any) -> bool:
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    return set(map(type, parts)) <= _LITERALS


class _Content:
    """One walk; what several parts share is digested once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: dict[int, tuple[Any, bytes]] = {}
        self._open: dict[int, int] = {}

    def digest(self, value: Any) -> bytes:
        if type(value) in _EXACT:
            return hashlib.sha256(b"scalar" + _write_scalar(value)).digest()
        known = self._known.get(id(value))
        if known is not None:
            return known[1]
        if id(value) in self._open:
            return b"cycle%d" % (len(self._open) - self._open[id(value)])
        self._open[id(value)] = len(self._open)
        try:
            digest = hashlib.sha256()
            self._write(value, digest)
        finally:
            del self._open[id(value)]
        self._known[id(value)] = value, digest.digest()
        return digest.digest()

    def _write(self, value: Any, digest: Any) -> None:
        kind = type(value)
        library = kind.__module__.partition(".")[0]
        if hasattr(kind, "__mainspring_digest__"):
            digest.update(f"handle {kind.__qualname__} {value.__mainspring_digest__()}".encode())
        elif kind in {list, tuple}:
            self._write_sequence(kind.__name__, value, digest)
        elif kind is dict:
            self._write_sequence("keys", list(value), digest)
            self._write_sequence("values", list(value.values()), digest)
        elif kind in {set, frozenset}:
            digest.update(b"set" + b"".join(sorted(map(self.digest, value))))
        elif library == "numpy" and hasattr(value, "dtype") and hasattr(value, "shape"):
            self._write_array(value, digest)
        elif library == "polars" and kind.__name__ in {"DataFrame", "Series"}:
            self._write_table(value, digest)
        elif isinstance(value, Path):
            _write_path(value, digest)
        elif isinstance(value, Value):
            digest.update(f"value {value.codec} {value.digest}".encode())
        elif not self._write_code(value, digest):
            self._write_object(value, digest)

    def _write_sequence(self, tag: str, parts: Any, digest: Any) -> None:
        digest.update(f"{tag} {len(parts)} ".encode())
        if set(map(type, parts)) <= _EXACT - {type(Ellipsis)}:
            digest.update(b"flat" + marshal.dumps(list(parts), 2))
        else:
            for part in parts:
                digest.update(self.digest(part))

    def _write_array(self, value: Any, digest: Any) -> None:
        import numpy as np

        array = np.asarray(value)
        digest.update(f"array {array.dtype.descr!r} {array.shape} {isinstance(value, np.generic)} ".encode())
        if array.dtype.hasobject:
            self._write_sequence("objects", array.reshape(-1).tolist(), digest)
        elif array.size and array.dtype.itemsize:
            digest.update(np.ascontiguousarray(array).reshape(-1).view("u1"))

    def _write_table(self, value: Any, digest: Any) -> None:
        if hasattr(value, "columns"):
            digest.update(f"table {len(value)} {value.columns!r}".encode())
            for column in value.get_columns():
                self._write_column(column, digest)
        else:
            digest.update(f"series {value.name!r}".encode())
            self._write_column(value, digest)

    def _write_column(self, column: Any, digest: Any) -> None:
        """Write a column by its values alone, not by how its buffers lie in memory."""
        import polars as pl

        kind = column.dtype
        digest.update(f"column {kind!r} {len(column)}".encode())
        if kind == pl.Object:
            self._write_sequence("objects", column.to_list(), digest)
            return
        if column.null_count():
            self._write_array(column.is_null().to_numpy(), digest)
            column = column.drop_nulls()
        if isinstance(kind, pl.Struct):
            for field in column.struct.fields:
                self._write_column(column.struct.field(field), digest)
        elif isinstance(kind, pl.Array | pl.List):
            lists = column.cast(pl.List(kind.inner))
            lengths = lists.list.len()
            self._write_array(lengths.to_numpy(), digest)
            self._write_column(lists.filter(lengths > 0).explode(), digest)
        elif kind.is_numeric() and not kind.is_decimal():
            self._write_array(column.to_numpy(), digest)
        elif kind.is_temporal() or kind == pl.Boolean:
            self._write_array(column.to_physical().cast(pl.Int64).to_numpy(), digest)
        elif kind != pl.Null:
            text = column.bin.encode("hex") if kind == pl.Binary else column.cast(pl.String)
            self._write_array(text.str.len_bytes().to_numpy(), digest)
            digest.update((text.str.join("").item() if len(text) else "").encode())

    def _write_code(self, value: Any, digest: Any) -> bool:
        """Write functions, classes and modules; tell whether it was one."""
        if isinstance(value, FunctionType | type):
            digest.update(b"code " + self._digest_code(value))
        elif isinstance(value, MethodType):
            digest.update(b"method " + self.digest(value.__self__) + self.digest(value.__func__))
        elif isinstance(value, BuiltinFunctionType):
            digest.update(f"builtin {value.__module__}.{value.__qualname__}".encode())
            if value.__self__ is not None and not isinstance(value.__self__, ModuleType):
                digest.update(self.digest(value.__self__))
        elif isinstance(value, ModuleType):
            digest.update(f"module {value.__name__}".encode())
        elif isinstance(wrapped := getattr(value, "__dict__", {}).get("__wrapped__"), FunctionType):
            digest.update(f"wrapped {type(value).__qualname__}".encode() + self._digest_code(wrapped))
        else:
            return False
        return True

    def _digest_code(self, value: Any) -> bytes:
        name = f"{value.__module__}.{value.__qualname__}"
        if modules.origin_of_name(value.__module__) != "project":
            return name.encode()
        reach = find_reach(value)
        parts = [f"{label.rpartition(':')[2]} {found}" for label, found in reach.code.items()]
        for label, constant in reach.constants:
            if constant is not value and id(constant) not in self._open:
                parts.append(f"{label.rpartition(':')[2]} {digest_constant(constant, label)}")
        return hashlib.sha256("\0".join(sorted(parts)).encode()).digest()

    def _write_object(self, value: Any, digest: Any) -> None:
        kind = type(value)
        digest.update(b"object " + self._digest_code(kind))
        if isinstance(value, enum.Enum):
            digest.update(value.name.encode())
        else:
            self._write_reduced(value, digest)

    def _write_reduced(self, value: Any, digest: Any) -> None:
        # Libraries such as distributed have exceptions pickled with their traceback, which is no content.
        reducer = None if isinstance(value, BaseException) else copyreg.dispatch_table.get(type(value))
        try:
            reduced: Any = reducer(value) if reducer is not None else value.__reduce_ex__(4)
        except Exception as fault:  # noqa: BLE001 - whatever a type's own reduction raises means that it has no content
            raise self._refuse(value, fault) from None
        if isinstance(reduced, str):
            digest.update(reduced.encode())
            return
        make, arguments, *rest = reduced
        state, items, pairs = (*rest, None, None, None)[:3]
        digest.update(f"{getattr(make, '__module__', '')}.{getattr(make, '__qualname__', '')}".encode())
        digest.update(self.digest(arguments))
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            named = isinstance(part, dict) and set(map(type, part)) <= {str}
            digest.update(self.digest(dict(sorted(part.items())) if named else part))
        digest.update(self.digest(list(items or ())) + self.digest([list(each) for each in pairs or ()]))

    def _refuse(self, value: Any, fault: Exception) -> Invalid:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        return Invalid("STEP-002", f"{self._name} holds an object of type {kind}: {fault}", type=kind)


def _write_scalar(value: Any) -> bytes:
    return b"..." if value is Ellipsis else marshal.dumps(value, 2)


def _write_path(path: Path, digest: Any) -> None:
    digest.update(f"path {path.name} ".encode("utf-8", "surrogateescape"))
    if path.is_dir():
        for each in sorted(path.rglob("*")):
            if each.is_file():
                digest.update(each.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + _digest_file(each))
    elif path.exists():
        digest.update(_digest_file(path))
    else:
        digest.update(b"missing")


def _digest_file(path: Path) -> bytes:
    status = path.stat()
    if time.time() - status.st_mtime < _YOUNG_S:
        return _read_file(str(path))
    return _read_digest(str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino)


@cache
def _read_digest(path: str, size_bytes: int, modified_ns: int, inode: int) -> bytes:  # noqa: ARG001 - the memo's key
    return _read_file(path)


def _read_file(path: str) -> bytes:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()
