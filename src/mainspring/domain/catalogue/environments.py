"""Environments of steps, and code that is sent to a worker with them."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "ENV-001",
        "invalid",
        "a requirement that cannot be locked",
        "an environment is locked by names, versions and hashes; options, addresses and paths have none",
        'write it like "pandas==2.2" or "uvicorn[standard]>=0.30"',
    ),
    Entry(
        "ENV-002",
        "failed",
        "an environment that does not resolve",
        "no versions satisfy all requirements at once, or the package index does not answer",
        "loosen the requirement that is named; UV_INDEX_URL and UV_FIND_LINKS, set where the owner starts, say "
        "where packages come from",
    ),
    Entry(
        "ENV-003",
        "failed",
        "an environment that cannot be built",
        "a locked package could not be brought or installed on the worker's machine",
        "run it again when what is named is mended; mainspring logs RUN",
    ),
    Entry(
        "ENV-004",
        "not_found",
        "uv is missing",
        "uv resolves and builds environments where the work runs",
        "pip install 'mainspring[env]' there",
    ),
    Entry(
        "ENV-005",
        "invalid",
        "a variable that an environment may not set",
        "names and values of variables are part of the cache key and stand in the record",
        "give texts, and pass secret(...) to the step as an argument",
    ),
    Entry(
        "ENV-006",
        "invalid",
        "another Python",
        "calls travel as code of one minor version of Python",
        "leave python= out, or call it from an interpreter of that version",
    ),
    Entry(
        "ENV-007",
        "conflict",
        "other packages than the caller has",
        "a call from another machine runs with what its home has, and its key says what the caller has",
        "declare what it imports: @ms.step(env=ms.Env([...]))",
    ),
)
