"""Experiments, and runs that are told of from outside."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "EXP-001",
        "not_found",
        "no such experiment",
        "no experiment of the project has this number or name",
        "mlflow.search_experiments(), or the experiment column of mainspring runs",
    ),
    Entry(
        "EXP-002",
        "conflict",
        "an experiment of the same name",
        "a name stands for one experiment of a project, a deleted one included",
        "take another name, or restore the deleted one",
    ),
    Entry(
        "EXP-003",
        "conflict",
        "a deleted experiment or run",
        "what is deleted takes nothing more, and what is not deleted cannot be restored",
        "restore it first, or log to another one",
    ),
    Entry(
        "EXP-004",
        "invalid",
        "a parameter that would change",
        "a parameter that was logged keeps its value, so that a run says what it ran with",
        "log what changes as a metric or tag, or begin a run for each value",
    ),
    Entry(
        "EXP-005",
        "invalid",
        "no name of an experiment",
        "an experiment has a name of 1 to 500 characters; Default is that of experiment 0 alone",
        "give it another name",
    ),
    Entry(
        "EXP-006",
        "not_found",
        "no such tag",
        "a tag that is removed must be there",
        "mainspring runs show ID lists the tags of a run",
    ),
)
