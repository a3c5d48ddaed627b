"""Identifiers: 32 hexadecimal characters, ordered by the time of their making (UUIDv7)."""

from __future__ import annotations

from mainspring.domain.ports import Clock, Randomness

_RANDOM_BITS = 74


def new_id(clock: Clock, randomness: Randomness) -> str:
    """Make an identifier for a new row.

    Parameters
    ----------
    clock : Clock
        Its wall time gives the leading 48 bits, in milliseconds.
    randomness : Randomness
        Gives the other 74 bits.

    Returns
    -------
    str
        32 lower-case hexadecimal characters, a UUID of version 7 without its dashes.

    Notes
    -----
    Guarantees: two identifiers made in different milliseconds sort by time.
    Source: RFC 9562, section 5.7.
    """
    milliseconds = int(clock.now() * 1000) & ((1 << 48) - 1)
    tail = randomness.bits(_RANDOM_BITS)
    high, low = tail >> 62, tail & ((1 << 62) - 1)
    return f"{(milliseconds << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low:032x}"


def first_id(moment: float) -> str:
    """Return what all identifiers made from a moment on, in seconds since 1970 UTC, are greater than.

    Examples
    --------
    >>> first_id(1.0)
    '0000000003e80000'
    """
    milliseconds = min(max(0.0, moment) * 1000, (1 << 48) - 1)  # of what is no number: 0
    return f"{int(milliseconds):012x}0000"
