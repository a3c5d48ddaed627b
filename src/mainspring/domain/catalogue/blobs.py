"""Object stores: their address, their rights, and what they do not keep."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "BLOB-001",
        "invalid",
        "an address of no object store",
        "a store is named by its scheme, bucket and prefix; keys come from the environment, never from the address",
        "MAINSPRING_BLOBS=s3://bucket/prefix, gs://bucket/prefix or az://container/prefix",
    ),
    Entry(
        "BLOB-002",
        "unavailable",
        "the library of the object store is missing",
        "object stores are spoken to through a library that the core does not bring",
        "pip install 'mainspring[cloud]'",
    ),
    Entry(
        "BLOB-003",
        "conflict",
        "the home keeps its blobs elsewhere",
        "where blobs lie is chosen when a home is first used; at another place its values would be missing",
        "unset MAINSPRING_BLOBS, or name another home with MAINSPRING_HOME",
    ),
    Entry(
        "BLOB-004",
        "conflict",
        "the place belongs to another record",
        "one record owns a bucket's prefix; two would delete each other's blobs and mix their tables",
        "choose another prefix in MAINSPRING_BLOBS",
    ),
    Entry(
        "BLOB-005",
        "invalid",
        "the object store ignores conditional writes",
        "it wrote an object that was to be created only if there was none, so writers would overwrite each other",
        "use a store that honours If-None-Match, such as S3, SeaweedFS, Google or Azure storage",
    ),
    Entry(
        "BLOB-006",
        "denied",
        "the object store refuses",
        "the credentials of the environment are missing, expired, or lack read, write, list or delete there",
        "check the credentials (AWS_*, GOOGLE_* or AZURE_*) and the bucket's policy, then repeat",
    ),
    Entry(
        "BLOB-007",
        "unavailable",
        "the place of the blobs is gone",
        "the bucket, or the mark that the record left in it, is no longer there",
        "restore the bucket with its objects, then repeat",
    ),
    Entry(
        "BLOB-008",
        "unavailable",
        "the object store does not answer",
        "it was tried again and again, and gave no whole answer; nothing was acknowledged",
        "check the endpoint and the network, then repeat",
    ),
    Entry(
        "BLOB-009",
        "unavailable",
        "an object store in a forked process",
        "the library's threads stay with the process that started them; in a fork of it every call would wait for ever",
        "fork before the first use, or start processes with multiprocessing.get_context('spawn')",
    ),
    Entry(
        "BLOB-010",
        "conflict",
        "a blob that was collected while it was put again",
        "nothing had named it for longer than the grace of the collection, and the same bytes were stored in the very "
        "moment that they were removed",
        "run it again, which stores the bytes anew",
    ),
)
