"""What the environment of the owner says about how it works."""

from __future__ import annotations

import os

from mainspring.domain.errors import Invalid


def read_grace_s() -> float:
    """Return the seconds that a run has to end in when it gives way to others."""
    return _read_seconds("MAINSPRING_GRACE_S", 30.0, 60.0)


def read_calm_s() -> float:
    """Return the seconds that a run keeps its place before it may have to give way."""
    return _read_seconds("MAINSPRING_CALM_S", 600.0, 1e7)


def check_settings() -> None:
    """Read all of them once.

    Raises
    ------
    Invalid
        HOME-018 when one cannot be read.
    """
    read_grace_s()
    read_calm_s()


def _read_seconds(name: str, default: float, most: float) -> float:
    text = os.environ.get(name, "")
    try:
        seconds = float(text or default)
    except ValueError:
        seconds = -1.0
    if not 0.0 <= seconds <= most:
        raise Invalid("HOME-018", f"{name}={text!r} is not a number of seconds from 0 to {most:,.0f}")
    return seconds
