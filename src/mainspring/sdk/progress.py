"""The lines that a pipeline prints while it goes on."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_LIVE_S = 0.1
CLEAR = "\r\x1b[K"
"""Wipes the last line of a terminal."""


class Running(NamedTuple):
    """A step that runs in this process; `lasted_s` tells for how long.

    Attributes
    ----------
    head : str
        What stands before its line: the pipeline, or spaces.
    name : str
        The step.
    began : float
        By the monotonic clock.
    """

    head: str
    name: str
    began: float

    def lasted_s(self) -> float:
        """Return for how long it runs, in seconds."""
        return time.monotonic() - self.began


_running: list[Running] = []


def find_running() -> Running | None:
    """Return the innermost step that runs in this process; None when none does."""
    return _running[-1] if _running else None


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

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Know of a step while it runs, for who watches."""
        running = Running(" " * len(self._head) if self._printed else self._head, name, time.monotonic())
        _running.append(running)
        try:
            yield
        finally:
            _running.remove(running)

    def tell(self, name: str, text: str, remark: str = "") -> None:
        """Print one line: what it is about, how it went, and a remark in brackets."""
        if is_quiet():
            return
        with self._lock:
            head = " " * len(self._head) if self._printed else self._head
            self._printed = True
            line = f"{head}{name:<11} {text:<14}{f'  ({remark})' if remark else ''}"
            print(clear_live() + _fit(line.rstrip()), file=sys.stderr, flush=True)  # noqa: T201 - progress of a script

    def tell_step(self, name: str, wall_s: float, reason: str, *, hit: bool, failed: bool = False) -> None:
        """Print how a step went, and why it was (not) a hit."""
        state = "HIT   " if hit else "FAILED" if failed else "run   "
        remark = reason.removeprefix("cached: ").removeprefix("ran again: ")
        if reason.startswith("first run") or not reason:
            remark = ""
        self.tell(name, f"{state} {show_duration(wall_s)}", remark)


class Tally:
    """How many calls of one map have ended: a line that moves on a terminal, and one when all have.

    Parameters
    ----------
    name : str
        The step's name.
    progress : Progress or None
        Of the pipeline that goes on; None: outside of pipelines, only terminals are told.

    Attributes
    ----------
    total : int or None
        How many calls there are; None while they are being queued.
    """

    def __init__(self, name: str, progress: Progress | None) -> None:
        self.total: int | None = None
        self._name = name
        self._progress = progress
        self._began = self._shown = time.monotonic()
        self._done = self._hits = self._failed = 0
        self._lock = threading.Lock()

    def count(self, *, hit: bool, failed: bool) -> None:
        """Count the end of a call."""
        with self._lock:
            self._done += 1
            self._hits += hit
            self._failed += failed
            if self._done == self.total:
                self._tell_end()
            elif time.monotonic() - self._shown > _LIVE_S:
                self._shown = time.monotonic()
                total = "?" if self.total is None else f"{self.total:,}"
                show_live(" ".join([f"{self._name:<11} {self._done:,}/{total}", *self._remarks()]))

    def _tell_end(self) -> None:
        progress = self._progress or (Progress("", "") if is_live() else None)
        if progress is not None:
            head = f"run    {show_duration(time.monotonic() - self._began)}"
            progress.tell(f"{self._name} x {self._done:,}", head, ", ".join(self._remarks()))

    def _remarks(self) -> list[str]:
        return [f"{count:,} {word}" for count, word in ((self._hits, "HIT"), (self._failed, "FAILED")) if count]


def _fit(line: str) -> str:
    """Cut a line to the width of a terminal; nothing elsewhere."""
    if not is_live():
        return line
    from shutil import get_terminal_size  # with every compression that there is

    room = get_terminal_size().columns
    return line if len(line) <= room else f"{line[: max(room - 1, 1)]}…"


def is_quiet() -> bool:
    """Tell whether ``MAINSPRING_PROGRESS=0`` keeps the lines back."""
    return os.environ.get("MAINSPRING_PROGRESS") == "0"


def show_live(text: str) -> None:
    """Put a text into the last line of a terminal, where the next one takes its place; nothing elsewhere."""
    if is_live() and not is_quiet():
        print(f"{CLEAR}{text}", end="", file=sys.stderr, flush=True)  # noqa: T201 - the progress of a script


def clear_live() -> str:
    """Return what wipes the last line of a terminal."""
    return CLEAR if is_live() else ""


def is_live() -> bool:
    """Tell whether standard error is a terminal that knows how to wipe a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def tell_next(run_id: str) -> None:
    """Print the command that tells more about a pipeline's run."""
    if not is_quiet():
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
