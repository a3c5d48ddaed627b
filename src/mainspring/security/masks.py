"""Values of secrets that this process was given: they are masked in whatever leaves it."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

MASK = "***"
LEAST_CHARACTERS = 4
"""A shorter value could not be masked without masking half of every text."""

_LEAST_LINE = 8
_forms: set[str] = set()


def hide(value: str) -> None:
    """Mask a value from now on: whole, in each of its longer lines, and as it stands in URLs and JSON.

    Notes
    -----
    Guarantees: holds for the rest of the process, forks of it included. What is printed by Python
    is masked as it is printed, write by write.
    """
    forms = {value, quote(value, safe=""), msgspec.json.encode(value).decode()[1:-1]}
    forms |= {line for line in value.splitlines() if len(line) >= _LEAST_LINE}
    _forms.update(form for form in forms if len(form) >= LEAST_CHARACTERS)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, _Masked):
            setattr(sys, name, _Masked(stream))


def is_hiding() -> bool:
    """Tell whether this process was given a secret."""
    return bool(_forms)


def mask(text: str) -> str:
    """Return a text with every hidden value masked.

    Examples
    --------
    >>> mask("nothing is hidden here")
    'nothing is hidden here'
    """
    for form in sorted(_forms, key=len, reverse=True):
        text = text.replace(form, MASK)
    return text


def mask_all(value: Any) -> Any:
    """Return a value of JSON's types with every hidden value masked in its texts and keys."""
    if not _forms:
        return value
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask_all(key): mask_all(each) for key, each in value.items()}
    return [mask_all(each) for each in value] if isinstance(value, list | tuple) else value


def holds_hidden(content: bytes) -> bool:
    """Tell whether some bytes hold a hidden value as it is."""
    return any(form.encode() in content for form in _forms)


def sweep(path: Path) -> None:
    """Overwrite hidden values in a file with as many asterisks: what C code and other processes printed."""
    if not _forms or not path.exists():
        return
    content = path.read_bytes()
    with path.open("r+b") as file:
        for form in (each.encode() for each in sorted(_forms, key=len, reverse=True)):
            at = content.find(form)
            while at >= 0:
                file.seek(at)
                file.write(b"*" * len(form))
                at = content.find(form, at + len(form))


class _Masked(io.TextIOBase):
    """A text stream that masks what is written through it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(mask(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
