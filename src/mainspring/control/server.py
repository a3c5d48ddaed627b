"""The owner's side of the wire: frames from a Unix socket become turns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainspring.control.commits import Answer, Ask, GroupCommit, Outcome
from mainspring.control.leases import LEASE_S
from mainspring.control.usecases import Later, Loop
from mainspring.domain.errors import Denied, Failed, Invalid, MainspringError, Unavailable
from mainspring.domain.home import Home
from mainspring.domain.principals import ANY_PROJECT, DEFAULT_PROJECT, Principal
from mainspring.domain.wire import Frames, decode_request, encode_body, encode_problem

if TYPE_CHECKING:
    from mainspring.store.dialects import Listener

_log = logging.getLogger(__name__)
_CREDENTIALS = struct.Struct("3i")
_LINGER_S = 2.0
_NAP_S = LEASE_S / 2
"""Seconds without a loop after which this process has heard no heartbeat: it was stopped, or waited for its disk."""

_LOOK_S = 5.0
"""Seconds after which what waits looks again for what another owner may have done."""


class Server:
    """Answers the clients of one home.

    Parameters
    ----------
    home : Home
        Its runtime folder exists and is ours alone.
    commits : GroupCommit
        Runs the use cases.
    loops : list of Loop
        Reconcile loops.
    uid : int, optional
        The only user who may connect; None: the one who runs this process.

    Attributes
    ----------
    connections : set of Connection
        Clients that are connected now.
    """

    def __init__(self, home: Home, commits: GroupCommit, loops: list[Loop], *, uid: int | None = None) -> None:
        self._home = home
        self._commits = commits
        self._loops = loops
        commits.joining = [each for each in loops if each.joins]
        self._uid = os.getuid() if uid is None else uid
        self._pending: list[_Wait] = []
        self._waiting: dict[str, set[_Wait]] = {}
        self._timers: dict[Loop, asyncio.Handle] = {}
        self._scheduled = False
        self._inode: int | None = None
        self._listener: asyncio.Server | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._awake_at = 0.0
        self._deaf = False
        self._ears: Listener | None = None
        self.connections: set[Connection] = set()

    async def start(self) -> None:
        """Listen on the home's socket, mode 0600, and start the loops."""
        path = self._home.socket
        path.unlink(missing_ok=True)  # a dead owner's; the caller holds the lock
        listening = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(mask)
        self._inode = _inode(path)
        self._listener = await asyncio.get_running_loop().create_unix_server(
            lambda: Connection(self, self._uid), sock=listening, backlog=256
        )
        self._awake_at = asyncio.get_running_loop().time()
        for each in self._loops:
            self._run_loop(each)
        self._look()

    async def stop(self) -> None:
        """Close the socket and every connection; requests that wait are cut off."""
        for timer in self._timers.values():
            timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
        self._hear_no_more()
        if self._listener is not None:
            self._listener.close()
        # The folder may have been removed and made again, by a successor that listens there now.
        if _inode(self._home.socket) == self._inode:
            self._home.socket.unlink(missing_ok=True)
        for connection in list(self.connections):
            connection.close()
        await asyncio.sleep(0)

    def submit(self, wait: _Wait) -> None:
        """Put a request into the next turn."""
        self._pending.append(wait)
        self._schedule()

    def notify(self, topics: set[str], *, joined: bool = False) -> None:
        """Try the requests that wait for these topics again, and call the loops that listen to them.

        Parameters
        ----------
        topics : set of str
            What was notified.
        joined : bool, default False
            By a turn of this owner, which has called the loops that join it.
        """
        for topic in topics:
            for wait in self._waiting.pop(topic, ()):
                self._forget(wait)
                self.submit(wait)
        for each in self._loops:
            # At the start one may be notified by another before its own first call.
            if topics.intersection(each.topics) and each in self._timers and not (joined and each.joins):
                self._timers[each].cancel()
                self._timers[each] = asyncio.get_running_loop().call_soon(self._run_loop, each)

    def drop(self, connection: Connection) -> None:
        """Forget what a connection that is gone had asked and still waits for."""
        self.connections.discard(connection)
        for wait in list(connection.waits):
            self._forget(wait)
            wait.end()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._scheduled = False
        waits, self._pending = self._pending, []
        waits = [wait for wait in waits if not wait.connection.closed]
        if not waits:
            return
        outcomes, topics = self._commits.run([wait.ask for wait in waits])
        replies: dict[Connection, list[bytes]] = {}
        for wait, outcome in zip(waits, outcomes, strict=True):
            frame = self._settle(wait, outcome)
            if frame is not None:
                replies.setdefault(wait.connection, []).append(frame)
        for connection, frames in replies.items():
            connection.send(b"".join(frames))
        if topics:
            self.notify(topics, joined=True)

    def _settle(self, wait: _Wait, outcome: Outcome) -> bytes | None:
        """Return the reply to a request; None when it waits on."""
        if isinstance(outcome, Later) and not wait.ask.expired:
            self._park(wait, outcome)
            return None
        wait.end()
        if isinstance(outcome, Later):
            outcome = Failed("HOME-015", f"{type(wait.ask.command).__name__} waits beyond its time")
        return _encode(wait.number, outcome)

    def _park(self, wait: _Wait, later: Later) -> None:
        loop = asyncio.get_running_loop()
        if wait.timer is None:
            wait.timer = loop.call_later(max(later.wait_s, 0.0), self._expire, wait)
        wait.topics = later.topics
        wait.connection.waits.add(wait)
        for topic in later.topics:
            self._waiting.setdefault(topic, set()).add(wait)

    def _forget(self, wait: _Wait) -> None:
        for topic in wait.topics:
            others = self._waiting.get(topic)
            if others is not None:
                others.discard(wait)
                if not others:
                    del self._waiting[topic]
        wait.topics = ()

    def _expire(self, wait: _Wait) -> None:
        wait.ask.expired = True
        if wait.topics:
            self._forget(wait)
            self.submit(wait)

    def _look(self) -> None:
        """Listen to the other owners, if there can be any, and have what waits look again now and then."""
        loop = asyncio.get_running_loop()
        if self._ears is None:
            try:
                ears = self._commits.listen()
            except MainspringError as fault:
                _log.error("other owners are not heard: %s", fault.what)
            else:
                if ears is None:
                    return
                self._ears = ears
                loop.add_reader(ears.fileno(), self._hear)
        self.notify(set(self._waiting))
        self._looking = loop.call_later(_LOOK_S, self._look)

    def _hear(self) -> None:
        assert self._ears is not None
        try:
            topics = self._ears.take()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the next look listens anew
            _log.error("other owners are not heard: %s", fault)
            self._hear_no_more()
            return
        if topics:
            self._commits.alone = False
            self.notify(topics)

    def _hear_no_more(self) -> None:
        if self._ears is not None:
            asyncio.get_running_loop().remove_reader(self._ears.fileno())
            self._ears.close()
            self._ears = None

    def _wake(self) -> None:
        """After a time in which nothing was done or written, give those that were not heard the time to be heard."""
        now = asyncio.get_running_loop().time()
        slept_s, self._awake_at = now - self._awake_at, now
        if slept_s > _NAP_S:
            _log.warning("nothing was done for %.1f s", slept_s)
            self._deaf = True
        if self._deaf:
            with contextlib.suppress(Unavailable):
                self._commits.adopt()
                self._deaf = False

    def _run_loop(self, each: Loop) -> None:
        topics: set[str] = set()
        try:
            self._wake()
            topics = self._commits.call(
                each.call, durable=each.durable, lease=f"loop:{each.call.__name__}" if each.once else ""
            )
        except Unavailable:
            self._deaf = True  # the commit has said so
        except Exception:  # noqa: BLE001 - a loop that fails must not end the owner
            _log.exception("the loop %s failed", each.call.__name__)
        self._timers[each] = asyncio.get_running_loop().call_later(each.every_s, self._run_loop, each)
        if topics:
            self.notify(topics, joined=True)


class Connection(asyncio.Protocol):
    """One client: reads frames, sends replies in any order."""

    def __init__(self, server: Server, uid: int) -> None:
        self._server = server
        self._uid = uid
        self._frames = Frames()
        self._transport: Any = None
        self._actor: Principal | None = None
        self.waits: set[_Wait] = set()
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in when it is the home's user."""
        self._transport = transport
        self._server.connections.add(self)
        uid = peer_uid(transport.get_extra_info("socket"))
        if uid != self._uid:
            self._refuse(Denied("HOME-008", f"user {uid} asks, the home is user {self._uid}'s"))
            return
        # Whoever may read the home's files is its admin anyway.
        self._actor = Principal(_user_name(uid), "user", {ANY_PROJECT: "admin"})

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the client."""
        self.closed = True
        self._server.drop(self)

    def data_received(self, data: bytes) -> None:
        """Turn whole frames into requests."""
        if self.closed:
            return
        try:
            for body in self._frames.take(data):
                self._request(body)
                if self.closed:
                    return
        except Invalid as error:
            self._refuse(error)

    def send(self, frame: bytes) -> None:
        """Send a reply to a client that is still there."""
        if not self.closed:
            self._transport.write(frame)

    def close(self) -> None:
        """End the connection after what was sent."""
        self.closed = True
        self._transport.close()

    def _request(self, body: bytes) -> None:
        try:
            asked = decode_request(body)
        except MainspringError as error:
            self._refuse(error)
            return
        assert self._actor is not None
        ask = Ask(asked.command, self._actor, asked.key, project=asked.project or DEFAULT_PROJECT, token=asked.token)
        self._server.submit(_Wait(self, asked.number, ask))

    def _refuse(self, error: MainspringError) -> None:
        # The client may still be sending; to close now could cost it the reason.
        self.send(encode_problem(0, error))
        self.closed = True
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_S, self._transport.close)


class _Wait:
    """A request from its arrival to its reply."""

    __slots__ = ("ask", "connection", "number", "timer", "topics")

    def __init__(self, connection: Connection, number: int, ask: Ask) -> None:
        self.connection = connection
        self.number = number
        self.ask = ask
        self.timer: asyncio.TimerHandle | None = None
        self.topics: tuple[str, ...] = ()

    def end(self) -> None:
        """Stop waiting."""
        if self.timer is not None:
            self.timer.cancel()
        self.connection.waits.discard(self)


def _encode(number: int, outcome: Answer | MainspringError) -> bytes:
    try:
        return encode_body(number, outcome.body) if isinstance(outcome, Answer) else encode_problem(number, outcome)
    except MainspringError as error:  # too large to travel; who else is answered in this turn must not go without
        return encode_problem(number, error)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def peer_uid(connected: socket.socket) -> int:
    """Return the user at the other end of a Unix socket, as the kernel knows him.

    Notes
    -----
    Where the kernel does not tell, the socket's mode 0600 alone keeps others out.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return os.getuid()
    _, uid, _ = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return int(uid)


def _user_name(uid: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)
