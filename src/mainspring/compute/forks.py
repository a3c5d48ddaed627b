"""What the local engine, its fork servers and their workers say to each other.

Frames are a 4-byte length and MessagePack, as on the wire, over Unix stream sockets.
"""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import socket
from pathlib import Path
from typing import Any

import msgspec

from mainspring.compute.engine import Spec, Status
from mainspring.domain import wire
from mainspring.domain.home import Home
from mainspring.domain.pools import LOCAL_POOL

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "POLARS_MAX_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
"""Tell numeric libraries how many threads they may use; each reads its own when it is loaded."""


class Message(msgspec.Struct, tag=True):
    """One frame."""


class Hello(Message):
    """Engine to fork server, first: who speaks, and what it wants to hear of."""

    owner_pid: int


class Welcome(Message):
    """Fork server to engine: every attempt held, and every end not yet released."""

    pid: int
    statuses: list[Status]


class Launch(Message):
    """Engine to fork server to worker: take this attempt."""

    spec: Spec


class Cancel(Message):
    """Engine to fork server: signal an attempt, kill what is left after the grace."""

    run_id: str
    attempt: int
    grace_s: float
    signal: int


class Release(Message):
    """Engine to fork server: the end of these attempts is in the record."""

    attempts: list[tuple[str, int]]


class Bye(Message):
    """Engine to fork server, last: no owner follows soon, end when the work is done."""


class Changed(Message):
    """Fork server to engine: where an attempt is now."""

    status: Status


class Mark(Message):
    """Worker to fork server: how far it is with the attempt it holds.

    Attributes
    ----------
    stage : str
        ``building``: leased, its environment is being built; ``running``: leased; ``finishing``: the code has
        ended, the next attempt may be sent; ``idle``: the attempt is over.
    modules : tuple of str
        Third-party modules that the code has loaded.
    """

    stage: str
    modules: tuple[str, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(
    Hello | Welcome | Launch | Cancel | Release | Bye | Changed | Mark
)


def encode(message: Message) -> bytes:
    """Return the frame of a message."""
    body = _encoder.encode(message)
    return wire.HEADER.pack(len(body)) + body


class Frames:
    """Cuts a stream into messages.

    Examples
    --------
    >>> frames = Frames()
    >>> frames.feed(encode(Hello(7))[:6]), frames.feed(encode(Hello(7))[6:])
    ([], [Hello(owner_pid=7)])
    """

    def __init__(self) -> None:
        self._cut = wire.Frames()

    def feed(self, content: bytes) -> list[Any]:
        """Add bytes; return the messages that are now whole."""
        return [_decoder.decode(body) for body in self._cut.take(content)]


def receive(link: socket.socket, frames: Frames) -> list[Any] | None:
    """Read what is there without waiting for more.

    Returns
    -------
    list of Message or None
        None when the other side is gone.
    """
    try:
        content = link.recv(1 << 16)
    except (BlockingIOError, InterruptedError):
        return []
    except OSError:
        return None
    return frames.feed(content) if content else None


def find_sockets(home: Home, node: str) -> list[Path]:
    """Return where fork servers of a node of this machine may listen."""
    return list(home.runtime.glob(f"{_first(node)}-*.sock"))


def socket_path(home: Home, node: str, spec: Spec, python: str, threads: int) -> Path:
    """Return where the fork server of a node listens that has an interpreter, environment, variables, and threads."""
    named = f"{python} {threads}"
    if spec.environment or spec.variables:
        named += f" {spec.environment} {sorted(spec.variables.items())}"
    # As long as paths of sockets allow: whoever finds variables of the same name would be given those of others.
    first = _first(node)
    mark = base64.urlsafe_b64encode(hashlib.sha256(named.encode()).digest())[: 11 - len(first)].decode()
    return home.runtime / f"{first}-{mark}.sock"


def _first(node: str) -> str:
    """Return what sockets of a node begin with: pools that share a machine share no fork servers."""
    return "f" if node == LOCAL_POOL else f"f{hashlib.sha256(node.encode()).hexdigest()[:4]}"


def log_path(home: Home, run_id: str, attempt: int) -> Path:
    """Return where the text of an attempt is kept."""
    return home.logs / "runs" / f"{run_id}-{attempt}.log"


def name_signal(number: int) -> str:
    """Return ``SIGKILL`` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def read_log(home: Home, run_id: str, attempt: int, offset: int, limit_bytes: int) -> tuple[bytes, int]:
    """Return text of an attempt from `offset` on, and how much there is in all."""
    try:
        with log_path(home, run_id, attempt).open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            file.seek(min(offset, size_bytes))  # a file system refuses places beyond what it could ever hold
            return file.read(limit_bytes), size_bytes
    except FileNotFoundError:
        return b"", 0
