"""Asking a server over plain sockets, so that the asker's own cost is small and the same for each."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from bench.processes import read_cpu_s
from bench.tracking.servers import Server

_PATIENCE_S = 60.0


class Absent(Exception):
    """The server has no such endpoint."""


class Spent(NamedTuple):
    """What a case cost.

    Attributes
    ----------
    calls : int
        Requests that were answered with 200.
    wall_s, cpu_s : float
        Seconds that passed, and CPU seconds of the server's processes.
    bodies : list of bytes
        Replies, where they were asked for.
    """

    calls: int
    wall_s: float
    cpu_s: float
    bodies: list[bytes]


def write_request(server: Server, method: str, path: str, body: Any = None) -> bytes:
    """Return a request as it is sent."""
    content = b"" if body is None else json.dumps(body).encode()
    kind = b"Content-Type: application/json\r\n" if content else b""
    return b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%sContent-Length: %d\r\n\r\n%s" % (
        method.encode(),
        path.encode(),
        server.headers,
        kind,
        len(content),
        content,
    )


def ask(server: Server, method: str, path: str, body: Any = None) -> Any:
    """Ask once and return the answer as JSON.

    Raises
    ------
    Absent
        HTTP 404 for an endpoint that is not there.
    RuntimeError
        Any other status than 200.
    """
    found = drive(server, [write_request(server, method, path, body)].pop, connections=1, calls=1, keep=True)
    return json.loads(found.bodies[0])


def drive(
    server: Server,
    make: Callable[[], bytes],
    *,
    connections: int = 1,
    seconds: float = _PATIENCE_S,
    calls: int = 10**9,
    keep: bool = False,
) -> Spent:
    """Keep one request in flight on each connection, until the time is over or so many calls are sent.

    Parameters
    ----------
    server : Server
        Who is asked.
    make : callable
        Returns the next request.
    connections : int
        How many are open at once.
    seconds, calls : float, int
        Whichever is reached first.
    keep : bool
        Return the bodies.
    """
    poll = select.epoll()
    opened = {}
    for _ in range(min(connections, calls)):
        made = socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened[made.fileno()] = made
        poll.register(made.fileno(), select.EPOLLIN)
    replies: dict[int, bytearray] = {handle: bytearray() for handle in opened}
    bodies: list[bytes] = []
    cpu_s, begun = read_cpu_s(server.pids), time.perf_counter()
    sent = answered = 0
    for made in opened.values():
        made.sendall(make())
        sent += 1
    while answered < sent:
        ready = poll.poll(_PATIENCE_S)
        if not ready:
            raise RuntimeError(f"{server.name} was silent for {_PATIENCE_S:.0f} s")
        for handle, _ in ready:
            replies[handle] += opened[handle].recv(1 << 20)
            body = _read_body(server, replies[handle])
            if body is None:
                continue
            answered += 1
            if keep:
                bodies.append(body)
            replies[handle].clear()
            if sent < calls and time.perf_counter() - begun < seconds:
                opened[handle].sendall(make())
                sent += 1
    wall_s = time.perf_counter() - begun
    for made in opened.values():
        made.close()
    poll.close()
    return Spent(answered, wall_s, read_cpu_s(server.pids) - cpu_s, bodies)


def _read_body(server: Server, reply: bytearray) -> bytes | None:
    """Return the body of a whole reply; None: there is more to come."""
    end = reply.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(reply[:end]).lower()
    if b"transfer-encoding: chunked" in head:
        if not reply.endswith(b"0\r\n\r\n"):
            return None
        body = _join_chunks(bytes(reply[end + 4 :]))
    else:
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        if len(reply) - end - 4 < length:
            return None
        body = bytes(reply[end + 4 :])
    if not head.startswith(b"http/1.1 200"):
        if head.startswith(b"http/1.1 404"):
            raise Absent(body.decode(errors="replace")[:200])
        raise RuntimeError(f"{server.name}: {head[:40]!r} {body[:300]!r}")
    return body


def _join_chunks(content: bytes) -> bytes:
    parts = []
    while content:
        size, _, rest = content.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            break
        parts.append(rest[:length])
        content = rest[length + 2 :]
    return b"".join(parts)
