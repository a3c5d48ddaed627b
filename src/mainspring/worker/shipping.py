"""Ships the journal of a run to the owner while the run goes on."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

from mainspring.domain.errors import MainspringError
from mainspring.domain.records import Run
from mainspring.sdk.context import ActiveRun
from mainspring.tracking.journal import read_report

# How soon a point is on its way; a search prunes on the answers.
EVERY_S = 0.05


class Shipper:
    """A thread that sends what the journal has gained and hears the owner's orders.

    Parameters
    ----------
    active : ActiveRun
        Its `order` is kept up to date.
    abandoned : callable
        Tells that the fork server is gone; the process is then ended, as nobody keeps its lease.
    """

    def __init__(self, active: ActiveRun, abandoned: Callable[[], bool]) -> None:
        self._active = active
        self._run: Run = active.run
        self._abandoned = abandoned
        self._offset = 0
        self._sending = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._live, name="mainspring shipper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send what is left and end the thread.

        Raises
        ------
        MainspringError
            The owner cannot take it.
        """
        ended = self._done.is_set()
        self._done.set()
        self._thread.join()
        if not ended:
            self._ship()

    def _live(self) -> None:
        while not self._done.wait(EVERY_S):
            if self._abandoned():
                os._exit(75)
            try:
                self._ship()
            except (MainspringError, OSError):
                # What could not be sent stays in the journal; the last flush tells if it still cannot.
                self._done.wait(1.0)

    def _ship(self) -> None:
        with self._sending:
            while True:
                run = self._run
                report = read_report(self._active.journal.path, run.id, run.attempt, run.fence, self._offset)
                if report is None:
                    return
                answer = self._active.client.ask(report)
                self._active.order = answer.order
                if answer.order in {"lost", "cancel"}:
                    # The record takes nothing more from this attempt.
                    self._done.set()
                    return
                self._offset = report.offset


def is_gone(link: socket.socket) -> bool:
    """Tell whether the other end of a link is closed, without taking what it has sent."""
    try:
        return not link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
