"""Frames of the wire: a 4-byte length, then MessagePack of a request or a reply."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import msgspec

from mainspring.domain.answers import answer_of, find_command
from mainspring.domain.errors import Failed, Invalid, MainspringError, make_error
from mainspring.domain.messages import Command, Stop
from mainspring.domain.protocol import FIRST, PROTOCOL, check_protocol, list_spoken
from mainspring.domain.records import Problem

MAX_FRAME_BYTES = 64 * 1024 * 1024
HEADER = struct.Struct("!I")


class Request(msgspec.Struct, omit_defaults=True):
    """A command of a connection.

    Attributes
    ----------
    id : int
        Number of the request on its connection; the reply repeats it.
    command : bytes
        The encoded command.
    key : str
        Idempotency key; empty for reads.
    project : str
        In which project; empty: the default one.
    token : str
        In whose name, when it is not that of the connection's own user.
    protocol : int
        Version of the wire that the client speaks.
    """

    id: int
    command: msgspec.Raw
    key: str = ""
    project: str = ""
    token: str = ""
    protocol: int = FIRST


class Reply(msgspec.Struct, omit_defaults=True):
    """The answer to a request: a body or a problem."""

    id: int
    body: msgspec.Raw = msgspec.Raw(b"\xc0")
    problem: Problem | None = None


class _Named(msgspec.Struct):
    """What every encoded command says of itself: its name."""

    type: str


_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply)
_names = msgspec.msgpack.Decoder(_Named)
_SPOKEN = list_spoken()
_MOST_NAME = 100
_TAKEN = {"self", "code", "what", "why", "fix"}


class Asked(msgspec.Struct, frozen=True):
    """A request as the owner reads it; the fields are those of `Request`."""

    number: int
    command: Command
    key: str = ""
    project: str = ""
    token: str = ""


def encode_request(number: int, command: Command, key: str = "", *, project: str = "", token: str = "") -> bytes:
    """Return the frame of a request; the arguments are the fields of `Request`.

    Raises
    ------
    Invalid
        HOME-005 when it is too large, HOME-020 when it holds a value that the wire does not know.
    """
    return _frame(Request(number, msgspec.Raw(encode_command(command)), key, project, token, PROTOCOL))


def encode_command(command: Command) -> bytes:
    """Return a command alone, as HTTP carries it.

    Raises
    ------
    Invalid
        HOME-020 when it holds a value that the wire does not know.
    """
    try:
        return _encoder.encode(command)
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        raise Invalid("HOME-020", f"{type(command).__name__} cannot be sent: {fault}") from None


def decode_command(body: bytes) -> Command:
    """Read a command alone.

    Raises
    ------
    Invalid
        HOME-004 when the bytes are no command of this version.
    """
    try:
        command: Command = _decode_command(body)
    except (msgspec.DecodeError, RecursionError) as fault:
        raise Invalid("HOME-004", f"the command cannot be read: {fault}") from None
    return command


def decode_request(body: bytes) -> Asked:
    """Read a request without its length.

    Raises
    ------
    Invalid
        HOME-004 when the bytes are no request of this version, API-013 when it is of a version that
        is not answered; only `Stop` is taken from every client, so that another owner can follow.
    """
    try:
        request = _requests.decode(body)
        if request.protocol not in _SPOKEN and not _is_stop(request.command):
            check_protocol(request.protocol)
        command = _decode_command(request.command)
        return Asked(request.id, command, request.key, request.project, request.token)
    except (msgspec.DecodeError, RecursionError) as fault:
        raise Invalid("HOME-004", f"the request cannot be read: {fault}") from None


def _decode_command(body: bytes | msgspec.Raw) -> Any:
    name = _names.decode(body).type
    command = find_command(name)
    if command is None:
        raise msgspec.ValidationError(f"there is no command {name[:_MOST_NAME]!r}")
    return _make_decoder(command).decode(body)


@cache
def _make_decoder(command: type[Command]) -> msgspec.msgpack.Decoder[Any]:
    """Make what reads a command when the first one comes: to make all of them takes longer than to load them."""
    return msgspec.msgpack.Decoder(command)


def _is_stop(command: msgspec.Raw) -> bool:
    try:
        return _names.decode(command).type == Stop.__name__
    except msgspec.DecodeError:
        return False


def encode_reply(number: int, answer: Any) -> bytes:
    """Return the frame of an answer."""
    return _frame(Reply(number, msgspec.Raw(_encoder.encode(answer))))


def encode_body(number: int, body: bytes) -> bytes:
    """Return the frame of an answer that was encoded before."""
    return _frame(Reply(number, msgspec.Raw(body)))


def encode_problem(number: int, error: MainspringError) -> bytes:
    """Return the frame of a refusal."""
    return _frame(Reply(number, problem=describe(error)))


def decode_reply(body: bytes, command: type[Command]) -> tuple[int, Any]:
    """Read a reply to a command of that type.

    Returns
    -------
    tuple of int and object
        Number of the request, the answer.

    Raises
    ------
    MainspringError
        The problem that the reply carries.
    """
    reply = read_reply(body)
    if reply.problem is not None:
        raise restore(reply.problem)
    return reply.id, decode_answer(reply.body, command)


def read_reply(body: bytes) -> Reply:
    """Read a reply whose answer stays encoded."""
    return _replies.decode(body)


def decode_answer(body: bytes | msgspec.Raw, command: type[Command]) -> Any:
    """Read an answer to a command of that type."""
    return _make_reader(command).decode(body)


@cache
def _make_reader(command: type[Command]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(answer_of(command))


def describe(error: MainspringError, traceback: str = "") -> Problem:
    """Turn an error into the problem that the record and the wire carry."""
    return Problem(error.code, error.what, error.why, error.fix, traceback, error.context)


def restore(problem: Problem) -> MainspringError:
    """Turn a problem back into the error of its class.

    A code that this version does not know comes as RUN-006 with the code in its text: what a run ended
    with was told by its worker, which may be a newer one.
    """
    from mainspring.domain.catalogue import ENTRIES

    context = {name: value for name, value in problem.context.items() if name not in _TAKEN}
    if problem.code in ENTRIES:
        return make_error(problem.code, problem.what, problem.why, problem.fix, **context)
    return Failed("RUN-006", f"{problem.code}: {problem.what}", why=problem.why, fix=problem.fix, **context)


class Frames:
    """Cuts what arrives on a connection into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def take(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole now, without their lengths; what is left waits for more.

        Raises
        ------
        Invalid
            HOME-005 for one that is too large, as soon as it says so.
        """
        rest, start, whole = self._rest, 0, []
        rest += data
        while len(rest) - start >= HEADER.size:
            (size,) = HEADER.unpack_from(rest, start)
            if size > MAX_FRAME_BYTES:
                raise Invalid("HOME-005", f"a message of {size:,} bytes", size_bytes=size)
            end = start + HEADER.size + size
            if len(rest) < end:
                break
            whole.append(bytes(memoryview(rest)[start + HEADER.size : end]))
            start = end
        del rest[:start]
        return whole


def _frame(message: Any) -> bytes:
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise Invalid("HOME-005", f"a message of {len(body):,} bytes", size_bytes=len(body))
    return HEADER.pack(len(body)) + body
