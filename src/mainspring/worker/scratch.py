"""Working folders of calls from other machines, which bring none: one for each attempt, gone after it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

_OLD_S = 30 * 86_400.0
"""A folder of a killed worker goes after so long."""


class Scratch:
    """The working folder of the attempt that a worker holds.

    Parameters
    ----------
    folder : Path
        Of all workers' ones.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: Path | None = None

    def make(self, run_id: str) -> Path:
        """Make a folder for an attempt; what killed workers have left long ago goes."""
        self._held = self._folder / f"{run_id}-{os.getpid()}"
        self._held.mkdir(mode=0o700, parents=True, exist_ok=True)
        for other in self._folder.iterdir():
            if time.time() - other.stat().st_mtime > _OLD_S:
                shutil.rmtree(other, ignore_errors=True)
        return self._held

    def remove(self) -> None:
        """Leave and remove the folder, if there is one."""
        if self._held is not None:
            os.chdir("/")
            shutil.rmtree(self._held, ignore_errors=True)
            self._held = None
