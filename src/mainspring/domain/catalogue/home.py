"""The home, the owner, the wire and the command line."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "HOME-001",
        "unavailable",
        "the owner does not answer",
        "the process that owns the home did not start or is busy",
        "mainspring doctor",
    ),
    Entry(
        "HOME-002",
        "conflict",
        "a second owner on a home",
        "another process owns this home; two writers would fork the record",
        "mainspring status",
    ),
    Entry(
        "HOME-003",
        "conflict",
        "a newer schema",
        "a newer Mainspring wrote this record",
        "pip install --upgrade mainspring",
    ),
    Entry(
        "HOME-004",
        "invalid",
        "a message that cannot be read",
        "client and owner are of different versions",
        "mainspring stop, then repeat the command",
    ),
    Entry(
        "HOME-005",
        "invalid",
        "a message over the size limit",
        "a message of the wire holds at most 64 MiB; large values travel as blobs",
        "pass a Dataset, or return the value from a step",
    ),
    Entry(
        "HOME-006",
        "unavailable",
        "the disk is full",
        "a write of the record did not fit; nothing was acknowledged",
        "free some space, then repeat the command",
    ),
    Entry(
        "HOME-007",
        "unavailable",
        "the home is read-only",
        "the record cannot be written; nothing was acknowledged",
        "point MAINSPRING_HOME at a folder that you may write",
    ),
    Entry(
        "HOME-008",
        "denied",
        "not your home",
        "the peer of the socket is another user",
        "set MAINSPRING_HOME to a folder of your own",
    ),
    Entry(
        "HOME-009",
        "not_found",
        "no such error code",
        "the code is not in the catalogue",
        "mainspring why --list",
    ),
    Entry(
        "HOME-010",
        "not_found",
        "nothing has that name or id",
        "no run, asset, service, alarm or code matches",
        "mainspring status",
    ),
    Entry(
        "HOME-011",
        "invalid",
        "a path that leaves its folder",
        "paths must be relative, plain and stay under their root",
        "give a relative path without '..'",
    ),
    Entry(
        "HOME-012",
        "denied",
        "a sealed value that is not ours",
        "the seal does not match the project's key, so nothing was opened",
        "run the step again with cache=False",
    ),
    Entry(
        "HOME-013",
        "not_found",
        "a blob is gone",
        "the bytes of a stored value are no longer there",
        "run the step again; a hit is refused while its bytes are gone",
    ),
    Entry(
        "HOME-014",
        "invalid",
        "a blob that does not match its name",
        "the bytes were truncated or swapped on disk",
        "restore the blob folder, or run the step again",
    ),
    Entry(
        "HOME-015",
        "failed",
        "a mistake of Mainspring",
        "the owner met something that its code does not foresee; the request left nothing behind",
        "mainspring doctor, and report it with the end of logs/owner.log",
    ),
    Entry(
        "HOME-016",
        "unavailable",
        "the record is damaged",
        "the metadata file is no SQLite database or cannot be read",
        "restore the file from a copy, or start a new home with MAINSPRING_HOME",
    ),
    Entry(
        "HOME-017",
        "invalid",
        "not a local home",
        "this release works in a folder of this machine",
        "mainspring.connect('/path/of/a/home')",
    ),
    Entry(
        "HOME-018",
        "invalid",
        "a setting that cannot be read",
        "a variable of the environment holds something else than its setting wants",
        "mainspring doctor",
    ),
)
