"""Traces of clusters, and what is tried with them."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "SIM-001",
        "invalid",
        "a trace that cannot be read",
        "it is CSV with the columns that the guide names; numbers are whole and not negative",
        "mainspring simulate --help",
    ),
    Entry(
        "SIM-002",
        "invalid",
        "a trace of nothing",
        "machines have names of their own, and somebody must ask for what they have",
        "mainspring simulate --help",
    ),
    Entry(
        "PLAN-001",
        "invalid",
        "a change that cannot be planned",
        "what may change: devices or machines of a pool, by what there is; the demand in per cent; tenants' limits",
        "mainspring plan --help",
    ),
)
