"""Whether anybody still works in a session: what its processes use, and when somebody last did something."""

from __future__ import annotations

import os
from pathlib import Path

BUSY = 0.05
"""A session that uses more of a core than this works."""

_TICKS = os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)


class Watch:
    """Tells when a session has been idle for too long.

    Parameters
    ----------
    idle_s : float
        So long nobody does anything, and nothing works.
    now, cpu_s : float
        Monotonic seconds, and what its processes have used until then.

    Examples
    --------
    >>> watch = Watch(60.0, now=0.0, cpu_s=0.0)
    >>> watch.is_over(50.0, 0.1), watch.is_over(100.0, 10.0), watch.is_over(150.0, 10.1), watch.is_over(161.0, 10.2)
    (False, False, False, True)
    """

    def __init__(self, idle_s: float, now: float, cpu_s: float) -> None:
        self._idle_s = idle_s
        self._active_at = now
        self._looked = now, cpu_s

    def note(self, now: float) -> None:
        """Somebody has done something."""
        self._active_at = max(self._active_at, now)

    def is_over(self, now: float, cpu_s: float) -> bool:
        """Tell whether it has been idle for too long; what was used since the last look counts as work until now."""
        at, used_s = self._looked
        if now > at:
            self._looked = now, cpu_s
            # Less than before: a process has ended and taken what it used along.
            if (cpu_s - used_s) / (now - at) > BUSY:
                self._active_at = now
        return now - self._active_at >= self._idle_s


def measure_cpu(pid: int) -> float:
    """Return the seconds of CPU that a process, those it has started and those of them that ended have used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        below = Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split()
    except (OSError, IndexError):
        return 0.0  # it is gone
    return sum(map(int, fields[_TIMES])) / _TICKS + sum(measure_cpu(int(each)) for each in below)
