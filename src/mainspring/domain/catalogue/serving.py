"""Services."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "SERVE-001",
        "not_found",
        "no such service",
        "nothing was deployed under that name",
        "mainspring services",
    ),
)
