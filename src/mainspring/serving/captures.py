"""Captured requests: append-only segments that survive a kill and answer repeated ids.

A segment is a file of frames: 4 bytes length, 4 bytes CRC-32, MessagePack. Its first frame is
a header with the counts of all segments before it, so that a start need not read old ones.
What stands whole in a segment was counted; nothing else was.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from mainspring.domain.errors import Failed, Unavailable
from mainspring.serving.files import LIMITS, Limits, replace_file, sync_folder

_FRAME = struct.Struct("<II")
_OFFSET_BITS = 40


class Record(msgspec.Struct, array_like=True, gc=False):
    """One answered request.

    Attributes
    ----------
    id : str
        Request id.
    time : float
        Wall time of the answer, seconds since 1970 UTC.
    revision : int
        Number of the revision that answered.
    model : str
        Its pinned reference.
    rows : int
        Rows of the request.
    body : bytes
        The request as it came: inputs with the context columns.
    reply : bytes
        The answer as it went out.
    """

    id: str
    time: float
    revision: int
    model: str
    rows: int
    body: bytes
    reply: bytes


class Count(msgspec.Struct, array_like=True):
    """Requests and rows."""

    requests: int = 0
    rows: int = 0


class Header(msgspec.Struct, array_like=True):
    """The first frame of a segment: what was counted before it, by revision."""

    service: str
    number: int
    before: dict[int, Count]


class Cursor(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A place in the captures: everything before it was read.

    Attributes
    ----------
    segment : int
        Number of the segment; 0 before the first.
    offset : int
        Bytes of it that were read.
    """

    segment: int = 0
    offset: int = 0

    @property
    def position(self) -> int:
        """The cursor as one integer that only goes up, such as the version of a transaction."""
        return self.segment << _OFFSET_BITS | self.offset

    @classmethod
    def at(cls, position: int) -> Cursor:
        """Return the cursor of a position."""
        return cls(position >> _OFFSET_BITS, position & (1 << _OFFSET_BITS) - 1)


START = Cursor()
_encoder = msgspec.msgpack.Encoder()
_records = msgspec.msgpack.Decoder(Record)
_headers = msgspec.msgpack.Decoder(Header)


class Captures:
    """The writer of one service's captures.

    Parameters
    ----------
    folder : Path
        Where the segments lie; made when missing. One writer at a time (the plane's lock).
    service : str
        Name written into the headers.
    limits : Limits
        Size of segments and number of remembered ids.

    Attributes
    ----------
    counts : dict of int to Count
        What was captured, by revision.
    cut_bytes : int
        Bytes of a torn tail that were removed when the captures were opened.

    Raises
    ------
    Unavailable
        SERVE-014 when the folder cannot be written.

    Notes
    -----
    Opening reads the newest segments until `remembered_ids` ids are known, some 1 us a record.
    """

    def __init__(self, folder: Path, service: str, limits: Limits = LIMITS) -> None:
        self.folder = folder
        self.service = service
        self.counts: dict[int, Count] = {}
        self.cut_bytes = 0
        self._limits = limits
        self._ids: dict[int, dict[str, int]] = {}
        self._remembered = 0
        self._readers: dict[int, int] = {}
        self._handle = -1
        self._number = 0
        self._size = 0
        self._rows = 0
        self._torn = False
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._recover()
        except OSError as fault:
            raise _refuse(folder, fault) from fault

    @property
    def requests(self) -> int:
        """Requests captured over the life of the service."""
        return sum(each.requests for each in self.counts.values())

    @property
    def rows(self) -> int:
        """Rows captured over the life of the service."""
        return sum(each.rows for each in self.counts.values())

    @property
    def end(self) -> Cursor:
        """The place after the last record."""
        return Cursor(self._number, self._size)

    def find(self, id: str) -> Record | None:  # noqa: A002 - the protocol's word
        """Return the record of an id, or None when it is unknown or older than the remembered ones."""
        for number, ids in reversed(self._ids.items()):
            offset = ids.get(id)
            if offset is not None:
                return self._read(number, offset)
        return None

    def append(self, records: Sequence[Record]) -> int:
        """Bring records into the kernel with one write, in order.

        Returns
        -------
        int
            How many stand whole in the segment. Fewer than given when the disk is full; the
            others are not there and were not counted.

        Notes
        -----
        Guarantees: a record counted here survives the death of the process by any signal; not
        that of the machine, which may lose what the kernel had not written back.
        """
        frames = [_frame(_encoder.encode(each)) for each in records]
        try:
            if self._torn:
                self._cut()
            if self._size >= self._limits.segment_bytes or self._rows >= self._limits.segment_rows:
                self._rotate()
            written = os.write(self._handle, b"".join(frames))
        except OSError:
            return 0
        whole, end = 0, self._size
        ids = self._ids[self._number]
        for record, frame in zip(records, frames, strict=True):
            if written < len(frame):
                break
            written -= len(frame)
            ids[record.id] = end
            end += len(frame)
            whole += 1
            self._add(record)
        self._size = end
        if written:
            self._torn = True
            with contextlib.suppress(OSError):  # the next append tries again before it writes
                self._cut()
        self._forget(whole)
        return whole

    def close(self) -> None:
        """Make everything durable and let the files go."""
        if self._handle >= 0:
            os.fsync(self._handle)
            os.close(self._handle)
            self._handle = -1
        for handle in self._readers.values():
            os.close(handle)
        self._readers.clear()

    def _recover(self) -> None:
        numbers = list_segments(self.folder)
        while numbers and not self._open_last(numbers[-1]):
            segment_path(self.folder, numbers.pop()).unlink()
        if not numbers:
            self._start(1)
            return
        found = {self._number: self._ids[self._number]}
        for number in reversed(numbers[:-1]):
            if sum(map(len, found.values())) >= self._limits.remembered_ids:
                break
            _, entries, _ = _scan(segment_path(self.folder, number).read_bytes())
            found[number] = {record.id: offset for record, offset in entries}
        self._ids = dict(sorted(found.items()))
        self._remembered = sum(map(len, found.values()))

    def _open_last(self, number: int) -> bool:
        """Open the newest segment for appending; False when a power loss left nothing of it."""
        path = segment_path(self.folder, number)
        content = path.read_bytes()
        header, entries, end = _scan(content)
        if header is None:
            if content.strip(b"\0"):
                raise _damage(path, 0)
            return False
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        if end < len(content):
            self.cut_bytes = len(content) - end
            os.ftruncate(self._handle, end)
            print(f"{path}: cut {self.cut_bytes} bytes of a torn tail", file=sys.stderr)  # noqa: T201 - the log
        self._number, self._size, self._rows = number, end, 0
        self.counts = header.before
        self._ids[number] = {}
        for record, offset in entries:
            self._ids[number][record.id] = offset
            self._add(record)
        return True

    def _start(self, number: int) -> None:
        frame = _frame(_encoder.encode(Header(self.service, number, self.counts)))
        path = segment_path(self.folder, number)
        replace_file(path, frame, durable=False)
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._number, self._size, self._rows = number, len(frame), 0
        self._ids[number] = {}

    def _rotate(self) -> None:
        full = self._handle
        self._start(self._number + 1)
        handles = full, os.dup(self._handle)
        try:
            threading.Thread(target=_close_durably, args=(*handles, self.folder)).start()
        except RuntimeError:  # the system gives no thread; requests wait for the disk this once
            _close_durably(*handles, self.folder)

    def _cut(self) -> None:
        """Remove what a short write left after the last whole record: nothing after it would be found."""
        os.ftruncate(self._handle, self._size)
        self._torn = False

    def _add(self, record: Record) -> None:
        count = self.counts.setdefault(record.revision, Count())
        count.requests += 1
        count.rows += record.rows
        self._rows += record.rows

    def _forget(self, added: int) -> None:
        self._remembered += added
        oldest = next(iter(self._ids))
        if oldest != self._number and self._remembered - len(self._ids[oldest]) >= self._limits.remembered_ids:
            self._remembered -= len(self._ids.pop(oldest))
            handle = self._readers.pop(oldest, -1)
            if handle >= 0:
                os.close(handle)

    def _read(self, number: int, offset: int) -> Record:
        handle = self._readers.get(number)
        if handle is None:
            handle = self._readers[number] = os.open(segment_path(self.folder, number), os.O_RDONLY)
        length, checksum = _FRAME.unpack(os.pread(handle, _FRAME.size, offset))
        payload = os.pread(handle, length, offset + _FRAME.size)
        if zlib.crc32(payload) != checksum:
            raise _damage(segment_path(self.folder, number), offset)
        return _records.decode(payload)


def read_segments(
    folder: Path, after: Cursor = START, *, limit_rows: int = 50_000
) -> Iterator[tuple[list[Record], Cursor]]:
    """Read captured requests in order, while the plane goes on writing them.

    Parameters
    ----------
    folder : Path
        The capture folder.
    after : Cursor
        Where an earlier reading ended; the start by default.
    limit_rows : int
        A batch ends when it holds as many rows, > 0.

    Yields
    ------
    tuple of list of Record and Cursor
        Records that stand whole on the disk, and the place after them.

    Raises
    ------
    Failed
        SERVE-016 when a closed segment is damaged.

    Notes
    -----
    Guarantees: two readings from the same cursor give the same records in the same order; what
    was read is never removed or changed by the plane.
    """
    numbers = [number for number in list_segments(folder) if number >= after.segment]
    batch: list[Record] = []
    rows, cursor = 0, after
    for number in numbers:
        path = segment_path(folder, number)
        content = path.read_bytes()
        start = after.offset if number == after.segment else 0
        end = start
        for payload, following in _walk(content, start):
            end = following
            cursor = Cursor(number, end)
            if following - len(payload) == _FRAME.size:
                continue
            batch.append(_records.decode(payload))
            rows += batch[-1].rows
            if rows >= limit_rows:
                yield batch, cursor
                batch, rows = [], 0
        if end < len(content) and number != numbers[-1]:
            raise _damage(path, end)
    if batch:
        yield batch, cursor


def find_captured(folder: Path, request_id: str, *, limit_segments: int = 16) -> Record | None:
    """Return the request of an id that stands whole in the newest segments; None when there is none.

    Notes
    -----
    Cost: a look for the id's bytes through each segment, some 5 ms; only one that has them is decoded.
    """
    wanted = request_id.encode()
    for number in list_segments(folder)[: -limit_segments - 1 : -1]:
        content = segment_path(folder, number).read_bytes()
        if wanted in content:
            found = [record for record, _ in _scan(content)[1] if record.id == request_id]
            if found:
                return found[-1]
    return None


def list_segments(folder: Path) -> list[int]:
    """Return the numbers of the segments, oldest first."""
    return sorted(int(path.stem) for path in folder.glob("*.segment") if path.stem.isdigit())


def segment_path(folder: Path, number: int) -> Path:
    """Return the file of a segment."""
    return folder / f"{number:08d}.segment"


def _frame(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _walk(content: bytes, start: int) -> Iterator[tuple[bytes, int]]:
    """Yield the payload and end of each whole frame from `start` on."""
    while len(content) - start >= _FRAME.size:
        length, checksum = _FRAME.unpack_from(content, start)
        end = start + _FRAME.size + length
        payload = content[start + _FRAME.size : end]
        if length == 0 or end > len(content) or zlib.crc32(payload) != checksum:
            return
        yield payload, end
        start = end


def _scan(content: bytes) -> tuple[Header | None, list[tuple[Record, int]], int]:
    """Return header, records with their offsets, and the end of the last whole frame."""
    header: Header | None = None
    entries: list[tuple[Record, int]] = []
    end = 0
    for payload, following in _walk(content, 0):
        if header is None:
            header = _headers.decode(payload)
        else:
            entries.append((_records.decode(payload), end))
        end = following
    return header, entries, end


def _close_durably(full: int, started: int, folder: Path) -> None:
    """Sync a closed segment and the header of the next one, off the loop."""
    for handle in (full, started):
        os.fsync(handle)
        os.close(handle)
    sync_folder(folder)


def _damage(path: Path, offset: int) -> Failed:
    return Failed("SERVE-016", f"{path.name} is damaged after byte {offset:,}", path=str(path), offset=offset)


def _refuse(folder: Path, fault: OSError) -> Unavailable:
    return Unavailable("SERVE-014", f"the captures in {folder} cannot be written: {fault.strerror}", path=str(folder))
