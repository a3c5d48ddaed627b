"""The places of blobs keep their contract: folder, S3-compatible store, Google storage."""

import pytest
from tests.support.places import ObjectStoreContract

from mainspring.store.blobs import FolderBlobs
from mainspring.store.files import LocalFileSystem
from mainspring.testing.blobs import RECORD, BlobsContract


class TestFolder(BlobsContract):
    shared = False
    checked_path = False

    @pytest.fixture
    def twin(self, tmp_path):
        return lambda: FolderBlobs(tmp_path / "blobs", LocalFileSystem())

    @pytest.fixture
    def blobs(self, twin):
        made = twin()
        made.claim(RECORD, anew=True)
        return made

    @pytest.fixture
    def damage(self, blobs):
        def damage(digest, content):
            blobs.path(digest).unlink() if content is None else blobs.path(digest).write_bytes(content)

        return damage


class TestS3(ObjectStoreContract):
    @pytest.fixture
    def server(self, seaweedfs):
        return seaweedfs


class TestGoogle(ObjectStoreContract):
    test_a_signed_address_reads_without_credentials = None  # the library has a server of Google sign

    @pytest.fixture
    def server(self, google_storage):
        return google_storage
