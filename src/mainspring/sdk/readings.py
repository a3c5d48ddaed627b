"""Readings of what this process and its machine use, for runs that last."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from mainspring.domain.tracking import OWN
from mainspring.tracking.journal import Point
from mainspring.tracking.meters import Meter

LONG_S = 5.0
"""A run that has lasted so long is worth a series."""

_EVERY_S = 10.0


class Readings:
    """Decides when to read, and makes points of what was read.

    Parameters
    ----------
    meter : Meter, optional
        Default: this machine's, with its GPUs, opened when it is first needed.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter
        self._due_at = 0.0

    def take(self, now: float, began_at: Mapping[str, float]) -> dict[str, list[Point]]:
        """Return the points of each long run, when a reading is due.

        Parameters
        ----------
        now : float
            Monotonic seconds.
        began_at : mapping of str to float
            Id of each run of this process -> when it began.

        Returns
        -------
        dict of str to list of Point
            Their step is the second of the run; empty most of the time.
        """
        if now < self._due_at:
            return {}
        long = {run_id: begun for run_id, begun in began_at.items() if now - begun >= LONG_S}
        every_s = _read_interval() if long else 0.0
        if not every_s:
            return {}
        self._due_at = now + every_s
        if self._meter is None:
            from mainspring.tracking.adapters.nvml import open_gpus

            self._meter = Meter(open_gpus())
        found, wall = self._meter.read(now), time.time()
        return {
            run_id: [Point(f"{OWN}{name}", int(now - begun), wall, value) for name, value in found.items()]
            for run_id, begun in long.items()
        }


def _read_interval() -> float:
    try:
        return max(float(os.environ.get("MAINSPRING_SYSTEM_METRICS_S") or _EVERY_S), 0.0)
    except ValueError:
        return _EVERY_S
