"""Journals: what a run logs, in the kernel before `log` returns, shipped to the owner later."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import msgspec

from mainspring.domain.messages import FinishRun, Report
from mainspring.domain.tracking import Artifact

_HEADER = struct.Struct("!II")
_READ_BYTES = 1 << 20


class Point(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """A number of a run.

    Attributes
    ----------
    key : str
        Name of the metric.
    step : int
        Position in its series, >= 0.
    time : float
        Wall time, seconds since 1970 UTC.
    value : float
        NaN and infinities are kept as they are.
    """

    key: str
    step: int
    time: float
    value: float


class Facts(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """Parameters (JSON values) and tags that a run adds to itself."""

    params: dict[str, Any] = {}
    tags: dict[str, str] = {}


class Item(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """Something that a run logged and that is no number; its bytes are stored already."""

    artifact: Artifact


class End(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """How a run ended whose owner could not be told."""

    command: FinishRun


Entry = Point | Facts | Item | End

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)


def journal_path(folder: Path, run_id: str, attempt: int) -> Path:
    """Return where the journal of an attempt lies; `parse_name` reads it back."""
    return folder / f"{run_id}.{attempt}.journal"


def parse_name(path: Path) -> tuple[str, int]:
    """Read run id and attempt from a journal's file name.

    Raises
    ------
    ValueError
        The file is no journal.
    """
    run_id, attempt, suffix = path.name.split(".")
    if suffix != "journal":
        raise ValueError(path.name)
    return run_id, int(attempt)


class Journal:
    """The append-only journal of one attempt of a run.

    Parameters
    ----------
    path : Path
        From `journal_path`; made with the first entry, so a run that logs nothing leaves no file.

    Attributes
    ----------
    used : bool
        Whether anything was appended through this object.

    Notes
    -----
    Guarantees: an entry is in the kernel when `append` returns, by one write, so it outlives the
    process; entries of several threads are whole. Cost: some 5 us an entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.used = False
        self._handle: int | None = None
        self._lock = threading.Lock()

    def append(self, *entries: Entry) -> None:
        """Append entries by one write.

        Raises
        ------
        OSError
            The disk is full, or the file cannot be made; the journal is as it was.
        """
        frames = b""
        for entry in entries:
            body = _encoder.encode(entry)
            frames += _HEADER.pack(len(body), zlib.crc32(body)) + body
        with self._lock:
            if self._handle is None:
                self._handle = self._open()
            written = os.write(self._handle, frames)
            if written < len(frames):
                # Half an entry would hide every later one.
                os.ftruncate(self._handle, os.fstat(self._handle).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            self.used = True

    def remove(self) -> None:
        """Remove the file, when the owner has all of it."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; a later `append` opens it again."""
        with self._lock:
            handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            handle = os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path, flags, 0o600)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # until it is closed, or the process dies
        return handle


class Unkept(Journal):
    """The journal of those members of a gang whose rank is not 0: what they log is not recorded."""

    def __init__(self) -> None:
        super().__init__(Path(os.devnull))  # also for processes that a member starts

    def append(self, *entries: Entry) -> None:
        """Drop entries."""

    def remove(self) -> None:
        """Remove nothing."""


def read_entries(path: Path, offset: int = 0) -> tuple[list[Entry], int]:
    """Read whole entries from a journal.

    Parameters
    ----------
    path : Path
        A journal; a missing one is empty.
    offset : int, default 0
        Where an earlier call ended, in bytes.

    Returns
    -------
    tuple of list and int
        At most 1 MiB of entries, or a single larger one, and the offset after them. A torn tail, as
        a power cut leaves it, ends the entries.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(_READ_BYTES)
            if len(content) == _READ_BYTES:
                size, _ = _HEADER.unpack_from(content)
                content += file.read(max(0, _HEADER.size + size - _READ_BYTES))
    except FileNotFoundError:
        return [], offset
    entries: list[Entry] = []
    at = 0
    while at + _HEADER.size <= len(content):
        size, check = _HEADER.unpack_from(content, at)
        body = content[at + _HEADER.size : at + _HEADER.size + size]
        if len(body) < size or zlib.crc32(body) != check:
            break
        entries.append(_decoder.decode(body))
        at += _HEADER.size + size
    return entries, offset + at


def read_report(path: Path, run_id: str, attempt: int, fence: int, offset: int = 0) -> Report | None:
    """Make the next report of a journal for the owner.

    Parameters
    ----------
    path : Path
        A journal.
    run_id, attempt, fence : str, int, int
        The lease that it is sent under.
    offset : int, default 0
        What the owner has acknowledged, in bytes.

    Returns
    -------
    Report or None
        None when there is nothing new. Sending it twice is harmless: the owner drops what ends
        at or before the offset that it holds.
    """
    entries, end = read_entries(path, offset)
    if not entries:
        return None
    points = [(each.key, each.step, each.time, each.value) for each in entries if isinstance(each, Point)]
    artifacts = [each.artifact for each in entries if isinstance(each, Item)]
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}
    for each in entries:
        if isinstance(each, Facts):
            params.update(each.params)
            tags.update(each.tags)
    return Report(
        run_id=run_id,
        attempt=attempt,
        fence=fence,
        offset=end,
        points=points,
        params=params,
        tags=tags,
        artifacts=artifacts,
    )


def read_end(path: Path) -> FinishRun | None:
    """Return how the run of a journal ended, when its owner could not be told; None: nothing is known."""
    offset = 0
    while True:
        entries, end = read_entries(path, offset)
        if not entries:
            return None
        for each in entries:
            if isinstance(each, End):
                return each.command
        offset = end
