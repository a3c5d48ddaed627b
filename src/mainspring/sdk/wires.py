"""Connections to the owner of a home, without what a whole client needs."""

from __future__ import annotations

import os
import socket

from mainspring.domain.errors import Denied, Unavailable
from mainspring.domain.wire import HEADER


class Wire:
    """One connection, used by one thread at a time.

    Parameters
    ----------
    connected : socket
        As `dial` returns it.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.pid = os.getpid()
        self._socket = connected

    def exchange(self, frames: bytes, silence_s: float, count: int = 1) -> list[bytes]:
        """Send so many requests and return the bodies of their replies as they come; closed when that fails."""
        try:
            self._socket.settimeout(silence_s)
            self._socket.sendall(frames)
            bodies = []
            for _ in range(count):
                (size,) = HEADER.unpack(self._receive(HEADER.size))
                bodies.append(self._receive(size))
        except TimeoutError:
            self.close()
            raise Unavailable("HOME-001", f"the owner was silent for {silence_s:.0f} s") from None
        except BaseException:
            self.close()
            raise
        return bodies

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __del__(self) -> None:
        self._socket.close()

    def _receive(self, size: int) -> bytes:
        content = bytearray(size)
        view = memoryview(content)
        while view:
            count = self._socket.recv_into(view)
            if count == 0:
                raise ConnectionResetError("the owner closed the connection")
            view = view[count:]
        return bytes(content)


def dial(path: str) -> socket.socket | None:
    """Connect to a socket; None when nobody listens there.

    Raises
    ------
    Denied
        HOME-008 when it is another user's.
    """
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.connect(path)
    except PermissionError:
        connected.close()
        raise Denied("HOME-008", f"{path} belongs to another user", path=path) from None
    except OSError:
        connected.close()
        return None
    return connected
