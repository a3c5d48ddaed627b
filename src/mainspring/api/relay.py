"""The way from HTTP to the owner: many requests at once over one connection to its socket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from typing import Any

import msgspec

from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home
from mainspring.domain.messages import Command
from mainspring.domain.repetition import is_repeatable
from mainspring.domain.wire import Frames, Reply, decode_answer, encode_request, read_reply, restore

PATIENCE_S = 30.0
"""Seconds in which one owner after the other may end before a request is given up."""

SILENCE_S = 60.0
"""Seconds beyond its own waiting time in which an owner must answer."""


class Relay:
    """Asks the owner of a home without a thread for each request that waits.

    Parameters
    ----------
    home : Home
        The home.
    start : callable
        Starts an owner when none answers; called in a thread.
    """

    def __init__(self, home: Home, start: Callable[[Home], None]) -> None:
        self._home = home
        self._start = start
        self._link: _Link | None = None
        self._opening = asyncio.Lock()

    async def ask(self, command: Command, key: str = "", *, project: str = "", token: str = "") -> Any:
        """Ask and return the answer; parameters and errors are those of `exchange`."""
        return decode_answer(await self.exchange(command, key, project=project, token=token), type(command))

    async def exchange(self, command: Command, key: str = "", *, project: str = "", token: str = "") -> msgspec.Raw:
        """Ask and return the answer as the wire carries it.

        Parameters
        ----------
        command : Command
            What to ask.
        key : str, optional
            Idempotency key; with one, or when asking twice does no harm, a request whose owner
            dies is asked again.
        project, token : str, optional
            In which project, and in whose name; empty: the default one, the home's own user.

        Raises
        ------
        MainspringError
            The owner's refusal; HOME-001 when no owner answers in time.
        """
        again = bool(key) or is_repeatable(command)
        wait_s = float(getattr(command, "wait_s", 0.0)) + SILENCE_S
        deadline = time.monotonic() + PATIENCE_S + wait_s
        while True:
            try:
                link = await self._take()
                reply = await link.exchange(command, key, project=project, token=token, wait_s=wait_s)
            except ConnectionError as fault:
                if isinstance(fault, Unavailable):
                    raise
                if not again or time.monotonic() > deadline:
                    what = f"the owner ended while it was asked {type(command).__name__}"
                    raise Unavailable("HOME-001", what) from fault
                await asyncio.sleep(0.02)
                continue
            if reply.problem is not None:
                raise restore(reply.problem)
            return reply.body

    async def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()

    async def _take(self) -> _Link:
        if self._link is not None and not self._link.closed:
            return self._link
        async with self._opening:
            if self._link is None or self._link.closed:
                self._link = await self._open()
            return self._link

    async def _open(self) -> _Link:
        with contextlib.suppress(OSError):
            return await self._connect()
        await asyncio.to_thread(self._start, self._home)
        try:
            return await self._connect()
        except OSError:
            raise ConnectionResetError("the owner ended as soon as it was there") from None

    async def _connect(self) -> _Link:
        _, link = await asyncio.get_running_loop().create_unix_connection(_Link, str(self._home.socket))
        return link


class _Link(asyncio.Protocol):
    """One connection; replies come in any order."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Reply]] = {}
        self._frames: list[bytes] = []
        self._replies = Frames()
        self._room = asyncio.Event()
        self._room.set()
        self.closed = False

    async def exchange(self, command: Command, key: str, *, project: str, token: str, wait_s: float) -> Reply:
        """Send a request and wait for its reply."""
        number = next(self._numbers)
        frame = encode_request(number, command, key, project=project, token=token)
        loop = asyncio.get_running_loop()
        asked = self._asked[number] = loop.create_future()
        if not self._frames:
            loop.call_soon(self._send)
        self._frames.append(frame)
        try:
            async with asyncio.timeout(wait_s):
                await self._room.wait()
                reply: Reply = await asked
                return reply
        except TimeoutError:
            self.close()
            raise Unavailable("HOME-001", f"the owner was silent for {wait_s:.0f} s") from None
        finally:
            self._asked.pop(number, None)

    def _send(self) -> None:
        """Write what was asked since the loop's last round at once, so that the owner makes one turn of it."""
        frames, self._frames = self._frames, []
        if not self.closed:
            self._transport.write(b"".join(frames))

    def close(self) -> None:
        """Close it; whoever still waits is told that the connection was lost."""
        self.closed = True
        self._room.set()
        self._transport.close()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(ConnectionResetError("the owner closed the connection"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """End."""
        self.close()

    def data_received(self, data: bytes) -> None:
        """Hand replies to who asked."""
        for body in self._replies.take(data):
            reply = read_reply(body)
            asked = self._asked.get(reply.id)
            if asked is not None and not asked.done():
                asked.set_result(reply)
