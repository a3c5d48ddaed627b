"""Which home this process works in."""

from __future__ import annotations

import os
from pathlib import Path

from mainspring.domain.home import Home
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.store.homes import place_home


def current_project() -> str:
    """Return the project that the environment names, ``MAINSPRING_PROJECT``, else the default one."""
    return os.environ.get("MAINSPRING_PROJECT") or DEFAULT_PROJECT


def current_home() -> Home:
    """Return the home that the environment names.

    Returns
    -------
    Home
        Of ``MAINSPRING_HOME``, else of the per-user state folder,
        ``$XDG_STATE_HOME/mainspring`` or ``~/.local/state/mainspring``. Nothing is made.
    """
    root = os.environ.get("MAINSPRING_HOME")
    if root:
        return place_home(Path(root))
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return place_home(Path(state) / "mainspring")
