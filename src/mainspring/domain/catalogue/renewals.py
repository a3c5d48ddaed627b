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
    Entry(
        "RENEW-002",
        "invalid",
        "a pipeline that stands in no file",
        "the owner starts a pipeline from a snapshot of its file",
        "put the pipeline at the top of a .py file",
    ),
    Entry(
        "RENEW-003",
        "invalid",
        "a snapshot over its size limit",
        "a snapshot holds at most 50 MB in 2,000 files of Python code",
        "move data and environments out of the project's folder",
    ),
    Entry(
        "RENEW-004",
        "invalid",
        "no such trigger",
        "a trigger names an event that this version knows and what it must match",
        'ms.On("data", dataset="orders"), or ms.Cron("0 6 * * *")',
    ),
    Entry(
        "RENEW-005",
        "failed",
        "a renewal ended without a verdict",
        "its pipeline failed or never asked for a promotion",
        "mainspring logs RUN",
    ),
    Entry(
        "RENEW-006",
        "not_found",
        "nothing of that name was applied",
        "declarations take effect when they are applied",
        "mainspring apply FILE",
    ),
    Entry(
        "RENEW-007",
        "invalid",
        "a pipeline that a trigger cannot call",
        "a trigger calls its pipeline without arguments",
        "give every argument of the pipeline a default",
    ),
)
