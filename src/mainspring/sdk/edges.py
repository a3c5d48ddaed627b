"""Threads that wait for what edges between steps depend on."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

MOST = 256
"""So many edges wait at once; further ones follow in the order in which they were drawn."""


class Edges:
    """Waits of this process, each in a thread until there are too many.

    Notes
    -----
    Guarantees: an edge begins to wait after all that were drawn before it, and it depends on such
    ones alone, so any number of threads gets through. The interpreter does not end before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawn: deque[Callable[[], None]] = deque()
        self._threads = 0

    def draw(self, name: str, wait: Callable[[], None]) -> None:
        """Have a wait made by a thread; it raises nothing."""
        with self._lock:
            self._drawn.append(wait)
            if self._threads >= MOST:
                return
            self._threads += 1
        threading.Thread(target=self._serve, name=f"mainspring edge to {name}", daemon=False).start()

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._drawn:
                    self._threads -= 1
                    return
                wait = self._drawn.popleft()
            wait()


_edges = Edges()


def draw_edge(name: str, wait: Callable[[], None]) -> None:
    """Have a wait made by a thread of this process."""
    _edges.draw(name, wait)


def _forget() -> None:
    """Begin anew in a child process: the threads, and what they wait for, are its parent's."""
    global _edges
    _edges = Edges()


os.register_at_fork(after_in_child=_forget)
