"""A model that is code, answered for by a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np

from mainspring.domain.errors import Failed, Unavailable
from mainspring.models.columns import Array

PATIENCE_S = 300.0
"""How long the code may take to be opened, and for each answer."""

_LENGTH_BYTES = 8
_MOST_BYTES = 1 << 31
_DTYPES = ("<f4", "<f8", "<i8", "|b1")
# What a process needs to find its interpreter's libraries; no token, key or home of this one.
_KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV")


class Column(msgspec.Struct, frozen=True, array_like=True):
    """A column or output on its way: its bytes, or its texts where `dtype` is ``O``."""

    dtype: str
    shape: list[int]
    content: bytes = b""
    texts: list[str | None] = []


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process is given: first the code, then rows."""

    code: bytes = b""
    columns: dict[str, Column] = {}


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process gives back; `missing` names a package that the code wanted and did not find."""

    outputs: dict[str, Column] = {}
    problem: str = ""
    missing: str = ""


class Apart:
    """The process of one model; it is started when it is first asked, and again when it has ended.

    Parameters
    ----------
    code : bytes
        A pickle whose code the user allowed to run.

    Notes
    -----
    Guarantees: nothing of `code` runs in this process, and nothing that comes back is unpickled. The other one is this
    interpreter with an empty folder of its own to work in, and without the settings and keys of this one; it ends with
    it. What else it may do is what its user may. Several threads may ask; one is answered at a time. Where it has
    ended, another is asked the same once more.
    """

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._lock = threading.Lock()
        self._link: socket.socket | None = None
        self._end: weakref.finalize[[socket.socket, subprocess.Popen[bytes]], Apart] | None = None

    def ask(self, columns: Mapping[str, Array]) -> dict[str, Array]:
        """Return what the code answers for checked columns.

        Raises
        ------
        Failed
            MODEL-064 when it raises, ends, answers no rows or takes longer than 300 s.
        Unavailable
            MODEL-011 when it needs a package that is not installed.
        """
        with self._lock:
            question = Question(columns={name: pack(values) for name, values in columns.items()})
            if self._link is not None:
                with suppress(EOFError):  # it was killed, now or since it last answered
                    return self._exchange(question)
            self._start()
            try:
                return self._exchange(question)
            except EOFError:
                raise Failed("MODEL-064", "the process of the model's code ended without an answer") from None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE_S)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "mainspring.models.cell"], stdin=theirs.fileno(), stdout=2, env=keep_settings()
            )
        self._link, self._end = ours, weakref.finalize(self, _end, ours, process)
        try:
            self._exchange(Question(code=self._code))
        except EOFError:
            raise Failed("MODEL-064", "the process of the model's code ended while it was opened") from None

    def _exchange(self, question: Question) -> dict[str, Array]:
        """Return what comes back; EOFError when the process has ended."""
        assert self._link is not None
        try:
            send(self._link, msgspec.msgpack.encode(question))
            answer = msgspec.msgpack.decode(receive(self._link), type=Answer)
            outputs = {name: unpack(column) for name, column in answer.outputs.items()}
        except TimeoutError:
            self._stop()
            raise Failed("MODEL-064", f"the model's code gave no answer within {PATIENCE_S:g} s") from None
        except (OSError, EOFError):
            self._stop()
            raise EOFError from None
        except (ValueError, msgspec.MsgspecError) as fault:
            self._stop()
            raise Failed("MODEL-064", f"the model's code gave what is no answer: {fault}") from None
        if answer.problem:
            if question.code:
                self._stop()
            if answer.missing:
                fix = f"pip install {answer.missing}"
                raise Unavailable("MODEL-011", f"the model's code needs {answer.missing}", fix=fix)
            raise Failed("MODEL-064", f"the model's code raised {answer.problem}")
        return outputs

    def _stop(self) -> None:
        if self._end is not None:
            self._end()
        self._link = self._end = None


def keep_settings() -> dict[str, str]:
    """Return the environment variables that code of others is given."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def _end(link: socket.socket, process: subprocess.Popen[bytes]) -> None:
    link.close()
    process.kill()
    process.wait()


def send(link: socket.socket, content: bytes) -> None:
    """Send a message."""
    link.sendall(len(content).to_bytes(_LENGTH_BYTES, "big") + content)


def receive(link: socket.socket) -> bytes:
    """Return the next message; EOFError when the other side has ended."""
    size = int.from_bytes(_read(link, _LENGTH_BYTES), "big")
    if size > _MOST_BYTES:
        raise ValueError(f"a message of {size:,} bytes")
    return _read(link, size)


def _read(link: socket.socket, size: int) -> bytes:
    content, got = bytearray(size), 0
    view = memoryview(content)
    while got < size:
        count = link.recv_into(view[got:])
        if count == 0:
            raise EOFError
        got += count
    return bytes(content)


def pack(values: Array) -> Column:
    """Return a column as it travels."""
    shape = list(values.shape)
    if values.dtype == object:
        return Column("O", shape, texts=[None if each is None else str(each) for each in values.ravel()])
    return Column(values.dtype.str, shape, np.ascontiguousarray(values).tobytes())


def unpack(column: Column) -> Array:
    """Return a column that has travelled; ValueError when it is none."""
    found: Array
    if column.dtype == "O":
        found = np.empty(len(column.texts), dtype=object)
        found[:] = column.texts
    elif column.dtype in _DTYPES:
        found = np.frombuffer(column.content, dtype=column.dtype).copy()
    else:
        raise ValueError(f"values of type {column.dtype}")
    shaped: Any = found.reshape(column.shape)
    return shaped  # type: ignore[no-any-return]
