"""The blobs of a home that is reached through a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec

from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.ports import StoredBlob
from mainspring.domain.protocol import DIRECT
from mainspring.sdk.https import Answered, Patience, Server
from mainspring.store.blobs import check_digest
from mainspring.store.caches import BlobCache, CopiedBlobs

_ASKED_BYTES = 256 * 1024
"""What is larger is only sent once the server has said that it lacks it."""

_TRIES = 5
"""So often do bytes travel that arrive as others."""

_SLOWEST_BYTES_S = 20e6
"""So many bytes a second does a server at least read, hash and write."""

_BRIEFLY = Patience(connect_s=3.0, silence_s=20.0, total_s=0.0)
"""How long an object store is waited for, since the server has the same bytes."""

_OK = 200

_Kept = TypeVar("_Kept")


class Exchange(Protocol):
    """Sends a request until it is answered, and raises what the server refuses with."""

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Path | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        wait_s: float = 0.0,
        keep: Callable[[Iterator[bytes]], object] | None = None,
    ) -> Answered:
        """Return the answer."""
        ...


class RemoteBlobs(CopiedBlobs):
    """Implements `mainspring.domain.ports.Blobs` at a server, for a client that has no folder of the home.

    Parameters
    ----------
    exchange : callable
        Sends requests in the client's name and project.
    cache : BlobCache
        Where copies lie on this machine.

    Notes
    -----
    Guarantees: what `put` has acknowledged is kept for the client for a day, until something that
    it records names it. An upload that broke off is begun again, and stores nothing twice: bytes
    have their digest for a name. Only what a project names, and what the client has sent itself,
    is read.
    """

    def __init__(self, exchange: Exchange, cache: BlobCache) -> None:
        super().__init__(cache)
        self._exchange = exchange
        self._direct = True

    def exists(self, digest: str) -> bool:
        """Tell whether the client may read the bytes, and they are there."""
        try:
            self._exchange("HEAD", f"/blobs/{check_digest(digest)}")
        except MainspringError as error:
            if error.code == "HOME-013":
                return False
            raise
        return True

    def list(self) -> Iterator[StoredBlob]:
        """Refuse: what lies in a home is its own processes' to know."""
        _refuse()

    def delete(self, digest: str) -> None:
        """Refuse: nobody deletes what others may have named."""
        check_digest(digest)
        _refuse()

    def remove_old(self, digest: str, before: float) -> int | None:
        """Refuse, as `delete` does."""
        del before
        self.delete(digest)
        return None

    def presign(self, digest: str, seconds: float) -> str | None:
        """Return None: only the home has the right to sign."""
        del seconds
        check_digest(digest)
        return None

    def beside(self, name: str) -> Path | None:
        """Return None: files of tables are asked for by the version that they belong to."""
        del name
        return None

    def claim(self, record_id: str, *, anew: bool) -> None:
        """Do nothing: the home's owner has claimed its place."""

    def _send(self, digest: str, content: bytes | Path) -> None:
        size_bytes = len(content) if isinstance(content, bytes) else content.stat().st_size
        wait_s = size_bytes / _SLOWEST_BYTES_S
        if size_bytes > _ASKED_BYTES:
            answer = self._exchange("POST", f"/blobs/{digest}/hold", wait_s=wait_s)
            if msgspec.json.decode(answer.body)["known"]:
                return
        insist(lambda: self._exchange("PUT", f"/blobs/{digest}", content, wait_s=wait_s))

    def _bring(self, digest: str, keep: Callable[[Iterator[bytes]], _Kept]) -> _Kept:
        path, headers = f"/blobs/{digest}", {DIRECT: "1"} if self._direct else {}
        answer = insist(lambda: self._exchange("GET", path, headers=headers, keep=keep))
        if answer.location:
            answer = self._follow(answer.location, keep)
        if answer.status != _OK:  # the store is out of reach from here, or lacks what the server may have
            self._direct = False
            answer = insist(lambda: self._exchange("GET", path, keep=keep))
        kept: _Kept = answer.kept
        return kept

    def _follow(self, url: str, keep: Callable[[Iterator[bytes]], object]) -> Answered:
        """Read what an object store has signed; its address is nobody's but the server's word."""
        parts = urlsplit(url)
        try:
            store = Server(f"{parts.scheme}://{parts.netloc}", patience=_BRIEFLY, ours=False)
            with closing(store):
                return store.request("GET", f"{parts.path}?{parts.query}", None, {}, keep=keep)
        except MainspringError as error:
            if error.code in {"HOME-006", "HOME-007"}:
                raise  # there is no room here for the copy
            return Answered(0, b"")


def insist(travel: Callable[[], Answered]) -> Answered:
    """Have bytes travel again that something between has changed; at last tell that they are others."""
    for _ in range(_TRIES - 1):
        try:
            return travel()
        except Invalid as error:
            if error.code != "HOME-014":
                raise
    return travel()


def _refuse() -> NoReturn:
    raise Invalid("API-018", "the list of a home's blobs does not travel through a server")
