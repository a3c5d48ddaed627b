"""Streams of events over real connections: slow, half-open and vanishing readers lose nothing and hold nothing."""

import asyncio
import contextlib
import json
import socket

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from tests.support.relays import DeskRelay

from mainspring.api import streams
from mainspring.api.entrance import Entrance
from mainspring.api.sessions import Sessions
from mainspring.control.usecases import Later
from mainspring.domain.errors import MainspringError

EVENTS = 3_000
BODY = {"text": "x" * 500}
SMALL_BYTES = 8_192
DEADLINE_S = 90.0


class CountingRelay(DeskRelay):
    """Asks a desk, and lets whoever would wait for events look again a little later."""

    async def ask(self, command, key="", *, project="", token=""):
        until = asyncio.get_running_loop().time() + command.wait_s
        while True:
            answer = await super().ask(command, key, project=project, token=token)
            if not isinstance(answer, Later):
                return answer
            self.asked.pop()
            if asyncio.get_running_loop().time() >= until:
                return []
            await asyncio.sleep(0.02)


class Stand:
    """A real server of streams on a real port, in this loop; `small` buffers of the kernel."""

    def __init__(self, desk, slow_s):
        self.relay = CountingRelay(desk)
        self.streams = streams.Streams(self.relay, Entrance("", Sessions()), heartbeat_s=0.1, slow_s=slow_s)
        self.desk = desk

    async def __aenter__(self):
        async def answer(request):
            request.state.token = ""
            try:
                return await self.streams.answer(request)
            except MainspringError as error:
                return streams.Response(error.code, 503)

        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BYTES)
        listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        app = Starlette(routes=[Route("/stream", answer)])
        self.server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error", http="h11"))
        self.task = asyncio.ensure_future(self.server.serve(sockets=[listening]))
        await until(lambda: self.server.started)
        return self

    async def __aexit__(self, *_):
        self.server.should_exit = self.server.force_exit = True
        await self.task

    @contextlib.asynccontextmanager
    async def read(self, last=None):
        """Connect with small buffers and ask for the stream; nothing is read ahead."""
        connected = socket.socket()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BYTES)
        connected.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connected, ("127.0.0.1", self.port))
        resumed = f"Last-Event-ID: {last}\r\n" if last is not None else ""
        asked = f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n{resumed}\r\n"
        await loop.sock_sendall(connected, asked.encode())
        try:
            yield Reader(connected)
        finally:
            connected.close()

    def emit(self, count, kind="made"):
        self.desk.call(lambda turn: [turn.emit(kind, f"thing-{number}", BODY) for number in range(count)])


class Reader:
    """Reads what comes, and keeps the events that came whole."""

    def __init__(self, connected):
        self.connected = connected
        self.rest = b""
        self.numbers = []

    async def take(self, size):
        """Read so many bytes at most; False at the end."""
        try:
            part = await asyncio.get_running_loop().sock_recv(self.connected, size)
        except ConnectionResetError:
            part = b""
        self.rest += part
        *whole, self.rest = self.rest.split(b"\n\n")
        for each in whole:
            lines = dict(line.split(b": ", 1) for line in each.split(b"\n") if line.startswith((b"id: ", b"data: ")))
            if lines:
                self.numbers.append(int(lines[b"id"]))
                assert json.loads(lines[b"data"])["seq"] == self.numbers[-1]
        return bool(part)


async def until(holds):
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def settle(count):
    """Wait until a number stands still for a while; return it."""
    before, still = count(), 0
    async with asyncio.timeout(DEADLINE_S):
        while still < 20:
            await asyncio.sleep(0.01)
            still, before = (still + 1, before) if count() == before else (0, count())
    return before


def test_a_slow_reader_holds_a_bounded_part_and_loses_nothing(desk):
    async def play():
        async with Stand(desk, slow_s=DEADLINE_S) as stand:
            stand.emit(EVENTS)
            async with stand.read() as reader:
                while not reader.numbers:
                    await reader.take(1024)
                held = await settle(lambda: len(stand.relay.asked))
                print(f"{held} pages of {streams.PAGE} asked for a reader that stands still")
                assert held * streams.PAGE < EVENTS / 3
                stand.emit(5, "late")  # while it stands still
                async with asyncio.timeout(DEADLINE_S):
                    while len(reader.numbers) < EVENTS + 5:
                        assert await reader.take(4096)
            assert reader.numbers == list(range(1, EVENTS + 6))
            await until(lambda: stand.streams.open_count == 0)

    asyncio.run(play())


def test_a_reader_that_stops_is_cut_off_and_resumes_where_it_was(desk):
    async def play():
        async with Stand(desk, slow_s=0.3) as stand:
            stand.emit(EVENTS)
            found = []
            for _ in range(3):
                async with stand.read(found[-1] if found else None) as reader:
                    while len(reader.numbers) < 20:
                        assert await reader.take(512)
                    await until(lambda: stand.streams.open_count == 0)  # it is cut off meanwhile
                    async with asyncio.timeout(DEADLINE_S):
                        while await reader.take(65536):
                            pass  # what the kernel still held
                assert len(found) + len(reader.numbers) < EVENTS
                found += reader.numbers
            stand.emit(5, "late")
            async with stand.read(found[-1]) as reader:
                async with asyncio.timeout(DEADLINE_S):
                    while len(found) + len(reader.numbers) < EVENTS + 5:
                        assert await reader.take(65536)
            assert found + reader.numbers == list(range(1, EVENTS + 6))

    asyncio.run(play())


@pytest.mark.parametrize("abruptly", [False, True])
def test_a_reader_that_vanishes_is_forgotten(desk, abruptly):
    async def play():
        async with Stand(desk, slow_s=DEADLINE_S) as stand:
            async with stand.read() as reader:
                await reader.take(65536)
                assert stand.streams.open_count == 1
                if abruptly:
                    linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
                    reader.connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await until(lambda: stand.streams.open_count == 0)
            asked = await settle(lambda: len(stand.relay.asked))
            stand.emit(3)
            assert await settle(lambda: len(stand.relay.asked)) == asked

    asyncio.run(play())


def test_those_that_come_at_once_are_counted_at_once(desk, monkeypatch):
    monkeypatch.setattr(streams, "MOST_STREAMS", 3)

    async def play():
        async with Stand(desk, slow_s=DEADLINE_S) as stand, contextlib.AsyncExitStack() as stack:
            readers = [await stack.enter_async_context(stand.read()) for _ in range(12)]
            firsts = await asyncio.gather(
                *(asyncio.get_running_loop().sock_recv(each.connected, 12) for each in readers)
            )
            assert sorted(firsts) == [b"HTTP/1.1 200"] * 3 + [b"HTTP/1.1 503"] * 9
            assert stand.streams.open_count == 3

    asyncio.run(play())


def test_streams_are_counted_and_one_too_many_is_refused(desk, monkeypatch):
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)

    async def play():
        async with Stand(desk, slow_s=DEADLINE_S) as stand, stand.read() as first, stand.read() as second:
            await until(lambda: stand.streams.open_count == 2)
            async with stand.read() as third:
                text = b""
                while b"API-016" not in text:
                    part = await asyncio.get_running_loop().sock_recv(third.connected, 4096)
                    assert part, text
                    text += part
            assert text.startswith(b"HTTP/1.1 503")
            first.connected.close()
            await until(lambda: stand.streams.open_count == 1)
            async with stand.read() as fourth:
                stand.emit(1)
                for reader in (fourth, second):
                    while not reader.numbers:
                        assert await reader.take(4096)
            assert fourth.numbers == second.numbers == [1]

    asyncio.run(play())
