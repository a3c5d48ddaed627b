"""What files look like from outside, so that a change of any is seen without reading them."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from itertools import islice
from pathlib import Path
from typing import NamedTuple

MOST_FILES = 10_000
"""That one pattern may match."""


class Look(NamedTuple):
    """Files at one moment.

    Attributes
    ----------
    stamp : str
        Of their names, sizes and times of change; another one means that something changed.
    changed_at : float or None
        When the newest was written to, in seconds since 1970 UTC; None: there is none.
    files : int
        How many there are.
    """

    stamp: str
    changed_at: float | None
    files: int


def look_at(pattern: str) -> Look:
    """Look at a file, at the files of a folder, or at those that a pattern matches.

    Parameters
    ----------
    pattern : str
        Absolute; with ``*``, ``?``, ``[...]`` and ``**`` as a shell has them.

    Returns
    -------
    Look
        What cannot be seen counts as absent.

    Raises
    ------
    ValueError
        More than `MOST_FILES` match.
    """
    folder = Path(pattern)
    within = str(folder / "*") if folder.is_dir() else pattern
    names = glob.iglob(within, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    found = sorted(islice(names, MOST_FILES + 1))
    if len(found) > MOST_FILES:
        raise ValueError(f"more than {MOST_FILES:,} files match {pattern}")
    seen, newest, files = hashlib.sha256(), None, 0
    for name in found:
        try:
            facts = os.stat(name)  # noqa: PTH116 - ten thousand paths are slow to make
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode):
            seen.update(f"{name}\0{facts.st_mtime_ns}\0{facts.st_size}\0".encode("utf-8", "surrogateescape"))
            newest, files = max(newest or 0.0, facts.st_mtime), files + 1
    return Look(seen.hexdigest(), newest, files)
