"""The contract suite of blob stores: what every adapter of a place for bytes does.

An adapter's tests inherit `BlobsContract` and give it three fixtures: ``blobs``, a store at a new
place that it has claimed for the record ``"1" * 32``; ``twin``, a callable that opens the same
place once more, as another home would; and ``damage``, a callable of a digest and bytes or None
that replaces or removes what is stored, behind the adapter's back.
"""

from __future__ import annotations

import hashlib
import os
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import pytest

from mainspring.domain.errors import Conflict, Invalid, MainspringError, NotFound
from mainspring.domain.ports import Blobs

RECORD = "1" * 32
MANY_BYTES = 20_000_000
"""More than two parts of any adapter that sends in parts."""

Damage = Callable[[str, bytes | None], None]
Reader = Callable[[Blobs, str], bytes]

READERS: dict[str, Reader] = {
    "get": lambda blobs, digest: blobs.get(digest),
    "stream": lambda blobs, digest: b"".join(blobs.stream(digest)),
    "path": lambda blobs, digest: blobs.path(digest).read_bytes(),
}


class BlobsContract:
    """Inherit it, give the fixtures, and every test here runs against that store."""

    shared: ClassVar[bool] = True
    """Homes of several records could reach the place, so it can be claimed."""

    lists: ClassVar[bool] = True
    """It can be asked what lies there, and to remove it; False: only by those who own the place."""

    checked_path: ClassVar[bool] = True
    """`path` gives a copy that was checked; False: the stored file itself."""

    @pytest.mark.parametrize("content", [b"", b"x", b"y" * 1_000_000], ids=["empty", "byte", "megabyte"])
    def test_what_was_put_comes_back(self, blobs: Blobs, twin: Callable[[], Blobs], content: bytes) -> None:
        """Every way of reading gives the bytes, here and to another home; putting again changes nothing."""
        digest = blobs.put(content)
        assert digest == hashlib.sha256(content).hexdigest()
        assert blobs.put(content) == blobs.put(BytesIO(content)) == digest
        for store in (blobs, twin()):
            assert store.exists(digest)
            assert [read(store, digest) for read in READERS.values()] == [content] * 3
            assert store.measure(digest) == len(content)
        assert blobs.measure("0" * 64) is None

    def test_a_stream_larger_than_its_parts_travels_whole(
        self, blobs: Blobs, twin: Callable[[], Blobs], tmp_path: Path
    ) -> None:
        """A file of many parts has the digest of its bytes, and is read back in parts."""
        (tmp_path / "many").write_bytes(os.urandom(MANY_BYTES))
        with (tmp_path / "many").open("rb") as file:
            digest = blobs.put(file)
        assert digest == hashlib.sha256((tmp_path / "many").read_bytes()).hexdigest()
        parts = list(twin().stream(digest))
        assert b"".join(parts) == (tmp_path / "many").read_bytes()
        assert max(map(len, parts)) < MANY_BYTES

    def test_a_stream_that_breaks_leaves_nothing(self, blobs: Blobs) -> None:
        """What the stream raises comes through, and no blob appears."""

        class Broken(BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell():
                    raise OSError("the source broke")
                return super().read(size if size is None else min(size, 10))

        with pytest.raises(OSError, match="the source broke"):
            blobs.put(Broken(b"z" * 100))
        assert not self.lists or list(blobs.list()) == []

    @pytest.mark.parametrize("size", [5, MANY_BYTES // 2])
    def test_bytes_of_another_digest_are_refused_unseen(self, blobs: Blobs, size: int) -> None:
        """What was to have a digest and has another one is not stored under either."""
        content = b"q" * size
        wanted, found = (hashlib.sha256(each).hexdigest() for each in (content[1:], content))
        for given in (content, BytesIO(content)):
            with pytest.raises(Invalid, match="HOME-014"):
                blobs.put(given, wanted)
        assert not blobs.exists(wanted)
        assert not blobs.exists(found)
        assert blobs.put(BytesIO(content), found) == blobs.put(content, found) == found

    @pytest.mark.parametrize("name", READERS)
    def test_a_blob_that_is_gone_is_named(
        self, twin: Callable[[], Blobs], blobs: Blobs, damage: Damage, name: str
    ) -> None:
        """A digest that was never put, or whose bytes were removed, is not found."""
        del blobs
        gone, never = twin().put(b"gone"), hashlib.sha256(b"never").hexdigest()
        damage(gone, None)
        for digest in (gone, never):
            store = twin()
            assert not store.exists(digest)
            with pytest.raises((NotFound, FileNotFoundError)) as caught:
                READERS[name](store, digest)
            assert isinstance(caught.value, NotFound) or not self.checked_path
            assert isinstance(caught.value, FileNotFoundError) or getattr(caught.value, "code", "") == "HOME-013"
            assert digest in str(caught.value)

    @pytest.mark.parametrize("name", READERS)
    @pytest.mark.parametrize("damaged", [b"", b"valu", b"VALUE", b"value+"])
    def test_a_cut_or_swapped_blob_is_refused_and_mended(
        self, twin: Callable[[], Blobs], blobs: Blobs, damage: Damage, damaged: bytes, name: str
    ) -> None:
        """No reader gets other bytes than those of the name; putting them again mends the blob."""
        if name == "path" and not self.checked_path:
            pytest.skip("this store's path is the stored file itself")
        digest = blobs.put(b"value")
        damage(digest, damaged)
        with pytest.raises(Invalid, match="HOME-014"):
            READERS[name](twin(), digest)
        assert twin().put(b"value") == digest
        assert READERS[name](twin(), digest) == b"value"

    @pytest.mark.parametrize("text", ["", "..", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
    def test_a_text_that_is_no_digest_is_refused(self, blobs: Blobs, text: str) -> None:
        """No text leads out of the place."""
        uses: list[Callable[[], object]] = [
            lambda: blobs.get(text),
            lambda: list(blobs.stream(text)),
            lambda: blobs.path(text),
            lambda: blobs.exists(text),
            lambda: blobs.delete(text),
            lambda: blobs.put(b"", text or "no digest"),
            lambda: blobs.presign(text, 60),
        ]
        for use in uses:
            with pytest.raises(Invalid, match="HOME-014"):
                use()

    def test_it_lists_and_deletes(self, blobs: Blobs, twin: Callable[[], Blobs]) -> None:
        """Every blob is listed once with its size; what was deleted is gone for all."""
        if not self.lists:
            pytest.skip("only those who own the place list it")
        sizes = {blobs.put(b"z" * size): size for size in (0, 1, 70_000)}
        listed = list(twin().list())
        assert {each.digest: each.size_bytes for each in listed} == sizes
        assert len(listed) == 3
        assert all(each.modified_at > 1e9 for each in listed)
        digest = next(iter(sizes))
        twin().delete(digest)
        twin().delete(digest)
        assert not blobs.exists(digest)
        assert {each.digest for each in blobs.list()} == sizes.keys() - {digest}
        young, old = time.time() - 3600, time.time() + 3600
        kept, other = sizes.keys() - {digest}
        assert [blobs.remove_old(kept, young), blobs.remove_old(other, old)] == [None, sizes[other]]
        assert (blobs.exists(kept), blobs.exists(other), blobs.remove_old(other, old)) == (True, False, None)

    def test_writers_that_race_store_one_blob(self, twin: Callable[[], Blobs], blobs: Blobs) -> None:
        """The same bytes from many threads and homes are one blob, and each is told its digest."""
        content = os.urandom(50_000)
        stores = [twin() for _ in range(4)]
        with ThreadPoolExecutor(8) as pool:
            digests = set(pool.map(lambda number: stores[number % 4].put(content), range(16)))
        assert len(digests) == 1
        assert len(digests) == 1
        assert not self.lists or [each.digest for each in blobs.list()] == list(digests)
        assert twin().get(digests.pop()) == content

    def test_a_signed_address_reads_without_credentials(self, blobs: Blobs) -> None:
        """Where the store can sign, anybody reads that one blob for that time."""
        url = blobs.presign(blobs.put(b"to be shared"), 60)
        if url is None:
            pytest.skip("this store does not sign")
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the store's own address
            assert answer.read() == b"to be shared"

    def test_one_record_owns_the_place(self, blobs: Blobs, twin: Callable[[], Blobs]) -> None:
        """The record may claim it again; another one may not, and is told whose it is."""
        blobs.claim(RECORD, anew=False)
        twin().claim(RECORD, anew=True)
        if not self.shared:
            return
        for anew in (True, False):
            with pytest.raises(Conflict, match="BLOB-004") as caught:
                twin().claim("2" * 32, anew=anew)
            assert isinstance(caught.value, MainspringError)
            assert RECORD in caught.value.what
