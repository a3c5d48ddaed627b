"""Records that come from elsewhere, and go there."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "IMPORT-005",
        "invalid",
        "no id to import",
        "runs and logged models keep the ids that they had, so those must be ids here too",
        "import from an MLflow server, whose ids are 32 hexadecimal characters",
    ),
    Entry(
        "IMPORT-006",
        "conflict",
        "an id that is taken",
        "ids are unique in a record, over all of its projects",
        "import into the project that it was imported into before, or into a home of its own",
    ),
)
