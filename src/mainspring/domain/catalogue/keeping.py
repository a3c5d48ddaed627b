"""What is deleted, restored, kept for a time, and how much a project may hold."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "KEEP-001",
        "invalid",
        "a version that is not pinned",
        "what is deleted or restored must be named so that it is the same tomorrow",
        "give the version's number, as in NAME@3, or --all for every version",
    ),
    Entry(
        "KEEP-002",
        "conflict",
        "something is still needed",
        "an alias, a service that is not stopped, a run that has not ended or an open renewal points at it",
        "let go of what needs it first; then delete it",
    ),
    Entry(
        "KEEP-003",
        "conflict",
        "something was removed for good",
        "a purge has left nothing of it but what lineage names",
        "write or register the same content again, or run it again",
    ),
    Entry(
        "KEEP-004",
        "not_found",
        "nothing of that name was deleted",
        "only what is deleted and not yet purged can be restored",
        "mainspring data, mainspring models or mainspring runs lists what is there",
    ),
    Entry(
        "KEEP-005",
        "conflict",
        "a project's quota of bytes",
        "its runs and versions name as many bytes of blobs and tables as it may hold; "
        "what was stored and then refused goes with the next collection",
        'mainspring runs delete --filter "state = failed", then mainspring server purge --older-than 1s; '
        "or mainspring projects set NAME --quota SIZE",
    ),
)
