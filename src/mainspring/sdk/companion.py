"""A background thread for the runs of this process: heartbeats, orders, readings, and what `log` wrote."""

from __future__ import annotations

import os
import threading
import time
import weakref
from pathlib import Path

from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import Heartbeat
from mainspring.sdk.backlog import deliver, list_journals
from mainspring.sdk.client import Client
from mainspring.sdk.context import ActiveRun
from mainspring.sdk.readings import Readings
from mainspring.tracking.journal import read_report

SHIP_EVERY_S = 0.1
BEAT_EVERY_S = 2.0


class Companion:
    """Keeps the runs of one process with one client; `hold` starts its thread.

    Parameters
    ----------
    client : Client
        What it asks the owner with.

    Notes
    -----
    The thread is a daemon and holds nothing that `log` or a step waits for: while the owner is
    away, journals grow and are shipped later.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._held: dict[str, ActiveRun] = {}
        self._offsets: dict[str, int] = {}
        self._shipping = threading.Lock()
        self._starting = threading.Lock()
        self._changed = threading.Event()
        self._lives = False
        self._readings = Readings()
        self._left = list_journals(client.home.journals) if client.remote else []

    def hold(self, active: ActiveRun) -> None:
        """Take a run on."""
        self._held[active.run.id] = active
        with self._starting:
            if not self._lives:
                self._lives = True
                threading.Thread(target=self._live, name="mainspring companion", daemon=True).start()
        self._changed.set()

    def release(self, active: ActiveRun) -> None:
        """Let a run go and ship the rest of its journal.

        Raises
        ------
        MainspringError
            The owner cannot take it; it stays in the journal.
        """
        with self._shipping:
            self._held.pop(active.run.id, None)  # from here on its readings are not added to
        self.ship(active)
        self._offsets.pop(active.run.id, None)

    def leave(self, path: Path) -> None:
        """Take on the journal of a run that has ended while nobody answered; it is delivered later."""
        self._left.append(path)
        self._changed.set()

    def ship(self, active: ActiveRun) -> None:
        """Tell the owner what a run has logged so far.

        Raises
        ------
        MainspringError
            The owner cannot take it; it stays in the journal.
        """
        if active.journal.used:
            self._ship(active)

    def _live(self) -> None:
        waited_s = 0.0
        while True:
            if not self._held and not self._left:
                self._changed.wait()
                waited_s = 0.0
            self._changed.clear()
            self._changed.wait(SHIP_EVERY_S)
            waited_s += SHIP_EVERY_S
            held = list(self._held.values())
            try:
                self._measure(held)
                if held and waited_s >= BEAT_EVERY_S:
                    waited_s = 0.0
                    self._beat(held)
                for active in held:
                    if active.journal.used:
                        self._ship(active)
                while self._left:
                    deliver(self._client, self._left[0])
                    self._left.pop(0)
            except (MainspringError, OSError):
                waited_s = BEAT_EVERY_S  # the next round tries again, and says first who lives

    def _measure(self, held: list[ActiveRun]) -> None:
        entries = self._readings.take(time.monotonic(), {each.run.id: each.began_at for each in held})
        for each in held:
            if each.run.id in entries:
                with self._shipping:
                    if each.run.id in self._held:
                        each.journal.append(*entries[each.run.id])

    def _beat(self, held: list[ActiveRun]) -> None:
        leases = [(each.run.id, each.run.attempt, each.run.fence) for each in held]
        answer = self._client.ask(Heartbeat(leases=leases))
        for each in held:
            each.order = answer.orders.get(each.run.id, each.order)

    def _ship(self, active: ActiveRun) -> None:
        run = active.run
        with self._shipping:
            while True:
                offset = self._offsets.get(run.id, 0)
                report = read_report(active.journal.path, run.id, run.attempt, run.fence, offset)
                if report is None:
                    return
                answer = self._client.ask(report)
                active.order = answer.order
                if answer.order == "lost":
                    return
                self._offsets[run.id] = report.offset


_companions: weakref.WeakKeyDictionary[Client, Companion] = weakref.WeakKeyDictionary()

# A fork leaves threads behind, and maybe a lock held for good; what the parent holds stays the parent's to keep.
os.register_at_fork(after_in_child=_companions.clear)


def companion_of(client: Client) -> Companion:
    """Return the companion of a client in this process."""
    # One step, and no lock that a fork could copy while it is held.
    return _companions.setdefault(client, Companion(client))
