"""Heartbeats for the leases of live workers, sent by a process without user code."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from mainspring.domain import wire
from mainspring.domain.errors import MainspringError
from mainspring.domain.messages import Beats, Heartbeat

EVERY_S = 2.0
# A reply that takes longer than this is given up with its connection.
_PATIENCE_S = 8.0


class Heart:
    """A connection to the owner that never waits.

    Parameters
    ----------
    path : Path
        The owner's socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.link: socket.socket | None = None
        self._frames = wire.Frames()
        self._number = 0
        self._sent_at: float | None = None
        self._asked: dict[str, int] = {}
        self.due_at = 0.0

    def beat(self, leases: Sequence[tuple[str, int, int]], now: float) -> None:
        """Send a heartbeat for the leases, if the owner can be reached.

        Parameters
        ----------
        leases : sequence of (str, int, int)
            Run id, attempt, fence; of two attempts of one run only the later is worth keeping.
        now : float
            Monotonic seconds.
        """
        self.due_at = now + EVERY_S
        if not leases or (self._sent_at is not None and now - self._sent_at > _PATIENCE_S):
            # A connection without need would keep an idle owner alive.
            self.close()
        if self._sent_at is not None or not leases:
            return
        newest = {run_id: (run_id, attempt, fence) for run_id, attempt, fence in sorted(leases)}
        self._number += 1
        try:
            if self.link is None:
                self._connect()
            assert self.link is not None
            self.link.sendall(wire.encode_request(self._number, Heartbeat(leases=[*newest.values()])))
            self._sent_at = now
            self._asked = {run_id: attempt for run_id, attempt, _ in newest.values()}
        except OSError:
            self.close()

    def read(self) -> dict[tuple[str, int], str]:
        """Return the orders that have come, by run id and attempt; empty while there is no answer.

        An order is about the attempt that was asked for: the run may have begun another since.
        """
        if self.link is None:
            return {}
        try:
            content = self.link.recv(1 << 16)
        except BlockingIOError:
            return {}
        except OSError:
            content = b""
        if not content:
            self.close()
            return {}
        return self._read_orders(content)

    def close(self) -> None:
        """Let the connection go; the next beat makes another."""
        if self.link is not None:
            self.link.close()
        self.link = None
        self._sent_at = None
        self._frames = wire.Frames()

    def _connect(self) -> None:
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.link.setblocking(False)
        self.link.connect(str(self._path))

    def _read_orders(self, content: bytes) -> dict[tuple[str, int], str]:
        orders: dict[tuple[str, int], str] = {}
        for body in self._frames.take(content):
            self._sent_at = None
            try:
                _, answer = wire.decode_reply(body, Heartbeat)
            except MainspringError:
                continue
            assert isinstance(answer, Beats)
            orders |= {(run_id, self._asked[run_id]): order for run_id, order in answer.orders.items()}
        return orders
