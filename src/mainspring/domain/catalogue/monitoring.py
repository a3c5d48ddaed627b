"""Monitors and alarms."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "MON-001",
        "invalid",
        "a monitor names a column that is not there",
        "the captured requests, the labels or the reference lack a column that the monitor watches",
        "correct the column's name in ms.Monitor(...), or capture it, then: mainspring apply FILE",
    ),
    Entry(
        "MON-002",
        "invalid",
        "profiles that do not fit",
        "only profiles of the same bins and blocks can be added or compared",
        "make both from the same reference",
    ),
    Entry(
        "MON-003",
        "invalid",
        "too short a reference",
        "what is usual is learnt from how blocks of event time differ, and that needs at least two weeks of them",
        "train on a longer period, or watch without drift: ms.Monitor(drift=False, ...)",
    ),
    Entry(
        "MON-004",
        "invalid",
        "labels without the key",
        "a label belongs to the request that has the same key, and each request's key may occur once",
        "write the labels with the key column that ms.Monitor(key=...) names",
    ),
    Entry(
        "MON-005",
        "invalid",
        "not a usable monitor",
        "labels need a key and a target, and everything that is counted by day needs an event time",
        "ms.Monitor(labels=DATASET, key=COLUMN, target=COLUMN, event_time=COLUMN)",
    ),
    Entry(
        "MON-006",
        "invalid",
        "a setting of a monitor is out of range",
        "budgets, costs and lengths of time are above zero",
        "give a number above zero",
    ),
    Entry(
        "MON-007",
        "invalid",
        "no reference to compare with",
        "the model's version does not record the dataset that it was trained on",
        "register the model in the run that read its training data: ms.register(model, name, example=...)",
    ),
)
