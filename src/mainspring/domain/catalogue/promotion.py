"""Deployments and promotions, as the owner decides on them."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "SERVE-040",
        "conflict",
        "no earlier revision",
        "a roll back needs a revision of another model before the live one",
        "mainspring services show NAME",
    ),
    Entry(
        "SERVE-041",
        "invalid",
        "nothing holds the alias",
        "a service that follows an alias starts when a model was promoted to it",
        "mainspring promote MODEL ALIAS --data DATASET",
    ),
    Entry(
        "GATE-010",
        "conflict",
        "a gate that still runs",
        "its verdict comes when the run has ended",
        "mainspring logs RUN",
    ),
    Entry(
        "GATE-011",
        "not_found",
        "no verdict",
        "the run is no gate, or it ended without a verdict",
        "mainspring runs show RUN",
    ),
    Entry(
        "GATE-012",
        "invalid",
        "data that training saw",
        "a gate judges only on rows that neither training nor search read, proven by lineage",
        "keep a part back with DATASET.split(...) and judge on that",
    ),
    Entry(
        "SERVE-042",
        "invalid",
        "a service without a monitor",
        "only a service that was deployed with a monitor is checked",
        "deploy it with monitor=ms.Monitor(...)",
    ),
    Entry(
        "GATE-003",
        "conflict",
        "a gated alias",
        "a gate was applied for this alias, so only a version that it let through gets it",
        "mainspring promote MODEL ALIAS --data DATASET",
    ),
    Entry(
        "GATE-008",
        "invalid",
        "no reason is given",
        "who passes a gate over, or removes it, says why; the audit keeps it",
        "give --reason TEXT",
    ),
)
