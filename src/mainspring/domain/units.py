"""Text with a unit, as users write and read it: ``"30s"``, ``"14d"``, ``"2 GB"``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from mainspring.domain.errors import Invalid

_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip


def parse_duration(text: str | float) -> float:
    """Read a length of time.

    Parameters
    ----------
    text : str or number
        A number with one of ms, s, min or m, h, d, w; a bare number is seconds.

    Returns
    -------
    float
        Seconds, > 0.

    Raises
    ------
    Invalid
        RUN-003 when the text has no such unit or is not above zero.

    Examples
    --------
    >>> parse_duration("14d")
    1209600.0
    """
    return _parse(text, _SECONDS, "s", "RUN-003", "duration")


def parse_size(text: str | int) -> int:
    """Read a size of memory or storage.

    Parameters
    ----------
    text : str or int
        A number with one of B, kB, MB, GB, TB (powers of ten) or KiB, MiB, GiB, TiB;
        a bare number is bytes.

    Returns
    -------
    int
        Bytes, > 0.

    Raises
    ------
    Invalid
        RUN-004 when the text has no such unit or is not above zero.

    Examples
    --------
    >>> parse_size("2 GB")
    2000000000
    """
    return int(_parse(text, _BYTES, "B", "RUN-004", "size", least=1.0))


def format_duration(seconds: float) -> str:
    """Return a length of time as `parse_duration` reads it, in its largest whole unit.

    Examples
    --------
    >>> format_duration(1209600.0), format_duration(90), format_duration(0.25)
    ('2w', '90s', '250ms')
    """
    for unit in ("w", "d", "h", "min", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds * 1000:g}ms"


def format_span(seconds: float | None) -> str:
    """Return a length of time in its largest unit.

    Examples
    --------
    >>> format_span(0.0042), format_span(75), format_span(7300)
    ('4 ms', '75s', '2h')
    """
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    for unit, length, below in (("s", 1, 120), ("m", 60, 7200), ("h", 3600, 172800)):
        if seconds < below:
            return f"{seconds / length:.1f}{unit}" if seconds < 10 else f"{seconds / length:.0f}{unit}"
    return f"{seconds / 86400:.0f}d"


def format_size(size_bytes: float | None) -> str:
    """Return a size in powers of ten.

    Examples
    --------
    >>> format_size(41_000_000), format_size(1_500), format_size(7)
    ('41 MB', '1.5 kB', '7 B')
    """
    if size_bytes is None:
        return "-"
    size, units = float(size_bytes), ["TB", "GB", "MB", "kB", "B"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop()
    return f"{f'{size:.1f}'.removesuffix('.0') if size < 10 else f'{size:.0f}'} {units[-1]}"


def _parse(
    text: str | float, factors: Mapping[str, float], bare: str, code: str, what: str, least: float = 0.0
) -> float:
    match = _TEXT.match(str(text))
    found = float(match[1]) * factors.get(match[2] or bare, 0.0) if match else 0.0
    if not least <= found < math.inf or found == 0:
        units = ", ".join(factors)
        raise Invalid(code, f"{text!r} is not a {what}", why=f"a {what} is a number above zero with one of {units}")
    return found
