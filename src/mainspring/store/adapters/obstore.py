"""Blobs in S3-compatible stores, Google and Azure storage, through obstore."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, S3Store

from mainspring.domain.errors import Conflict, Denied, Invalid, MainspringError, Unavailable
from mainspring.domain.home import Home
from mainspring.domain.ports import StoredBlob
from mainspring.store.blobs import PART_BYTES, check_digest, is_digest, no_blob
from mainspring.store.caches import BlobCache, CopiedBlobs, open_cache
from mainspring.store.locations import Location, may_speak_http, parse_location
from mainspring.store.outages import explain_outage, is_passing
from mainspring.store.tablefiles import TableFile

MARK = "mainspring.json"
"""The object by which a record owns a place."""

_YOUNG_S = 1800.0
"""An object that is put again is written anew once it is older, so that no collection finds it old."""

_MOST_COPIES = 10_000
"""So many names of objects that are no blobs are remembered with their digests."""

_first_user: int | None = None  # the process whose threads serve the library

_Bucket = AzureStore | GCSStore | S3Store
_Result = TypeVar("_Result")


class Patience(NamedTuple):
    """How long a store is waited for.

    Attributes
    ----------
    connect_s : float
        Longest wait for a connection, in seconds.
    answer_s : float
        Longest silence of a store that is asked for something small: whether an object is there.
    transfer_s : float
        Longest silence while bytes travel; while one part is sent, the store says nothing.
    request_s : float
        Longest time for one request.
    tries : int
        How often an operation is tried, >= 1.
    pause_s : float
        Before the second try; doubled before each later one.
    """

    connect_s: float = 3.0
    answer_s: float = 5.0
    transfer_s: float = 30.0
    request_s: float = 120.0
    tries: int = 3
    pause_s: float = 0.2


PATIENCE = Patience()


class _Requests:
    """What is asked of one place in a bucket, and again where that is safe.

    Parameters
    ----------
    store, brief : AzureStore, GCSStore or S3Store
        Of obstore, with the record's own prefix: the one that moves bytes, and the one that is
        asked for small things and waits less.
    url : str
        The place, for errors.
    patience : Patience
        Bounds of waiting and trying.
    """

    def __init__(self, store: _Bucket, brief: _Bucket, url: str, patience: Patience) -> None:
        self._store = store
        self._brief = brief
        self._url = url
        self._patience = patience

    def _ask(self, operation: Callable[[], _Result], digest: str = "") -> _Result:
        """Do what is safe to repeat, and turn what goes wrong into one clear error."""
        _refuse_fork(self._url)
        tries = 0
        while True:
            try:
                return operation()
            except AlreadyExistsError:
                raise
            except (FileNotFoundError, PermissionDeniedError, UnauthenticatedError) as fault:
                self._read_mark()  # tells when the bucket is what is missing or refused
                if isinstance(fault, FileNotFoundError) and digest:
                    raise no_blob(digest) from None
                raise self._explain(fault) from None
            except BaseError as fault:
                tries += 1
                if tries >= self._patience.tries or not is_passing(str(fault)):
                    raise self._explain(fault) from None
            time.sleep(self._patience.pause_s * 2 ** (tries - 1))

    def _read_mark(self) -> str:
        try:
            mark = bytes(obstore.get(self._brief, MARK).bytes())
            return str(msgspec.json.decode(mark)["record"])
        except (BaseError, FileNotFoundError) as fault:
            raise self._explain(fault) from None
        except (msgspec.MsgspecError, KeyError, TypeError):
            raise Conflict("BLOB-004", f"{MARK} in {self._url} is not a record's mark", url=self._url) from None

    def _explain(self, fault: Exception) -> MainspringError:
        return _explain(fault, self._url)


class ObjectBlobs(_Requests, CopiedBlobs):
    """Implements `mainspring.domain.ports.Blobs` in a bucket.

    Parameters
    ----------
    store, brief : AzureStore, GCSStore or S3Store
        Of obstore, with the record's own prefix: the one that moves bytes, and the one that is
        asked for small things and waits less.
    url : str
        The place, for errors.
    cache : BlobCache
        Where copies lie.
    patience : Patience
        Bounds of waiting and trying.

    Notes
    -----
    Guarantees: an object is created only if there is none under its digest, and one that is there
    already is read and compared, so that a damaged one is replaced before `put` returns. Objects
    of more than 5 MiB travel in parts and appear whole; stores have no condition for these, and
    none is needed, as equal names mean equal bytes.
    """

    def __init__(self, store: _Bucket, brief: _Bucket, url: str, cache: BlobCache, patience: Patience) -> None:
        _Requests.__init__(self, store, brief, url, patience)
        CopiedBlobs.__init__(self, cache)
        self._copies: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"ObjectBlobs({self._url!r})"

    def exists(self, digest: str) -> bool:
        """Tell whether an object lies under the digest; one request, two when none does."""
        check_digest(digest)
        try:
            self._ask(lambda: obstore.head(self._brief, _key(digest)), digest)
        except KeyError:
            return False
        return True

    def list(self) -> Iterator[StoredBlob]:
        """Yield the blobs of the bucket, a thousand or so for each request."""
        pages = obstore.list(self._brief, "blobs")
        while page := self._ask(lambda: next(iter(pages), None)):
            for found in page:
                name = found["path"].rpartition("/")[2]
                if is_digest(name):
                    yield StoredBlob(name, found["size"], found["last_modified"].timestamp())

    def delete(self, digest: str) -> None:
        """Remove the object and its copy here; other homes' copies live on until they are evicted."""
        check_digest(digest)
        with contextlib.suppress(KeyError):
            self._ask(lambda: obstore.delete(self._brief, _key(digest)), digest)
        self._cache.remove(digest)

    def remove_old(self, digest: str, before: float) -> int | None:
        """Remove the object if it still is old; between the look and the removal it may become young."""
        check_digest(digest)
        try:
            found = self._ask(lambda: obstore.head(self._brief, _key(digest)), digest)
        except KeyError:
            return None
        if found["last_modified"].timestamp() >= before:
            return None
        self.delete(digest)
        return int(found["size"])

    def presign(self, digest: str, seconds: float) -> str | None:
        """Return a URL that reads the object for that long, None when the credentials cannot sign."""
        key = _key(check_digest(digest))
        with contextlib.suppress(NotSupportedError, BaseError):
            return obstore.sign(self._store, "GET", key, timedelta(seconds=seconds))
        return None

    def beside(self, name: str) -> Path | None:
        """Return a copy of an object that is no blob."""

        def read() -> Path:
            parts = obstore.get(self._store, name).stream(min_chunk_size=PART_BYTES)
            return self._cache.take((bytes(part) for part in parts), lambda *_: None)

        known = self._copies.get(name)
        copy = (self._cache.find(known) if known else None) or self._ask(read, name)
        if len(self._copies) >= _MOST_COPIES:
            self._copies.clear()
        self._copies[name] = copy.name
        return copy

    def claim(self, record_id: str, *, anew: bool) -> None:
        """Mark the place as the record's, after a trial of what it keeps."""
        if anew:
            self._try_conditions()
            self._create(MARK, msgspec.json.encode({"record": record_id}))
        owner = self._read_mark()
        if owner != record_id:
            raise Conflict("BLOB-004", f"{self._url} belongs to record {owner}, not to {record_id}", url=self._url)

    def _try_conditions(self) -> None:
        key = f"trial-{secrets.token_hex(8)}"
        try:
            first, second = self._create(key, b"first"), self._create(key, b"second")
        finally:
            self._ask(lambda: obstore.delete(self._brief, key))
        if not first or second:
            raise Invalid("BLOB-005", f"{self._url} created an object twice", url=self._url)

    def _create(self, key: str, content: bytes) -> bool:
        """Create an object; False when there is one already."""
        try:
            self._ask(lambda: obstore.put(self._store, key, content, mode="create"))
        except AlreadyExistsError:
            return False
        return True

    def _bring(self, digest: str, keep: Callable[[Iterator[bytes]], _Result]) -> _Result:
        return self._ask(lambda: keep(self._download(digest)), digest)

    def _send(self, digest: str, content: bytes | Path) -> None:
        key = _key(digest)
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size <= PART_BYTES:
            whole = content if isinstance(content, bytes) else content.read_bytes()
            if self._create(key, whole) or self._holds(digest):
                return
            content = whole
        elif self._holds(digest):
            return
        self._ask(lambda: obstore.put(self._store, key, content, chunk_size=PART_BYTES, max_concurrency=2))

    def _holds(self, digest: str) -> bool:
        """Tell whether the object of a digest has its bytes and is young; a damaged or old one is written anew."""

        def read() -> bool:
            found = obstore.get(self._store, _key(digest))
            if time.time() - found.meta["last_modified"].timestamp() > _YOUNG_S:
                return False
            seen = hashlib.sha256()
            for part in found.stream(min_chunk_size=PART_BYTES):
                seen.update(part)
            return seen.hexdigest() == digest

        try:
            return self._ask(read, digest)
        except KeyError:
            return False

    def _download(self, digest: str) -> Iterator[bytes]:
        for part in obstore.get(self._store, _key(digest)).stream(min_chunk_size=PART_BYTES):
            yield bytes(part)


class ObjectFiles(_Requests):
    """Implements `mainspring.store.tablefiles.TableFiles` in a bucket; made as `ObjectBlobs` is."""

    def list(self) -> Iterator[TableFile]:
        """Yield the objects of all tables, a thousand or so for each request."""
        pages = obstore.list(self._brief, "tables")
        while page := self._ask(lambda: next(iter(pages), None)):
            for found in page:
                name = found["path"].partition("tables/")[2]
                yield TableFile(name, found["size"], found["last_modified"].timestamp())

    def read(self, name: str) -> bytes:
        """Return the bytes of an object; nothing when it is gone."""
        with contextlib.suppress(KeyError):
            return self._ask(lambda: bytes(obstore.get(self._store, f"tables/{name}").bytes()), name)
        return b""

    def put(self, name: str, source: Path) -> None:
        """Send a file, in parts when it is large."""
        self._ask(lambda: obstore.put(self._store, f"tables/{name}", source), name)

    def remove_old(self, name: str, before: float) -> int | None:
        """Remove an object that is old; its name is drawn by chance, so nobody writes it anew."""
        try:
            found = self._ask(lambda: obstore.head(self._brief, f"tables/{name}"), name)
            if found["last_modified"].timestamp() >= before:
                return None
            self._ask(lambda: obstore.delete(self._brief, f"tables/{name}"), name)
        except KeyError:
            return None
        return int(found["size"])


KINDS: dict[str, Callable[..., _Bucket]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
"""Scheme -> how its stores are made; settings and keys come from ``AWS_*``, ``GOOGLE_*``, ``AZURE_*``."""


def open_objects(home: Home) -> ObjectBlobs:
    """Open the blobs of a home in the object store that it names; nothing is connected."""
    return make_blobs(parse_location(home.blob_store), open_cache(home))


def open_files(home: Home) -> ObjectFiles:
    """Open the tables' files of a home in the object store that it names; nothing is connected."""
    location = parse_location(home.blob_store)
    return ObjectFiles(*_connect_twice(location, PATIENCE), location.url, PATIENCE)


def make_blobs(location: Location, cache: BlobCache, patience: Patience = PATIENCE) -> ObjectBlobs:
    """Make the blobs of a place.

    Raises
    ------
    Denied
        BLOB-006 when the environment's settings do not make a connection.
    """
    return ObjectBlobs(*_connect_twice(location, patience), location.url, cache, patience)


class Found(NamedTuple):
    """An object of a bucket, as a list of it tells.

    Attributes
    ----------
    key : str
        Its name.
    size_bytes : int
        Its length.
    modified_at : float
        When it was written, in seconds since 1970.
    mark : str
        Of its content or version; empty where the store tells none.
    """

    key: str
    size_bytes: int
    modified_at: float
    mark: str


def list_bucket(bucket: Location, folder: str, *, itself: bool) -> Iterator[Found]:
    """Yield what lies in a folder and below, a thousand or so for each request; nothing is marked or written.

    Parameters
    ----------
    bucket : Location
        Without a prefix.
    folder : str
        What the keys begin with, as far as a slash; empty: the whole bucket.
    itself : bool
        Yield the object of that very key, too.

    Raises
    ------
    Denied
        BLOB-006 when the settings make no connection, or the store refuses.
    Unavailable
        BLOB-007 when the bucket is gone, BLOB-008 when it gives no answer.
    """
    _refuse_fork(bucket.url)
    _, store = _connect_twice(bucket, PATIENCE)
    try:
        if itself and folder:
            with contextlib.suppress(FileNotFoundError):
                yield _tell(obstore.head(store, folder))
        for page in obstore.list(store, folder or None):
            yield from map(_tell, page)
    except (BaseError, FileNotFoundError) as fault:
        raise _explain(fault, bucket.url) from None


def _tell(found: obstore.ObjectMeta) -> Found:
    mark = found["e_tag"] or found["version"] or ""
    return Found(found["path"], found["size"], found["last_modified"].timestamp(), mark)


def _connect_twice(location: Location, patience: Patience) -> tuple[_Bucket, _Bucket]:
    try:
        return _connect(location, patience, patience.transfer_s), _connect(location, patience, patience.answer_s)
    except BaseError:
        what = f"the settings of the environment do not open {location.url}"
        raise Denied("BLOB-006", what, url=location.url) from None


def _connect(location: Location, patience: Patience, silence_s: float) -> _Bucket:
    return KINDS[location.scheme](
        location.bucket,
        prefix=location.prefix or None,
        client_options={
            "allow_http": may_speak_http(location.scheme),
            "connect_timeout": timedelta(seconds=patience.connect_s),
            "read_timeout": timedelta(seconds=silence_s),
            "timeout": timedelta(seconds=patience.request_s),
        },
        retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=2 * silence_s)},
    )


def _explain(fault: Exception, url: str) -> MainspringError:
    refused = "AccessDenied " if isinstance(fault, PermissionDeniedError | UnauthenticatedError) else ""
    return explain_outage(refused + str(fault), url, missing=isinstance(fault, FileNotFoundError))


def _refuse_fork(url: str) -> None:
    global _first_user
    if _first_user is None:
        _first_user = os.getpid()
    elif _first_user != os.getpid():
        what = f"process {os.getpid()} was forked after process {_first_user} had used {url}"
        raise Unavailable("BLOB-009", what, url=url)


def _key(digest: str) -> str:
    return f"blobs/{digest[:2]}/{digest}"
