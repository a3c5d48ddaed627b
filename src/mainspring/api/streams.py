"""Events as they happen, as server-sent events: resumed by number, with heartbeats, never piled up."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mainspring.api.answers import HEADERS
from mainspring.api.entrance import Entrance
from mainspring.api.inputs import read_query
from mainspring.api.relay import Relay
from mainspring.api.routes import TABLE
from mainspring.domain.errors import Invalid, MainspringError, Unavailable
from mainspring.domain.messages import ListEvents
from mainspring.domain.records import Event

HEARTBEAT_S = 15.0
SLOW_S = 20.0
"""Seconds in which a reader must take what was sent, else it is cut off."""

MOST_STREAMS = 100
PAGE = 100
"""Events that are held for one reader at most."""

PARAMETERS = ("after", "kind", "subject")
_ENTRY = next(entry for entry in TABLE if entry.path == "/events")
_NUMBER = re.compile("[0-9]{1,15}")

Works = dict[str, dict[str, Callable[[Request], Awaitable[Response]]]]


class Streams:
    """The streams of one server.

    Parameters
    ----------
    relay : Relay
        Asks the owner.
    entrance : Entrance
        Remembers who was let in.
    heartbeat_s : float, default HEARTBEAT_S
        Seconds without events after which a comment is sent.
    slow_s : float, default SLOW_S
        Seconds in which a reader must take what was sent.

    Attributes
    ----------
    open_count : int
        Streams that are open now.

    Notes
    -----
    Guarantees: for a reader that does not take what was sent, one page is held beside what the connection's own
    buffers hold, and the next is asked for when it was taken; whoever is cut off goes on by Last-Event-ID.
    """

    def __init__(
        self, relay: Relay, entrance: Entrance, heartbeat_s: float = HEARTBEAT_S, slow_s: float = SLOW_S
    ) -> None:
        self._relay = relay
        self._entrance = entrance
        self._heartbeat_s = heartbeat_s
        self._slow_s = slow_s
        self.open_count = 0

    async def answer(self, request: Request) -> Response:
        """Begin a stream.

        Raises
        ------
        MainspringError
            API-003 for a parameter or Last-Event-ID that is none, API-016 when too many are open,
            and what the owner refuses with.
        """
        wanted = _read(request)
        token, project = request.state.token, request.query_params.get("project", "")
        if self.open_count >= MOST_STREAMS:
            raise Unavailable("API-016", f"{self.open_count} streams are open", wait_s=self._heartbeat_s)

        async def page(wait_s: float) -> list[Event]:
            command = msgspec.structs.replace(wanted, wait_s=wait_s, limit=PAGE)
            found: list[Event] = await self._relay.ask(command, project=project, token=token)
            if found:
                wanted.after = found[-1].seq
            return found

        self.open_count += 1
        try:
            first = await page(0.0)  # a refusal is an answer, not a stream that ends
        except BaseException:
            self.open_count -= 1
            raise
        self._entrance.note_success(token)

        async def parts() -> AsyncIterator[bytes]:
            yield b": events\n\n" + b"".join(map(_write, first))
            while True:
                try:
                    found = await page(self._heartbeat_s)
                except MainspringError as error:  # a token that was revoked, an owner that is gone
                    yield b"event: end\ndata: " + msgspec.json.encode({"code": error.code}) + b"\n\n"
                    return
                yield b"".join(map(_write, found)) or b": heartbeat\n\n"

        return _Stream(self, parts(), self._slow_s)

    def close(self) -> None:
        """Count a stream no more; it ended, or its reader is gone."""
        self.open_count -= 1


def make_works(streams: Streams) -> Works:
    """Return path -> verb -> what answers it."""
    return {"/events/stream": {"GET": streams.answer}}


class _Stream(Response):
    media_type = "text/event-stream"

    def __init__(self, streams: Streams, parts: AsyncIterator[bytes], slow_s: float) -> None:
        super().__init__(None, 200, {**HEADERS, "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._streams = streams
        self._parts = parts
        self._slow_s = slow_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            async with asyncio.timeout(self._slow_s):
                await send(message)

        async def write() -> None:
            await tell({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if scope["method"] != "HEAD":
                async for part in self._parts:
                    await tell({"type": "http.response.body", "body": part, "more_body": True})
            await tell({"type": "http.response.body", "body": b"", "more_body": False})

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        tasks = [asyncio.ensure_future(write()), asyncio.ensure_future(listen())]
        try:
            done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
            for task in done:
                # A reader that was too slow is cut off: the connection closes without an end.
                with contextlib.suppress(TimeoutError, OSError):
                    task.result()
        finally:
            self._streams.close()


def _read(request: Request) -> ListEvents:
    given = request.query_params
    values = {name: value for name, value in given.multi_items() if name in PARAMETERS}
    unknown = next((name for name in given if name not in {*PARAMETERS, "project"}), None)
    if unknown is not None or len(given.multi_items()) != len(given):
        raise Invalid("API-003", f"the stream takes {', '.join(PARAMETERS)}, each once")
    wanted = ListEvents(**read_query(_ENTRY, QueryParams(values)))
    last = request.headers.get("last-event-id", "")
    if last:
        if not _NUMBER.fullmatch(last):
            raise Invalid("API-003", f"Last-Event-ID is {last[:40]!r}, no number of an event")
        wanted.after = int(last)
    return wanted


def _write(event: Event) -> bytes:
    """Return an event as the stream carries it; JSON holds no line break."""
    kind = event.kind.replace("\n", " ").replace("\r", " ")
    return f"id: {event.seq}\nevent: {kind}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"
