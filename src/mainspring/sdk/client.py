"""The client of a home's owner: typed commands over the Unix socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import msgspec

from mainspring.domain import messages
from mainspring.domain.errors import Unavailable
from mainspring.domain.home import Home
from mainspring.domain.messages import Command
from mainspring.domain.ports import Blobs
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.domain.repetition import is_repeatable
from mainspring.domain.wire import decode_reply, encode_request, read_reply
from mainspring.sdk.blobs import screen_blobs
from mainspring.sdk.homes import current_home, current_project
from mainspring.sdk.keys import DataKeys
from mainspring.sdk.logins import find_login
from mainspring.sdk.owners import start_owner
from mainspring.sdk.tables import HomeTables
from mainspring.sdk.wires import Wire, dial
from mainspring.security.masks import is_hiding, mask_all
from mainspring.security.seals import Seal, project_seal
from mainspring.store.blobs import open_blobs
from mainspring.store.choices import is_chosen

_PATIENCE_S = 30.0
"""Seconds in which one owner after the other may end before a command is given up."""

PASSING = frozenset({"HOME-030"})
"""Refusals that a command is repeated after: the record's database is away and may come back."""

_REST_S = 0.2
"""Seconds between two such repetitions."""

_SILENCE_S = 60.0
"""Seconds beyond its own waiting time in which an owner must answer."""


class Client:
    """Asks the owner of one home; safe to share between threads, and usable after a fork.

    Parameters
    ----------
    home : Home
        The home.
    start : callable, optional
        Starts an owner when none answers; None: never start one.
    project : str, default `DEFAULT_PROJECT`
        In which project it asks.
    token : str, optional
        In whose name it asks; by default in that of the user who runs this process.

    Attributes
    ----------
    authority : str
        The token that it asks for secrets and data keys with, in a worker; empty: its own.
    data_keys : DataKeys
        The keys of what is sensitive that it was given.
    """

    remote: ClassVar[bool] = False
    """Whether the owner is reached through a server, and cannot see this machine's files."""

    def __init__(
        self,
        home: Home,
        start: Callable[[Home], None] | None = start_owner,
        *,
        project: str = DEFAULT_PROJECT,
        token: str = "",
    ) -> None:
        self.home = home
        self._blobs: Blobs | None = None
        self.project = project
        self._token = token
        self._start = start
        self._seal: Seal | None = None
        self._idle: list[Wire] = []
        self.authority = ""
        self.data_keys = DataKeys(self)

    @property
    def blobs(self) -> Blobs:
        """The blobs of the home."""
        if self._blobs is None:
            self._blobs = screen_blobs(self._open_blobs(), self.data_keys)
        return self._blobs

    @cached_property
    def tables(self) -> HomeTables:
        """The tables of the home."""
        return HomeTables(self)

    @property
    def seal(self) -> Seal:
        """The seal of the home's project."""
        if self._seal is None:
            self._seal = project_seal(self.home)
        return self._seal

    def ask(self, command: Command, key: str = "", *, project: str = "", token: str = "") -> Any:
        """Ask the owner and wait for the answer.

        Parameters
        ----------
        command : Command
            What to ask.
        key : str, optional
            Idempotency key: a command of a key takes effect once. By default each call has its own.
        project, token : str, optional
            Replace the client's own for this command.

        Returns
        -------
        object
            Of the type that `mainspring.domain.answers.ANSWERS` names.

        Raises
        ------
        MainspringError
            The owner's refusal; HOME-001 when no owner answers in time; HOME-005 when the
            command is too large.

        Notes
        -----
        Guarantees: when the owner dies before it answered, the command is repeated to its
        successor under the same key, so it takes effect once; so it is when the database of the
        record is away for up to half a minute.
        """
        if not key and not is_repeatable(command):
            key = os.urandom(16).hex()
        if is_hiding():
            command = _mask(command)
        return self._deliver(command, key, project or self.project, token or self._token)

    def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Ask questions that change nothing, in one trip; return the answers in their order.

        Raises
        ------
        MainspringError
            As `ask`: the first refusal.
        """
        if self.remote or is_hiding():
            return [self.ask(each) for each in commands]
        frames = [
            encode_request(number, each, "", project=self.project, token=self._token)
            for number, each in enumerate(commands, 1)
        ]
        try:
            wire = self._take()
            replies = wire.exchange(b"".join(frames), _SILENCE_S, len(frames))
            self._idle.append(wire)
            found = {read_reply(reply).id: reply for reply in replies}
            return [decode_reply(found[number], type(each))[1] for number, each in enumerate(commands, 1)]
        except ConnectionError:  # the owner has ended, or cannot reach its record: each finds the next one
            return [self.ask(each) for each in commands]

    def _deliver(self, command: Command, key: str, project: str, token: str) -> Any:
        """Bring a command to the owner and its answer back; a remote client goes another way."""
        frame = encode_request(1, command, key, project=project, token=token)
        silence_s = float(getattr(command, "wait_s", 0.0)) + _SILENCE_S
        trouble_since: float | None = None
        while True:
            begun = time.monotonic()
            try:
                wire = self._take()
                (reply,) = wire.exchange(frame, silence_s)
            except Unavailable:
                raise
            except ConnectionError as fault:
                now = time.monotonic()
                if trouble_since is None or now - begun > _PATIENCE_S:
                    trouble_since = now  # an owner that lived that long was a good one
                if now - trouble_since > _PATIENCE_S:
                    what = f"owners end again and again when they are asked {type(command).__name__}"
                    raise Unavailable("HOME-001", what) from fault
                continue
            self._idle.append(wire)
            try:
                return decode_reply(reply, type(command))[1]
            except Unavailable as fault:
                now = time.monotonic()
                trouble_since = trouble_since or now
                if fault.code not in PASSING or now - trouble_since > _PATIENCE_S:
                    raise
            time.sleep(_REST_S)

    @property
    def home_seal(self) -> Seal:
        """The seal of what the home's own processes open: calls of steps, models that are code."""
        return self.seal

    def work_for(self, token: str) -> None:
        """Ask for secrets and data keys with the token of an attempt from now on: what its submitter may.

        What was given to earlier attempts is forgotten.
        """
        self.authority = token
        self.data_keys.forget()

    def close(self) -> None:
        """Close the sockets that are open; the client opens new ones when it is asked again."""
        while self._idle:
            self._idle.pop().close()

    def _open_blobs(self) -> Blobs:
        """Open the blobs; an object store is first claimed for the record by the owner."""
        if self.home.blob_store and not is_chosen(self.home):
            self.ask(messages.GetStatus())
        return open_blobs(self.home)

    def _take(self) -> Wire:
        """Return an idle connection of this process, or a new one."""
        while self._idle:
            wire = self._idle.pop()
            if wire.pid == os.getpid():
                return wire
            wire.close()  # of the process that forked this one
        return Wire(self._connect())

    def _connect(self) -> socket.socket:
        path = str(self.home.socket)
        connected = dial(path)
        if connected is None:
            if self._start is None:
                raise Unavailable("HOME-001", f"no owner answers at {path}", path=path)
            self._start(self.home)
            connected = dial(path)
        if connected is None:
            raise ConnectionResetError("the owner ended as soon as it was there")
        return connected


def _mask(command: Command) -> Command:
    """Take the values of secrets out of what is told to the record; a command inside a command is not kept there."""
    plain = msgspec.msgpack.encode(mask_all(msgspec.to_builtins(command, builtin_types=(bytes,))))
    return msgspec.msgpack.decode(plain, type=type(command))


_clients: dict[tuple[object, ...], Client] = {}


def connect_home(
    home: Home, project: str = DEFAULT_PROJECT, start: Callable[[Home], None] | None = start_owner
) -> Client:
    """Return the client of a project in a home; one for each in a process, made as its first caller says."""
    # One step, and no lock that a fork could copy while it is held.
    return _clients.setdefault((home, project), Client(home, start, project=project))


def get_client() -> Client:
    """Return the client of the current project in the current home, or at the server that is set.

    The owner of a home is started when it is first asked.
    """
    login = find_login()
    if login is None:
        return connect_home(current_home(), current_project())
    wanted = (*msgspec.structs.astuple(login), current_project())
    found = _clients.get(wanted)
    if found is None:
        from mainspring.sdk.remote import RemoteClient

        found = _clients.setdefault(wanted, RemoteClient(*msgspec.structs.astuple(login), project=current_project()))
    return found
