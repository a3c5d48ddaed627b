"""What this process knows of itself: told to the owner once, named by its runs."""

from __future__ import annotations

import os
import socket
import sys
import time
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

from mainspring.domain.tracking import Provenance, PutProvenance
from mainspring.sdk.client import Client
from mainspring.sdk.context import active_run

_FRESH_S = 30.0
"""So long what was gathered holds; in a notebook, code and commit change while the process lives."""

_known: WeakKeyDictionary[Client, tuple[float, str, str]] = WeakKeyDictionary()


def provenance_of(client: Client) -> str | None:
    """Return the digest under which the owner keeps what this process knows of itself.

    Parameters
    ----------
    client : Client
        Of the home that a run begins in.

    Returns
    -------
    str or None
        None within a run, whose provenance the new one takes over, and with
        ``MAINSPRING_PROVENANCE=0``.

    Notes
    -----
    Cost: some 10 ms for the first run of a process and for one every half a minute at most; else a
    look into a dict. Git is waited for 2 s at most.
    """
    if active_run() is not None or os.environ.get("MAINSPRING_PROVENANCE") == "0":
        return None
    folder = _folder()
    told_at, told_of, digest = _known.get(client, (0.0, "", ""))
    if digest and told_of == folder and time.monotonic() - told_at < _FRESH_S:
        return digest
    told: str = client.ask(PutProvenance(provenance=_gather(folder)))
    _known[client] = (time.monotonic(), folder, told)
    return told


@cache
def host_name() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def _gather(folder: str) -> Provenance:
    from mainspring.pipelines.environments import read_environment
    from mainspring.security.likely import mask_command
    from mainspring.tracking.git import read_git

    git = read_git(Path(folder)) if folder else None
    return Provenance(host_name(), folder, mask_command(sys.orig_argv), read_environment(), git)


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a text is all that is needed, on the way of every run
    except FileNotFoundError:
        return ""  # it was removed
