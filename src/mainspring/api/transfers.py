"""Bytes over HTTP: blobs and files of rows, streamed, for whoever the owner lets have them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from anyio import CapacityLimiter, from_thread, to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from mainspring.api.answers import HEADERS, reply
from mainspring.api.entrance import Entrance
from mainspring.api.inputs import check_parameters
from mainspring.api.relay import Relay
from mainspring.api.routes import TRANSFERS
from mainspring.domain.command import Command
from mainspring.domain.errors import Failed, Invalid, NotFound, Unavailable
from mainspring.domain.files import File
from mainspring.domain.home import Home
from mainspring.domain.messages import GetVersion
from mainspring.domain.ports import Blobs
from mainspring.domain.protocol import DIRECT
from mainspring.domain.records import Version
from mainspring.domain.transfers import FindBlob, Held, HoldBlob, NoteUpload
from mainspring.security.paths import safe_join
from mainspring.store.blobs import no_blob, read_parts

MOST_BLOB_BYTES = 32 * 1024**3
MOST_UPLOADS = 16
"""So many bodies are taken at once; each holds a thread and some 5 MiB."""

SLOW_S = 20.0
"""Seconds in which the next bytes of a body must come."""

SIGNED_S = 60.0
"""So long may an address be read that an object store has signed."""

UNKNOWN_BYTES = -1
"""Length of a file of which only the digest is on record."""

_MOST_KNOWN = 10_000

Works = dict[str, dict[str, Callable[[Request], Awaitable[Response]]]]


class Transfers:
    """Sends and takes the bytes of one home.

    Parameters
    ----------
    relay : Relay
        Asks the owner who may.
    entrance : Entrance
        Remembers who was let in.
    home : Home
        Whose tables are read.
    blobs : Blobs
        The home's own.
    most_bytes : int, default MOST_BLOB_BYTES
        Largest blob that is taken.
    slow_s : float, default SLOW_S
        Seconds in which the next bytes of a body must come.

    Notes
    -----
    Guarantees: a blob that is taken is hashed while it comes in, and nobody sees it when it is not
    what it was sent as; then it is claimed for whoever sent it, before it is acknowledged.
    Cost: memory for one part of some 5 MiB for each upload, and 64 KiB for each download.
    """

    def __init__(
        self,
        relay: Relay,
        entrance: Entrance,
        home: Home,
        blobs: Blobs,
        *,
        most_bytes: int = MOST_BLOB_BYTES,
        slow_s: float = SLOW_S,
    ) -> None:
        self._relay = relay
        self._entrance = entrance
        self._home = home
        self._blobs = blobs
        self._most_bytes = most_bytes
        self._slow_s = slow_s
        self._taken = 0
        self._digests: OrderedDict[tuple[str, int, int], str] = OrderedDict()

    def make_works(self) -> Works:
        """Return path -> verb -> what answers it."""
        known = {
            "GET /blobs/{digest}": self._send_blob,
            "PUT /blobs/{digest}": self._take_blob,
            "POST /blobs/{digest}/hold": self._hold_blob,
            "GET /datasets/{reference}/files/{name}": self._send_file,
        }
        works: Works = {}
        for each in TRANSFERS:
            works.setdefault(each.path, {})[each.method] = known[f"{each.method} {each.path}"]
        return works

    async def _send_blob(self, request: Request) -> Response:
        digest = str(request.path_params["digest"])
        await self._ask(request, FindBlob(digest=digest))
        if request.method == "HEAD":
            if not await to_thread.run_sync(self._blobs.exists, digest):
                raise no_blob(digest)
            return Response(None, 200, HEADERS, "application/octet-stream")
        if DIRECT in request.headers:
            url = await to_thread.run_sync(self._blobs.presign, digest, SIGNED_S)
            if url is not None:
                return Response(None, 307, {**HEADERS, "Location": url})
        path = await to_thread.run_sync(self._blobs.path, digest)
        if not path.exists():
            raise no_blob(digest)
        return _send(path, digest)

    async def _take_blob(self, request: Request) -> Response:
        digest, told = str(request.path_params["digest"]), request.headers.get("content-length", "")
        size_bytes = int(told[:20]) if told.isdecimal() else 0
        held: Held = await self._ask(request, HoldBlob(digest=digest, size_bytes=size_bytes))
        if size_bytes > self._most_bytes:
            raise Invalid("API-009", f"a blob of {size_bytes:,} bytes; at most {self._most_bytes:,} are taken")
        _, taken_bytes = await self.take(request, held.holder, request.query_params.get("project", ""), digest)
        return reply({"digest": digest, "size_bytes": taken_bytes})

    async def take(self, request: Request, holder: str, project: str, digest: str = "") -> tuple[str, int]:
        """Store the body of a request as a blob, and claim it for whoever sent it.

        Parameters
        ----------
        request : Request
            Whose body nobody has read.
        holder, project : str
            Who sent it, as the owner has told, and where.
        digest : str, optional
            What the bytes must be.

        Returns
        -------
        tuple of str and int
            Their digest and length.

        Raises
        ------
        Invalid
            API-009 when it is too long, API-008 when it comes too slowly, HOME-014 when the bytes are others.
        Unavailable
            API-016 when too many are on their way, HOME-006 when the disk is full.
        """
        with self._count():
            body = _Body(request, self._most_bytes, self._slow_s)
            put = partial(self._blobs.put, cast("BinaryIO", body), digest)
            digest = await to_thread.run_sync(put, limiter=CapacityLimiter(1))
        # In the home's own name: it is this process that has seen the bytes.
        noted = NoteUpload(digest=digest, size_bytes=body.size_bytes, holder=holder)
        await self._relay.ask(noted, project=project)
        return digest, body.size_bytes

    async def send(self, file: File) -> Response:
        """Answer with the bytes of a file, as something to be kept and never shown by a browser.

        Raises
        ------
        NotFound
            HOME-013 when they are gone.
        Failed
            FILE-003 when there are more or fewer than were put.
        """
        path = await to_thread.run_sync(self._blobs.path, file.digest)
        length = await to_thread.run_sync(_measure, path)
        if length is None:
            raise no_blob(file.digest)
        if file.size_bytes not in {length, UNKNOWN_BYTES}:
            what = f"{file.path} has {length:,} bytes in its blob, and {file.size_bytes:,} were put"
            raise Failed("FILE-003", what, path=file.path, digest=file.digest)
        return _send(path, file.digest, PurePosixPath(file.path).name)

    async def measure(self, digest: str) -> int | None:
        """Return the length of a blob, None when it is gone."""
        return await to_thread.run_sync(self._blobs.measure, digest)

    def read(self, digest: str) -> bytes:
        """Return the bytes of a small blob, in a thread; raises as `mainspring.domain.ports.Blobs.get` does."""
        return self._blobs.get(digest)

    async def _hold_blob(self, request: Request) -> Response:
        digest = str(request.path_params["digest"])
        held: Held = await self._ask(request, HoldBlob(digest=digest))
        known = held.known and await to_thread.run_sync(self._is_whole, digest)
        return reply({"known": known})

    async def _send_file(self, request: Request) -> Response:
        reference, name = request.path_params["reference"], request.path_params["name"]
        version: Version = await self._ask(request, GetVersion(kind="dataset", reference=reference))
        manifest: dict[str, Any] = version.manifest if isinstance(version.manifest, dict) else {}
        if name not in manifest.get("files", ()) or not name.endswith(".parquet"):
            raise NotFound("DATA-002", f"{version.reference} has no file {name[:100]!r}", reference=version.reference)
        path, digest = await to_thread.run_sync(self._find_file, f"{manifest['table']}/{name}")
        return _send(path, digest)

    async def _ask(self, request: Request, command: Command) -> Any:
        check_parameters(request.query_params)
        token = request.state.token
        answer = await self._relay.ask(command, project=request.query_params.get("project", ""), token=token)
        self._entrance.note_success(token)
        return answer

    @contextlib.contextmanager
    def _count(self) -> Iterator[None]:
        if self._taken >= MOST_UPLOADS:
            raise Unavailable("API-016", f"{self._taken} uploads are on their way", wait_s=1.0)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def _is_whole(self, digest: str) -> bool:
        try:
            for _ in self._blobs.stream(digest):
                pass
        except (NotFound, Invalid):
            return False
        return True

    def _find_file(self, name: str) -> tuple[Path, str]:
        """Return a file of a table, and the digest of what it holds."""
        copy = self._blobs.beside(f"tables/{name}")
        if copy is not None:
            return copy, copy.name
        path = safe_join(self._home.tables, name)
        try:
            facts = path.stat()
        except FileNotFoundError:
            raise NotFound("HOME-013", f"the file {name} of a table is gone") from None
        key = (name, facts.st_size, facts.st_mtime_ns)
        digest = self._digests.get(key)
        if digest is None:
            with path.open("rb") as file:
                seen = hashlib.sha256()
                for part in read_parts(file):
                    seen.update(part)
            digest = self._digests[key] = seen.hexdigest()
            if len(self._digests) > _MOST_KNOWN:
                self._digests.popitem(last=False)
        return path, digest


class _Body:
    """The body of a request as a thread reads it, never more than it asks for."""

    def __init__(self, request: Request, most_bytes: int, slow_s: float) -> None:
        self._parts: AsyncIterator[bytes] = request.stream()
        self._rest = bytearray()
        self._most_bytes = most_bytes
        self._slow_s = slow_s
        self.size_bytes = 0

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        taken: bytes = from_thread.run(self._read, size)
        return taken

    async def _read(self, size: int) -> bytes:
        while len(self._rest) < size:
            try:
                async with asyncio.timeout(self._slow_s):
                    part = await anext(self._parts, None)
            except TimeoutError:
                raise Invalid(
                    "API-008", f"nothing came for {self._slow_s:g} s after {self.size_bytes:,} bytes"
                ) from None
            if part is None:
                break
            self.size_bytes += len(part)
            if self.size_bytes > self._most_bytes:
                raise Invalid("API-009", f"a blob of more than {self._most_bytes:,} bytes")
            self._rest += part
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken


def _measure(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _send(path: Path, digest: str, name: str = "") -> Response:
    headers = {**HEADERS, "ETag": f'"{digest}"', "Mainspring-SHA256": digest}
    return FileResponse(path, headers=headers, media_type="application/octet-stream", filename=name or digest)
