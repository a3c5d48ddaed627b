"""Processes of this machine, as the owner sees them."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def process_start(pid: int) -> str | None:
    """Return a text that tells a process from any other that had or will have its id.

    Parameters
    ----------
    pid : int
        Process id on this machine.

    Returns
    -------
    str or None
        None when no such process runs (a zombie has ended).
    """
    try:
        facts = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except FileNotFoundError:
        return _without_proc(pid)
    except OSError:
        return None
    fields = facts[facts.rindex(")") + 2 :].split()
    return None if fields[0] in {"Z", "X"} else fields[19]


def _without_proc(pid: int) -> str | None:
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
