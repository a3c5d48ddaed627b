"""What a run prints, and what it uses of the machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mainspring.security.masks import sweep

_STDIO = ctypes.CDLL(None)


@contextlib.contextmanager
def capture(path: Path, attempt: int) -> Iterator[None]:
    """Send what this process and its children print to a file, also what C code prints.

    Parameters
    ----------
    path : Path
        Appended to.
    attempt : int
        A later attempt begins with a line that says so.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(log, number)
        os.close(log)
        if attempt > 1:
            os.write(2, f"--- attempt {attempt}, {time.strftime('%Y-%m-%d %H:%M:%S')} ---\n".encode())
        yield
    finally:
        flush()
        sweep(path)
        for number, saved in zip((1, 2), kept, strict=True):
            os.dup2(saved, number)
            os.close(saved)


def flush() -> None:
    """Hand over what Python and C still hold back."""
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        # The code of a run may have closed or replaced them.
        with contextlib.suppress(Exception):
            stream.flush()  # type: ignore[union-attr]
    _STDIO.fflush(None)


class Usage:
    """Processor time and memory since its making.

    Notes
    -----
    Where the kernel keeps no mark that can be reset, memory is the peak of the whole process.
    """

    def __init__(self) -> None:
        self._marked = False
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
            self._marked = True
        self._begun = _cpu_s()

    def cpu_s(self) -> float:
        """Return the processor seconds of this process and its ended children."""
        return _cpu_s() - self._begun

    def memory_bytes(self) -> int:
        """Return the highest resident memory."""
        if self._marked:
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usages)
