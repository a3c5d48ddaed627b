"""Steps, pipelines and their values."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
