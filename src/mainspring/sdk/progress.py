"""The lines that a pipeline prints while it goes on."""

from __future__ import annotations

import os
import sys
import threading


class Progress:
    """Lines of one pipeline on standard error; ``MAINSPRING_PROGRESS=0`` keeps them back.

    Parameters
    ----------
    name : str
        The pipeline's name.
    run_id : str
        The pipeline's run; lines show its last six characters.
    """

    def __init__(self, name: str, run_id: str) -> None:
        self._head = f"{name} {run_id[-6:]}  "
        self._printed = False
        self._lock = threading.Lock()

    def tell(self, name: str, text: str, remark: str = "") -> None:
        """Print one line: what it is about, how it went, and a remark in brackets."""
        if os.environ.get("MAINSPRING_PROGRESS") == "0":
            return
        with self._lock:
            head = " " * len(self._head) if self._printed else self._head
            self._printed = True
            line = f"{head}{name:<11} {text:<14}{f'  ({remark})' if remark else ''}"
            print(line.rstrip(), file=sys.stderr, flush=True)  # noqa: T201 - this is the progress of a script

    def tell_step(self, name: str, wall_s: float, reason: str, *, hit: bool, failed: bool = False) -> None:
        """Print how a step went, and why it was (not) a hit."""
        state = "HIT   " if hit else "FAILED" if failed else "run   "
        remark = reason.removeprefix("cached: ").removeprefix("ran again: ")
        if reason.startswith("first run") or not reason:
            remark = ""
        self.tell(name, f"{state} {show_duration(wall_s)}", remark)


def tell_next(run_id: str) -> None:
    """Print the command that tells more about a pipeline's run."""
    if os.environ.get("MAINSPRING_PROGRESS") != "0":
        print(f"next: mainspring why {run_id[-6:]}", file=sys.stderr, flush=True)  # noqa: T201 - as above


def show_duration(seconds: float) -> str:
    """Write a duration for people.

    Examples
    --------
    >>> show_duration(0.0006), show_duration(1.94), show_duration(75)
    ('0.6 ms', '1.9 s', '1 min 15 s')
    """
    if seconds < 0.1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
