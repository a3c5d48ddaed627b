"""Blobs: whole or not there, checked against their name."""

import errno
import hashlib
import os

import pytest

from mainspring.domain.errors import Invalid, NotFound, Unavailable
from mainspring.store.blobs import FolderBlobs, sweep_drafts
from mainspring.store.files import LocalFileSystem


class FaultyFileSystem(LocalFileSystem):
    """Fails every write with one error of the operating system, after half of it."""

    def __init__(self, number):
        self.number = number

    def write_atomic(self, path, parts):
        def half():
            for part in parts:
                yield part[: len(part) // 2]
                raise OSError(self.number, "injected", str(path))

        super().write_atomic(path, half())


@pytest.fixture
def blobs(tmp_path):
    return FolderBlobs(tmp_path / "blobs", LocalFileSystem())


def test_what_was_put_comes_back(blobs):
    for content in (b"", b"x", b"y" * 1_000_000):
        digest = blobs.put(content)
        assert digest == hashlib.sha256(content).hexdigest()
        assert blobs.exists(digest)
        assert blobs.get(digest) == content
        assert blobs.path(digest).read_bytes() == content
    assert blobs.put(b"x") == hashlib.sha256(b"x").hexdigest()


def test_a_blob_that_is_gone_is_named(blobs):
    digest = hashlib.sha256(b"never").hexdigest()
    assert not blobs.exists(digest)
    with pytest.raises(NotFound) as caught:
        blobs.get(digest)
    assert caught.value.code == "HOME-013"
    assert digest in caught.value.what


@pytest.mark.parametrize("damaged", [b"", b"valu", b"VALUE", b"value+"])
def test_a_cut_or_swapped_blob_is_refused_and_mended_by_writing_it_again(blobs, damaged):
    digest = blobs.put(b"value")
    blobs.path(digest).write_bytes(damaged)
    with pytest.raises(Invalid) as caught:
        blobs.get(digest)
    assert caught.value.code == "HOME-014"
    assert blobs.put(b"value") == digest
    assert blobs.get(digest) == b"value"


@pytest.mark.parametrize("text", ["", "..", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_text_that_is_no_digest_names_no_file(blobs, text):
    with pytest.raises(Invalid, match="HOME-014"):
        blobs.path(text)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "HOME-006"), (errno.EDQUOT, "HOME-006"), (errno.EROFS, "HOME-007"), (errno.EACCES, "HOME-007")],
)
def test_a_full_disk_and_a_read_only_home_say_so_and_leave_nothing(tmp_path, number, code):
    root = tmp_path / "blobs"
    with pytest.raises(Unavailable) as caught:
        FolderBlobs(root, FaultyFileSystem(number)).put(b"value")
    assert caught.value.code == code
    assert "injected" in caught.value.what
    assert [path for path in root.rglob("*") if path.is_file()] == []


def test_another_error_of_the_system_stays_what_it_is(tmp_path):
    with pytest.raises(OSError, match="injected") as caught:
        FolderBlobs(tmp_path / "blobs", FaultyFileSystem(errno.EIO)).put(b"value")
    assert not isinstance(caught.value, Unavailable)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    files, path = LocalFileSystem(), tmp_path / "file"
    files.write_atomic(path, iter([b"old", b" content"]))
    with pytest.raises(OSError, match="injected"):
        FaultyFileSystem(errno.EIO).write_atomic(path, iter([b"new content"]))
    assert files.read(path) == b"old content"
    assert list(tmp_path.iterdir()) == [path]
    files.append(path, b"!")
    assert files.read(path) == b"old content!"
    files.remove(path)
    files.remove(path)
    assert not files.exists(path)


def plant(blobs, content, written_at):
    """Write a blob with a draft beside it; return the draft."""
    path = blobs.path(blobs.put(content))
    draft = path.with_name(f".{path.name}.0123456789ab")
    draft.write_bytes(content[:1])
    for each in (path, draft):
        os.utime(each, (written_at, written_at))
    return draft


def test_old_drafts_are_swept_and_nothing_else(blobs, tmp_path):
    old, fresh = plant(blobs, b"old", 1000.0), plant(blobs, b"fresh", 3000.0)
    assert sweep_drafts(tmp_path / "blobs", before=2000.0) == 1
    assert (old.exists(), fresh.exists()) == (False, True)
    assert [blobs.get(hashlib.sha256(content).hexdigest()) for content in (b"old", b"fresh")] == [b"old", b"fresh"]
    assert sweep_drafts(tmp_path / "none", before=2000.0) == 0


def test_a_sweep_looks_at_no_more_than_it_may_and_later_ones_at_the_rest(blobs, tmp_path):
    drafts = [plant(blobs, b"%d" % number, 1000.0) for number in range(40)]
    folders = {int(draft.parent.name, 16) for draft in drafts}
    first = min(folders)
    swept = sweep_drafts(tmp_path / "blobs", before=2000.0, first=first, most=1)
    assert swept == sum(int(draft.parent.name, 16) == first for draft in drafts)
    assert sum(sweep_drafts(tmp_path / "blobs", before=2000.0, first=each, most=1) for each in folders) == 40 - swept
