"""Renewals and triggers."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "RENEW-001",
        "conflict",
        "a renewal in another state",
        "the life of a renewal has no such transition",
        "mainspring why SERVICE",
    ),
)
