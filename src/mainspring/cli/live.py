"""The live view of `mainspring run`: while a step runs, a terminal's last line tells for how long."""

from __future__ import annotations

import io
import sys
import threading
from types import TracebackType
from typing import Any, Self, TextIO

from mainspring.sdk.progress import CLEAR, find_running, is_live, is_quiet, show_duration

_EVERY_S = 0.25
_PATIENCE_S = 0.3
"""Steps that are shorter get their line when they have ended."""


class LiveView:
    """A context in which the last line of the terminal tells what runs; elsewhere it does nothing.

    Notes
    -----
    What the code prints goes above that line: both streams wipe it before they write, and it is drawn again
    once what was written ended its line.
    """

    def __init__(self) -> None:
        self._on = is_live() and not is_quiet()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._real = (sys.stdout, sys.stderr)
        self._drawn, self._at_start = False, True

    def __enter__(self) -> Self:
        if self._on:
            sys.stdout, sys.stderr = (_Shared(stream, self) for stream in self._real)
            self._thread = threading.Thread(target=self._tick, name="live view", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on:
            self._over.set()
            self._thread.join()
            self.wipe()
            sys.stdout, sys.stderr = self._real

    def write(self, stream: TextIO, text: str) -> int:
        """Write what the code prints, above the line."""
        with self._lock:
            self.wipe()
            if text:
                self._at_start = text.endswith("\n")
            return stream.write(text)

    def wipe(self) -> None:
        """Take the line away."""
        with self._lock:
            if self._drawn:
                self._real[1].write(CLEAR)
                self._real[1].flush()
                self._drawn = False

    def _tick(self) -> None:
        while not self._over.wait(_EVERY_S):
            running = find_running()
            with self._lock:
                if running is None or running.lasted_s() < _PATIENCE_S or not self._at_start:
                    continue
                self._real[0].flush()
                self._real[1].write(
                    f"{CLEAR}{running.head}{running.name:<11} ...    {show_duration(running.lasted_s())}"
                )
                self._real[1].flush()
                self._drawn = True


class _Shared(io.TextIOBase):
    """A stream of the process that shares its terminal with the line; all but writing is the stream's own."""

    def __init__(self, stream: TextIO, view: LiveView) -> None:
        self._stream, self._view = stream, view

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)  # reconfigure, name, mode: what code may ask of its stream

    def write(self, text: str) -> int:
        return self._view.write(self._stream, text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding
