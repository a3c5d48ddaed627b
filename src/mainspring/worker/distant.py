"""What a worker without the home's socket does through a server: heartbeats, and what a dead process had logged."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import Heartbeat
from mainspring.sdk.backlog import deliver, list_journals
from mainspring.sdk.client import get_client
from mainspring.tracking.journal import parse_name
from mainspring.worker.beats import EVERY_S

if TYPE_CHECKING:
    import socket

    from mainspring.compute.engine import Spec
    from mainspring.sdk.client import Client


class DistantHeart:
    """Heartbeats by a thread of a process without user code; nobody waits for an answer.

    Attributes
    ----------
    link : None
        There is nothing to listen to; orders are asked for.
    due_at : float
        Monotonic time of the next look at the leases.
    """

    link: socket.socket | None = None

    def __init__(self) -> None:
        self.due_at = 0.0
        self._leases: list[tuple[str, int, int]] = []
        self._orders: dict[tuple[str, int], str] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def beat(self, leases: list[tuple[str, int, int]], now: float) -> None:
        """Have heartbeats sent for these leases from now on."""
        self.due_at = now + EVERY_S
        self._leases = leases
        if leases and self._thread is None:  # not earlier: a process with threads must not fork
            self._thread = threading.Thread(target=self._live, name="heart", daemon=True)
            self._thread.start()

    def read(self) -> dict[tuple[str, int], str]:
        """Return the orders that have come."""
        orders, self._orders = self._orders, {}
        return orders

    def close(self) -> None:
        """Send no more."""
        self._ended.set()

    def _live(self) -> None:
        client = get_client()
        while not self._ended.is_set():
            begun, leases = time.monotonic(), self._leases
            try:
                orders = client.ask(Heartbeat(leases=leases)).orders if leases else {}
            except MainspringError as error:
                # A token that holds no longer says that the attempt is over; silence says nothing yet.
                over = error.code.startswith("AUTH-")
                orders = {run_id: "lost" for run_id, _, _ in leases} if over else {}
            self._orders = {(run_id, attempt): orders[run_id] for run_id, attempt, _ in leases if run_id in orders}
            self._ended.wait(max(0.0, EVERY_S - (time.monotonic() - begun)))


def deliver_rest(client: Client, spec: Spec) -> None:
    """Send what the process of an attempt had logged and could not send itself.

    Raises
    ------
    Unavailable
        Nobody answers; the journal stays on this machine.
    """
    for path in list_journals(client.home.journals):
        if parse_name(path) == (spec.run_id, spec.attempt):
            deliver(client, path)
