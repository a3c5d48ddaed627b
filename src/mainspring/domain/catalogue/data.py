"""Datasets, contracts and features."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "DATA-001",
        "invalid",
        "not a reference",
        "references are name, name@12, name@alias or name@2026-11-01",
        "mainspring data",
    ),
    Entry(
        "DATA-002",
        "not_found",
        "no such dataset version",
        "nothing was written under that reference",
        "mainspring data",
    ),
)
