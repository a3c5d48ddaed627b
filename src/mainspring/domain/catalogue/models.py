"""Models, gates and promotion."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "MODEL-001",
        "not_found",
        "no such model version",
        "nothing was registered under that reference",
        "mainspring models",
    ),
)
