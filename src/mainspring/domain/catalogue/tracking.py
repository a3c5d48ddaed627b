"""What runs log."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "LOG-001",
        "invalid",
        "too many names",
        "each name of a run is a series or an artifact of its own, and a million of them helps nobody",
        "log one name with step=, or a table with a row for each",
    ),
    Entry(
        "LOG-002",
        "invalid",
        "too large to log",
        "what is logged is copied into the record's blobs, or kept whole in a row",
        "log a sample of it, or raise MAINSPRING_MOST_LOGGED_MB",
    ),
    Entry(
        "LOG-003",
        "invalid",
        "an object that a checkpoint cannot restore",
        "a checkpoint restores objects in place: by load_state_dict, by attributes, or as dict, list, set or array",
        "give the object that holds the value, such as a dict",
    ),
    Entry(
        "LOG-004",
        "conflict",
        "a checkpoint of other objects",
        "restore takes the objects that save was given, in the same order",
        "restore(model, optimizer) after save(model, optimizer, step=...)",
    ),
)
