"""The codec of everything else: pickled, sealed with the project's key."""

from __future__ import annotations

import io
import sys
from functools import cache
from types import ModuleType
from typing import Any

from mainspring.domain.errors import Invalid
from mainspring.security.unsafe import unpickle
from mainspring.tracking.codec import Storage, library_of

_DEPTH = 4
# Libraries whose objects are named whole: what they are made of tells a user nothing.
_WHOLE = frozenset({"builtins", "mainspring", "numpy", "polars"})
_PARTS = 200


class Sealed:
    """Values that have no safe format of their own; only this project's processes open them."""

    name = "sealed"

    def accepts(self, value: Any) -> bool:  # noqa: ARG002 - the port's signature
        """Accept all; `write` refuses what cannot be pickled."""
        return True

    def write(self, value: Any, storage: Storage) -> bytes:
        """Pickle and seal."""
        return storage.seal.seal(pickle_value(value, "STEP-001", "the result"))

    def read(self, content: bytes, storage: Storage) -> Any:
        """Check the seal, then unpickle."""
        return unpickle(content, storage.seal)

    def summarise(self, value: Any) -> str:
        """Name the type."""
        return type(value).__name__


def pickle_value(value: Any, code: str, subject: str) -> bytes:
    """Pickle a value, or say which part of it cannot be.

    Parameters
    ----------
    value : object
        What to pickle; functions and classes of ``__main__`` go by value.
    code : str
        Code of the error.
    subject : str
        What the value is to the user, such as ``the result``.

    Raises
    ------
    Invalid
        `code`, naming the attribute and its type.
    """
    try:
        return _dump(value)
    except Exception as fault:  # noqa: BLE001 - whatever a type's own reduction raises means that it cannot be pickled
        path, part = _find_culprit(value)
        kind = type(part)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        where = f"{subject}{path}" if path.startswith((".", "[")) else f"{subject},{path}," if path else subject
        what = f"{where} is of type {name}, which cannot be pickled"
        raise Invalid(code, what, type=name, attribute=path, fault=str(fault)) from None


def _dump(value: Any) -> bytes:
    file = io.BytesIO()
    _make_pickler()(file).dump(value)
    return file.getvalue()


@cache
def _make_pickler() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc, name-defined, unused-ignore]
        def reducer_override(self, part: Any) -> Any:
            # cloudpickle would send the content of an open file in its place.
            if isinstance(part, io.TextIOWrapper) and part not in {sys.stdout, sys.stderr}:
                raise TypeError("an open file cannot be pickled")
            return super().reducer_override(part)

    return Pickler


def _find_culprit(value: Any, path: str = "", depth: int = 0) -> tuple[str, Any]:
    """Return the path of the innermost part that cannot be pickled, and the part."""
    if depth < _DEPTH:
        for name, part in _parts(value):
            if _cannot_pickle(part):
                return _find_culprit(part, path + name, depth + 1)
    return path, value


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in list(value.items())[:_PARTS]]
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{position}]", part) for position, part in enumerate(list(value)[:_PARTS])]
    if isinstance(value, type | ModuleType) or library_of(value) in _WHOLE:
        return _captured(value) if type(value).__name__ == "function" else []
    attributes = getattr(value, "__dict__", None)
    if not isinstance(attributes, dict):
        return []
    return [(f".{name}", part) for name, part in list(attributes.items())[:_PARTS]]


def _captured(function: Any) -> list[tuple[str, Any]]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found = []
    for name, cell in cells:
        try:
            found.append((f" captures {name}", cell.cell_contents))
        except ValueError:  # an empty cell: the name is not bound yet
            continue
    if function.__globals__.get("__name__") == "__main__":  # such a function takes what it names along
        named = [name for name in function.__code__.co_names if name in function.__globals__]
        found += [(f" uses {name}", function.__globals__[name]) for name in named]
    return found


def _cannot_pickle(value: Any) -> bool:
    try:
        _dump(value)
    except Exception:  # noqa: BLE001 - as in `pickle_value`
        return True
    return False
