"""The cache of blobs: bounded, whole, checked."""

import hashlib
import os

import pytest

from mainspring.domain.errors import Invalid
from mainspring.store.caches import BlobCache
from mainspring.store.files import LocalFileSystem


def name_of(content):
    return hashlib.sha256(content).hexdigest()


def fill(cache, contents):
    for content in contents:
        cache.add(name_of(content), [content])


def list_files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_it_keeps_what_was_used_last_within_its_bound(tmp_path):
    cache = BlobCache(tmp_path, LocalFileSystem(), limit_bytes=3_500, spare_s=0.0)
    contents = [bytes([number]) * 1_000 for number in range(6)]
    for number, content in enumerate(contents):
        fill(cache, [content])
        for path in list_files(tmp_path):
            os.utime(path, (number, number) if path.name == name_of(content) else None)
        cache.find(name_of(contents[0]))
    cache.evict()
    kept = {path.name for path in list_files(tmp_path)}
    assert sum(path.stat().st_size for path in list_files(tmp_path)) <= 3_500
    assert name_of(contents[0]) in kept
    assert len(kept) == 3


def test_copies_in_use_stay_above_the_bound(tmp_path):
    cache = BlobCache(tmp_path, LocalFileSystem(), limit_bytes=10, spare_s=60.0)
    fill(cache, [b"a" * 100, b"b" * 100])
    assert len(list_files(tmp_path)) == 2


@pytest.mark.parametrize("damaged", [b"", b"valu", b"VALUE"])
def test_a_damaged_copy_is_no_copy(tmp_path, damaged):
    cache = BlobCache(tmp_path, LocalFileSystem())
    digest = name_of(b"value")
    for look in (cache.find, cache.read):
        cache.add(digest, [b"va", b"lue"]).write_bytes(damaged)
        assert look(digest) is None
        assert list_files(tmp_path) == []
    assert cache.add(digest, [b"value"]) == cache.find(digest)


def test_other_bytes_than_the_name_says_are_not_kept(tmp_path):
    cache = BlobCache(tmp_path, LocalFileSystem())
    with pytest.raises(Invalid, match="HOME-014"):
        cache.add(name_of(b"value"), [b"other"])

    def broken():
        yield b"val"
        raise OSError("the store broke off")

    with pytest.raises(OSError, match="broke off"):
        cache.add(name_of(b"value"), broken())
    assert list_files(tmp_path) == []


def test_what_a_killed_process_left_goes_too(tmp_path):
    cache = BlobCache(tmp_path, LocalFileSystem(), limit_bytes=50, spare_s=0.0)
    left = tmp_path / ".incoming-1234.5678"
    left.write_bytes(b"z" * 100)
    os.utime(left, (1, 1))
    fill(cache, [b"a"])
    assert not left.exists()
