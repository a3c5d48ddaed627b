"""Codecs of JSON, text and bytes."""

from __future__ import annotations

import json
from typing import Any

from mainspring.tracking.codec import Storage

_SCALARS = frozenset({type(None), bool, int, float, str})
_SHOWN = 60
_DEPTH = 100


class Json:
    """Values of exactly JSON's types; NaN and infinities are kept."""

    name = "json"

    def accepts(self, value: Any) -> bool:
        """Accept None, bool, int, float, str, and lists and string-keyed dicts of them."""
        return is_json(value)

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Write compact ASCII."""
        return json.dumps(value, separators=(",", ":")).encode()

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Read it back."""
        return json.loads(content)

    def summarise(self, value: Any) -> str:
        """Show short values whole."""
        text = repr(value)
        return text if len(text) <= _SHOWN else f"{type(value).__name__} of {len(value):,}"


class Text:
    """Strings."""

    name = "text"

    def accepts(self, value: Any) -> bool:
        """Accept exact strings."""
        return type(value) is str

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Write UTF-8; lone surrogates are kept."""
        return bytes(value.encode("utf-8", "surrogatepass"))

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Read it back."""
        return content.decode("utf-8", "surrogatepass")

    def summarise(self, value: Any) -> str:
        """Show a short text whole."""
        return repr(value) if len(value) <= _SHOWN else f"text of {len(value):,} characters"


class Bytes:
    """Bytes."""

    name = "bytes"

    def accepts(self, value: Any) -> bool:
        """Accept exact bytes."""
        return type(value) is bytes

    def write(self, value: Any, storage: Storage) -> bytes:  # noqa: ARG002 - the port's signature
        """Return them."""
        return bytes(value)

    def read(self, content: bytes, storage: Storage) -> Any:  # noqa: ARG002 - the port's signature
        """Return them."""
        return content

    def summarise(self, value: Any) -> str:  # noqa: ARG002 - the port's signature
        """Name the kind."""
        return "bytes"


def is_json(value: Any, depth: int = _DEPTH) -> bool:
    """Tell whether a value is of exactly JSON's types all the way down, which is not too far."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if depth == 0:  # it may hold itself
        return False
    if kind is list:
        return set(map(type, value)) <= _SCALARS or all(is_json(part, depth - 1) for part in value)
    if kind is dict:
        return set(map(type, value)) <= {str} and all(is_json(part, depth - 1) for part in value.values())
    return False
